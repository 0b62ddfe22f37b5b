//! Removing what is left of launchers that could not clean up after themselves: above all launchers, for it ends what the
//! record of any of them names. In reading order:
//!
//! - [`jobs`]: ends what one set was: a process, processes on a host, a job, a cluster elsewhere
//! - [`remains`]: a whole cluster
//! - [`tunnels`], [`folders`]: tunnels, and folders of sockets

pub mod folders;
pub mod jobs;
pub mod remains;
pub mod tunnels;
