//! A whole cluster on another host. Its launcher, controller and engines run there, started by the `ipclusterz` of that
//! host. On this host are a tunnel, a record of the same name, and this process, which looks after the cluster.
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
//! - [`supervise`](mod@supervise), `starting`: the order of events on this side
//! - [`there`], [`answers`]: the scripts for the shell there, and the meaning of their answers
//! - [`version`]: whether the two programs understand each other
//! - [`lookout`]: watches a cluster that runs there
//! - [`clusters`], [`opened`]: finds the clusters of a user there; a forward through which a controller answers

pub mod answers;
pub mod clusters;
pub mod lookout;
pub mod opened;
pub mod plan;
mod starting;
pub mod supervise;
pub mod there;
pub mod version;
