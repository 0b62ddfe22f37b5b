//! The process that starts a cluster, watches over it and ends it.
//!
//! [`core`] decides, without sockets, clock or processes, of sets ([`set`]), [`world`] of lost ranks ([`loss`]), and [`scaling`] of which go; [`run`] owns everything and turns events into its inputs and
//! its actions into deeds; `shutdown` ends it all; `outcome` words the reason; [`progress`] what is waited for, and why; [`events`] and [`signals`] are where events come from.

mod blocks;
pub mod core;
pub mod events;
pub mod lease;
pub mod loss;
mod outcome;
pub mod program;
pub mod progress;
pub mod requests;
mod restart;
pub mod run;
pub mod scaling;
pub mod set;
mod shutdown;
pub mod signals;
mod world;
