//! SSH: commands, files and forwards on other hosts, by a library compiled in or by the system's `ssh`.
//!
//! Knows hosts and connections, and no cluster. In reading order:
//!
//! - [`target`], [`config`], [`account`]: from what a user writes to where to go
//! - [`error`], [`asker`], [`terminal`], [`answers`], [`whom`], [`remembering`]: what is said and asked, and of whom
//! - [`known_hosts`]: whether a host is the one that it was
//! - [`remote`], [`ends`]: what both backends offer
//! - [`libssh2`], [`openssh`], [`connect()`]: the backends, and the choice between them
//! - [`tunnel`]: one forward that comes back after an outage
//! - [`sitting`]: the session of `sshd` there, which must not outlive the lease
//! - [`poll`]: waiting for descriptors

pub mod account;
pub mod answers;
pub mod asker;
pub mod config;
pub mod ends;
pub mod error;
pub mod known_hosts;
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
