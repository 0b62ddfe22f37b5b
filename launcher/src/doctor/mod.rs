//! Checks of this host and of what a profile needs, for `ipclusterz doctor` and `ipclusterz profile check`.
//!
//! One file per family: [`environment`], [`versions`] (with [`probe`]), [`room`], [`folders`], [`shared`], [`hosts`], [`queue`],
//! [`mpi`], [`job`] for a node; [`elsewhere`] has them run on another host. Each returns [findings](crate::report::finding).
//! [`outside`] is the seam to other hosts and queues, [`real`] its real implementation.

pub mod elsewhere;
pub mod environment;
pub mod folders;
pub mod hosts;
pub mod job;
pub mod mpi;
pub mod outside;
pub mod probe;
pub mod queue;
pub mod real;
pub mod room;
pub mod scratch;
pub mod shared;
pub mod versions;
