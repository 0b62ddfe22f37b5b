//! A cluster as its folder shows it: who runs it, and whether it is alive. Talking to it is not done here. In reading
//! order:
//!
//! - [`folder`], [`logs`]: the names of its files
//! - [`handle`], [`state`]: the launcher's record, and the cluster's state derived from it
//! - [`files`]: removes them
//! - [`lock`]: one launcher at a time
//! - [`alive`]: the sign of life of its launcher, for other hosts
//! - [`tunnel`]: the record of a tunnel, which may have such a folder too
//! - [`outcome`]: why it has ended, where nobody was told
//! - [`ended`]: removes folders in which only logs are left

pub mod alive;
pub mod ended;
pub mod files;
pub mod folder;
pub mod handle;
pub mod lock;
pub mod logs;
pub mod outcome;
pub mod state;
pub mod tunnel;

pub use folder::ClusterFolder;
