//! Starts engines as jobs of a queue. The profile describes the queue completely: `[batch]` says what to ask for,
//! `[queue]` how.
//!
//! Responsible for jobs: their scripts, the queue's commands and their output, and how each job ended. No queue's name
//! is in this code. In reading order:
//!
//! - [`options`]: what all jobs of a cluster have in common, and how engines are spread over nodes
//! - [`placeholders`], [`script`], [`again`]: the text of a job; the part of it that restarts lost ranks
//! - [`commands`], [`answers`]: runs the queue's commands; parses what they print
//! - [`refusal`]: why a job was refused, and what may be asked for instead
//! - [`clock`]: time limits, and times of day as queues print them
//! - [`jobs`], [`words`]: the life of one job, as a pure state machine, and what is said about it
//! - [`launcher`]: the thread that brings these together behind [`crate::contract::Launcher`]
//! - [`record`], [`destroy`](mod@destroy): what is recorded of a job; cancels one whose launcher is gone
//! - [`inside`]: uses the allocation that this process runs in
//! - [`elastic`], [`walltime`]: how many jobs there should be, and when one needs a successor

pub mod again;
pub mod answers;
pub mod clock;
pub mod commands;
pub mod destroy;
pub mod elastic;
pub mod inside;
pub mod jobs;
pub mod launcher;
pub mod options;
pub mod placeholders;
pub mod record;
pub mod refusal;
pub mod script;
pub mod trial;
pub mod walltime;
pub mod words;

pub use destroy::destroy;
pub use launcher::BatchLauncher;
pub use options::BatchOptions;
