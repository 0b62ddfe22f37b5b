//! The controller: one process between clients and engines.
//!
//! 1. [`limits`]: how much it holds and how long it waits.
//! 2. [`registry`]: who is connected.
//! 3. [`load`]: which engine is given the next balanced task; `queue`: which task of a client that is.
//! 4. [`work`]: requests, the queues, and every task's one answer; its data is in `task`, taking back in
//!    `work/recall.rs`. Pure.
//! 5. [`worlds`]: MPI programs among the engines, and their epochs. Pure.
//! 6. [`core`]: the state machine `handle(event, now) -> actions` over all of these. Pure.
//! 7. [`reactor`]: sockets, signals and the clock around the core.

pub mod core;
pub mod limits;
pub mod load;
mod queue;
pub mod reactor;
pub mod registry;
mod task;
pub mod work;
pub mod worlds;

pub use limits::Limits;
pub use reactor::{ControllerConfig, ControllerError, Ready, run};
