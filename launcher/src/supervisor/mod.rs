//! The process that starts a cluster, watches over it and ends it. In reading order:
//!
//! - [`core`]: decides, without sockets, clock or processes; `inputs` has its inputs and actions, `policy` its
//!   settings, [`set`] one set, `leaving` what the end of one means, `bring_back` how engines come back one by one, `comebacks` how far they are, `restarting` how they are restarted on request, [`world`](self) the loss of ranks, [`loss`] the record of losses, `ends` what the
//!   controller is told of them, `controller_life` whether it is started again, [`scaling`] which engines leave, `restart` how long to wait before a restart,
//!   `progress` how far all sets are, `questions` when it is asked how an engine ended, `announcements` who is ready
//! - [`run`]: the loop that owns a cluster and turns events into inputs of the core; `act` carries out its actions,
//!   `controller` those about the controller; `connection`: what that is told
//! - `blocks`: jobs that start and end with the load
//! - `shutdown`, `outcome`, `advice`: the end, the result of the command, and what to do about it
//! - [`events`], [`lease`], [`program`]: the sources of events
//! - `names`, `tails`: names of engines in messages, and the ends of logs; `offers`: what engines offer to tasks
//! - `log_watch`: keeps logs within their bound

mod act;
mod advice;
mod announcements;
mod blocks;
mod bring_back;
mod comebacks;
mod connection;
mod controller;
mod controller_life;
pub mod core;
mod ends;
pub mod events;
pub mod inputs;
pub mod lease;
mod leaving;
mod log_watch;
pub mod loss;
mod names;
mod offers;
mod outcome;
pub mod policy;
pub mod program;
mod progress;
mod questions;
mod restart;
mod restarting;
pub mod run;
pub mod scaling;
pub mod set;
mod shutdown;
mod tails;
mod world;
