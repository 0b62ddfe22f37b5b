//! The process that starts a cluster, watches over it and ends it. In reading order:
//!
//! - [`core`]: decides, without sockets, clock or processes; `inputs` is what it is told and what it wants done, `policy`
//!   what it goes by, [`set`] one set, [`world`](self) the loss of ranks, [`loss`] their record, [`scaling`] which
//!   engines go, `restart` how long to wait, `progress` how far all is
//! - [`run`]: the loop that owns a cluster and turns events into inputs of the core; `act` performs its actions
//! - `blocks`: jobs that come and go with the load
//! - `shutdown`, `outcome`: the end, and what it means to the one who started the cluster
//! - [`events`], [`lease`], [`program`]: where events come from
//! - `names`, `tails`: words for engines, and the ends of logs

mod act;
mod blocks;
pub mod core;
pub mod events;
pub mod inputs;
pub mod lease;
pub mod loss;
mod names;
mod outcome;
pub mod policy;
pub mod program;
mod progress;
mod restart;
pub mod run;
pub mod scaling;
pub mod set;
mod shutdown;
mod tails;
mod world;
