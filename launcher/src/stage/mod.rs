//! The environment of the engines on a disk of this host: what `ipclusterz stage` does. In reading order:
//!
//! - [`layout`]: which folders belong to an environment
//! - [`fingerprint`]: whether it is the one that was read before
//! - [`parallel`]: many small waits at once; [`walk`], [`pack`]: its files, and all of them in one archive
//! - [`unpack`]: an archive as folders again, in which Python runs
//! - [`room`]: what has to go when there is no room; pure
//! - [`cache`]: what this host has, and who uses it
//! - [`passing`]: from host to host
//! - [`staging`]: all of it, in order
//! - [`meeting`], [`in_job`]: the same where no launcher hears of the hosts

pub mod cache;
pub mod fingerprint;
pub mod in_job;
pub mod layout;
pub mod meeting;
pub mod pack;
pub mod parallel;
pub mod passing;
pub mod room;
pub mod staging;
pub mod unpack;
pub mod walk;
