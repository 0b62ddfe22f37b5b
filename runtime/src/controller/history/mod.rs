//! What is remembered of work: requests and results of sessions with names, and how all tasks have ended.
//!
//! 1. [`entry`]: what the core has to say for it.
//! 2. `store`: an SQLite database that has it; `asked`: what is asked of that.
//! 3. `serving`: the thread that has the database; `keeper`: its other end, which the controller has.

mod asked;
pub mod entry;
mod keeper;
mod serving;
mod store;

pub(super) use asked::begins;
pub use entry::{Done, Entry, Submitted};
pub(super) use keeper::Keeper;
pub(super) use serving::Question;
pub use store::Keep;
pub(super) use store::{Store, name_of};
