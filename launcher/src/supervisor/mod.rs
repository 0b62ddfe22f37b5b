//! The process that starts a cluster, watches over it and ends it.
//!
//! [`core`] decides, without sockets, clock or processes; [`run`] owns everything and turns events into its inputs and
//! its actions into deeds; `shutdown` ends it all; `outcome` words the reason; [`events`] and [`signals`] are where events come from.

pub mod core;
pub mod events;
mod outcome;
mod restart;
pub mod run;
mod shutdown;
pub mod signals;
