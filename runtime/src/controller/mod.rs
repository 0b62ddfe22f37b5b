//! The controller: one process between clients and engines.
//!
//! 1. [`identity`]: which process it is; [`limits`]: how much it holds and how long it waits.
//! 2. [`registry`]: who is connected; [`peer`]: one of them.
//! 3. [`load`]: which engine is given the next balanced task, by which [`scheme`]; `queue`: which task of a client that is; `waits`:
//!    what a task waits for of others; `failures`: which have failed.
//! 4. [`work`]: requests, their tasks, and every task's one answer; its data is in `task` and `unread`, and in `turn` of
//!    what groups do together; `groups`: what each does now. Pure.
//! 5. [`worlds`]: MPI programs among the engines, and their epochs. Pure.
//! 6. `losses`: engines that died, and what waits for a word how; `exits`: peers whose connections outlive their processes.
//! 7. [`event`]: what the core is told, and what it wants done.
//!    [`oracle`]: what the core asks the world.
//! 8. [`core`]: the state machine `handle(event, now) -> actions` over all of these. Pure.
//!    [`image`]: its state as bytes. [`history`]: what is remembered of what was; `queries`: who is asked.
//!    [`observed`]: what it notes for those who look on; `broadcast`: the thread that tells them; `answering`: how such threads answer.
//! 9. [`bug`]: what becomes of a panic. `reactor`: sockets, signals and the clock around the core; `watch`: processes of
//!    this host; `shelved`: large payloads from other hosts. [`record`]: an event as it stands in the journal; [`held`]: what waits for the journal;
//!    `recorder`: how it is kept; [`replay`]: the state that it has; `recovery`: how a controller begins.
//!    [`left`]: what the journal of a cluster that has ended has.
//! 10. [`config`]: how it is to be run; `opening`: what it makes before it serves, with the `appearance` of
//!     the one before it; `run`: its process from start to end.

mod answering;
mod appearance;
mod broadcast;
pub mod bug;
pub mod config;
pub mod core;
pub mod event;
mod exits;
mod failures;
mod groups;
pub mod held;
pub mod history;
pub mod identity;
pub mod image;
pub mod left;
pub mod limits;
pub mod load;
mod losses;
pub mod observed;
mod opening;
pub mod oracle;
pub mod peer;
mod queries;
mod queue;
mod reactor;
pub mod record;
mod recorder;
mod recovery;
pub mod registry;
pub mod replay;
mod run;
pub mod scheme;
mod shelved;
mod task;
mod turn;
mod unread;
mod waits;
mod watch;
pub mod work;
pub mod worlds;

pub use config::{ControllerConfig, ControllerError, JournalMode, Ready};
pub use limits::Limits;
pub use run::run;
