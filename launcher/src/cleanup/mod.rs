//! Removes what is left of launchers that could not clean up after themselves. Stands above all launchers, because a
//! record may be of any of them. In reading order:
//!
//! - [`jobs`]: ends what one set consists of: a process, processes on a host, a job, a cluster elsewhere
//! - [`remains`]: removes what is left of a whole cluster
//! - [`elsewhere`]: the same for a cluster of a host that is gone
//! - [`tunnels`], [`folders`]: remove what is left of tunnels, and folders of sockets

pub mod elsewhere;
pub mod folders;
pub mod jobs;
pub mod remains;
pub mod tunnels;
