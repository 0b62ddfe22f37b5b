//! Profiles: TOML files that describe a cluster, and the settings that a start derives from them.
//!
//! Responsible for finding and reading all layers, and for merging them into one complete set of typed tables, in which
//! each value remembers its origin. The layers, weakest first: the embedded default, what the profile extends, the
//! profile, the project's file, variables, options. Starts nothing and asks no other host. In reading order:
//!
//! - [`tables`]: the tables of a profile, typed
//! - [`environment`]: the variables that `ipclusterz` reads
//! - `shipped`, `schema`, `key_path`: the profiles that are compiled in, which keys exist, and their paths
//! - [`find`], `read`, `position`: where files are, and one file with the places of its keys
//! - `entries`, `origin`, `layers`: keys with values and origins, variables and options, and how layers are merged
//! - [`allocation`]: the job of a queue that this process runs in
//! - [`Profile`]: all layers of one profile, merged
//! - [`write()`], [`starter`]: back to TOML
//! - [`settings`]: the checked settings of a start

pub mod allocation;
pub mod environment;
pub mod find;
pub mod settings;
pub mod tables;

mod entries;
mod error;
mod key_path;
mod layers;
mod origin;
mod position;
mod profile;
mod read;
mod schema;
mod shipped;
mod starter;
mod write;

pub use entries::Entries;
pub use error::{Asked, ProfileError};
pub use find::{Found, Places};
pub use key_path::KeyPath;
pub use layers::list;
pub use origin::Origin;
pub use profile::{Options, Profile, default_tables};
pub use shipped::DEFAULT_NAME;
pub use starter::starter;
pub use write::write;
