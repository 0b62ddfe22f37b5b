//! The `ipclusterz` command: starts a cluster, watches over it, finds it again and stops it.
//!
//! It stands on four crates, each of which uses only those below itself: `ipclusterz-launchers` (what starts engines,
//! and the record of it), `ipclusterz-ssh`, `ipclusterz-profile` and `ipclusterz-host`. In reading order, from the
//! commands downwards:
//!
//! - [`commands`]: one file per command; each returns a [`report`], which [`output`] prints, or a failure
//! - [`arguments`], [`usage`]: the command line as it is typed, and what is wrong with it; [`completion`]: how a shell
//!   completes it
//! - [`start`]: a start, from the command line to the supervisor
//! - [`versions`]: versions of this program, of the libraries in it, and of what is beside it
//! - [`doctor`]: checks of this host and of what a profile needs
//! - [`supervisor`]: the process that starts, watches and ends a cluster; [`remote`]: the same for a cluster on another
//!   host
//! - [`guard`], [`cleanup`]: end and remove what a killed launcher left behind
//! - [`clusters`]: the clusters of this user, and the failures for one that is not there
//! - [`journals`]: the journal that a cluster leaves
//! - [`stage`]: the environment of engines on a disk of each host
//! - [`controller_process`]: the controller as a child
//! - [`requests`]: requests of other commands to a running launcher
//! - [`talk`], [`failures`]: what a running launcher says; errors of the runtime as failures of a command

pub mod arguments;
pub mod cleanup;
pub mod clusters;
pub mod commands;
pub mod completion;
pub mod controller_process;
pub mod doctor;
pub mod failures;
pub mod guard;
pub mod journals;
pub mod looking;
pub mod output;
pub mod remote;
pub mod report;
pub mod requests;
pub mod service_log;
pub mod stage;
pub mod start;
pub mod supervisor;
pub mod talk;
pub mod times;
pub mod usage;
pub mod versions;
