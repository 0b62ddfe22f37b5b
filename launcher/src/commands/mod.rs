//! One file per command, and [`main()`], which chooses among them.
//!
//! A command gets its raw arguments and returns data; [`crate::output::Output`] prints it. No command calls another
//! one: what several commands need is in a module of its own.

mod abort;
mod agent;
mod completions;
mod controller;
mod doctor;
mod engine;
mod events;
mod gc;
mod guard;
mod list;
mod logs;
mod main;
mod man;
mod profile;
mod reason;
mod restart;
mod run;
mod scale;
mod stage;
mod start;
mod status;
mod stop;
mod tasks;
mod timeline;
mod tunnel;
mod version;
mod wait;
mod waiting;

pub use main::main;
