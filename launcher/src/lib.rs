//! The `ipclusterz` command: starts a cluster, watches over it, finds it again and stops it.
//!
//! What it stands on are crates of their own, each of which knows only those below it: `ipclusterz-launchers` (what
//! starts engines, and the record of it), `ipclusterz-ssh`, `ipclusterz-profile` and `ipclusterz-host`. In reading
//! order, from what a command is to what it stands on:
//!
//! - [`commands`]: one file per command; each returns a [`report`], which [`output`] prints, or a failure
//! - [`arguments`], [`usage`]: the command line as it is typed, and what is wrong with it
//! - [`start`]: the order of events of a start
//! - [`doctor`]: checks of this host and of what a profile needs
//! - [`supervisor`]: the process that a cluster lives and dies with; [`remote`]: the same for a cluster on another host
//! - [`guard`], [`cleanup`]: what ends and removes the remains of a launcher that was killed
//! - [`clusters`]: the clusters of this user, and the failures for one that is not there
//! - [`controller_process`]: the controller as a child
//! - [`requests`]: what other commands ask a running launcher for
//! - [`talk`], [`failures`]: what a running launcher says, and failures of the runtime in its words

pub mod arguments;
pub mod cleanup;
pub mod clusters;
pub mod commands;
pub mod controller_process;
pub mod doctor;
pub mod failures;
pub mod guard;
pub mod output;
pub mod remote;
pub mod report;
pub mod requests;
pub mod start;
pub mod supervisor;
pub mod talk;
pub mod usage;
