//! The connection file: all that a peer needs to reach a controller and be let in.
//!
//! 1. `keys`: what a peer is, and the keys that admit it.
//! 2. `file`: the file's format; how it is read, checked and written.
//! 3. `error`: why a file cannot be used, and what the user can do about it.
//! 4. `find`: which file is meant by the name of a cluster.

mod error;
mod file;
mod find;
mod keys;

pub use error::ConnectionError;
pub use file::{ConnectionFile, ControllerProcess};
pub use find::{FindError, find_client_file};
pub use keys::{CurveKeys, Role};

/// The version written, and the only one read.
pub const CONNECTION_FILE_VERSION: u64 = 1;
