//! One file per command, and [`main()`], which chooses among them.
//!
//! A command gets its raw arguments, returns data, and leaves the printing to [`crate::output::Output`]. No command
//! calls another one; what several need is in a room of its own.

mod completions;
mod controller;
mod doctor;
mod gc;
mod guard;
mod list;
mod logs;
mod main;
mod profile;
mod reason;
mod run;
mod scale;
mod start;
mod status;
mod stop;
mod tunnel;
mod wait;

pub use main::main;
