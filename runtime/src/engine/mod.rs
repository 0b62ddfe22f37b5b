//! The engine's side, as far as it is not Python.
//!
//! 1. [`core`]: tasks in order, functions by hash, what is running. Pure.
//! 2. [`reactor`]: the I/O thread around it, and the calls for the thread that runs user code; what that writes is
//!    gathered in `output`.
//! 3. [`process`]: how an engine's process ends when it must.
//! 4. [`inspection`]: what it is doing, told while it is busy.

pub mod core;
pub mod inspection;
mod output;
pub mod process;
pub mod reactor;

pub use inspection::{MpiFunctions, StackFile};
pub use reactor::{EndOfTime, Engine, EngineConfig, EngineError, TaskHandle};
