//! A whole cluster on another host: launcher, controller and engines run there, started by `ipclusterz` there; here
//! are a tunnel, a record under the same name, and this process, which looks after them.
//!
//! ```text
//! here                                             there
//! ipclusterz start ─ SSH ─ touches the lease ────▶ ipclusterz start --lease-file F   (ends when F is not touched)
//! Client() ─▶ client.json ─▶ socket ─ tunnel ────▶ controller
//! ```
//!
//! In reading order:
//!
//! - [`plan`]: what the start there is given
//! - [`supervise`](mod@supervise), `starting`: the order of events, on this side
//! - [`there`], [`answers`]: the scripts for the shell there, and what their answers mean
//! - [`lookout`]: looking after a cluster that runs
//! - [`clusters`], [`opened`]: the clusters of a user there, and a forward through which a controller answers

pub mod answers;
pub mod clusters;
pub mod lookout;
pub mod opened;
pub mod plan;
mod starting;
pub mod supervise;
pub mod there;
