//! The `ipclusterz` command: starts a cluster, watches over it, finds it again and stops it.
//!
//! In reading order:
//!
//! - [`arguments`], [`usage`]: the command line as it is typed, and what is wrong with it
//! - [`environment`], [`profile`], [`settings`]: what a start will do, weighed from all sources
//! - [`commands`]: one file per command; each returns a [`report`], which [`output`] prints, or a [`failure`]
//! - [`exit_code`]: what the shell is told
//! - [`cluster`]: the folder of a cluster, and what can be told from it
//! - [`supervisor`]: the process that a cluster lives and dies with
//! - [`local`], [`spawn`], [`daemon`]: processes on this host
//! - [`limits`], [`python`]: what a start needs of this host
//! - [`system`]: system calls; [`suggestion`]: "did you mean"; [`talk`]: what a running launcher says

pub mod arguments;
pub mod cluster;
pub mod commands;
pub mod daemon;
pub mod environment;
pub mod exit_code;
pub mod failure;
pub mod limits;
pub mod local;
pub mod output;
pub mod profile;
pub mod python;
pub mod report;
pub mod settings;
pub mod spawn;
pub mod suggestion;
pub mod supervisor;
pub mod system;
pub mod talk;
pub mod usage;
