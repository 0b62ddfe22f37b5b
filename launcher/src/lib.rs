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
//! - [`ssh`]: commands, files and forwards on other hosts
//! - [`launchers`], [`tables`]: what starts engines, and what a profile says about it
//! - [`batch`]: engines as jobs of a queue
//! - [`remote`]: a whole cluster on another host
//! - [`controller_process`], [`spawn`], [`daemon`], [`marked`]: processes of this host
//! - [`addresses`], [`limits`], [`python`]: what this host is and has
//! - [`units`]: times and sizes; [`shell`]: words for a shell; [`system`]: system calls; [`suggestion`]: "did you mean";
//!   [`talk`]: what a running launcher says
//! - [`doctor`]: checks of this host and of what a profile needs

pub mod addresses;
pub mod arguments;
pub mod batch;
pub mod cluster;
pub mod commands;
pub mod controller_process;
pub mod daemon;
pub mod doctor;
pub mod environment;
pub mod exit_code;
pub mod failure;
pub mod launchers;
pub mod limits;
pub mod marked;
pub mod output;
pub mod profile;
pub mod python;
pub mod remote;
pub mod report;
pub mod settings;
pub mod shell;
pub mod spawn;
pub mod ssh;
pub mod suggestion;
pub mod supervisor;
pub mod system;
pub mod tables;
pub mod talk;
pub mod units;
pub mod usage;
