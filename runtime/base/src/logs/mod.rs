//! Logs of processes that nothing may end: no full disk, no closed terminal, no flood of lines.
//!
//! `repeats` holds back lines that come again and again, `lines` writes lines and counts those that cannot be written,
//! `rotation` keeps a file within its bound, and `log` puts them together behind a thread that alone ever waits for a
//! disk or a terminal.

mod limit;
mod lines;
mod log;
mod repeats;
mod rotation;

pub use limit::LogLimit;
pub use lines::Lines;
pub use log::{Log, Weight};
pub use repeats::Repeats;
pub use rotation::{OwnLog, keep_within, part};
