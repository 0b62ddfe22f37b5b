//! Starts engines as processes of this host, each a set of its own. In reading order:
//!
//! - [`engines`]: what they have in common, however they are started
//! - [`spawn`]: each is an interpreter that is started
//! - [`orders`]: what is said to a fork server, and what it says
//! - [`server`]: the process of a fork server, which has imported what engines need
//! - [`fork`]: each is a fork of that

pub mod engines;
pub mod fork;
pub mod orders;
pub mod server;
pub mod spawn;
