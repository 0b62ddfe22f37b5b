//! SSH: commands, files and forwards on other hosts, by a library that is compiled in or by the system's `ssh`.
//!
//! Responsible for hosts and connections; it knows nothing of clusters. In reading order:
//!
//! - [`target`], [`config`], [`account`]: parses and resolves what a user writes
//! - [`error`], [`asker`], [`terminal`], [`answers`], [`whom`], [`remembering`]: errors, questions, and who answers
//!   them
//! - [`known_hosts`]: checks the keys of hosts
//! - [`remote`], [`ends`]: what both backends offer
//! - [`libssh2`], [`openssh`], [`connect()`]: the backends, and the choice between them
//! - [`tunnel`]: one forward that is restored after an outage
//! - [`sitting`]: the `sshd` session on the other host, which must not outlive the lease
//! - [`poll`]: waiting for descriptors
//! - [`libraries`]: the versions of what is compiled in

pub mod account;
pub mod answers;
pub mod asker;
pub mod config;
pub mod ends;
pub mod error;
pub mod known_hosts;
pub mod libraries;
pub mod libssh2;
pub mod openssh;
pub mod poll;
pub mod remembering;
pub mod remote;
pub mod sitting;
pub mod target;
pub mod terminal;
pub mod tunnel;
pub mod whom;

mod connect;

pub use asker::{Asker, Nobody, Question, Secret};
pub use connect::connect;
pub use ends::{Endpoint, Forward, LocalListener};
pub use error::SshError;
pub use remote::{Remote, RunOutput};
