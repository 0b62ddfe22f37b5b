//! A connection as the controller sees it: its number, and what its key admits.

use ipclusterz_base::connection::Role;
use serde::{Deserialize, Serialize};

/// A connection as the ROUTER numbers it: the last four bytes of the five that libzmq gives each peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Route(pub u32);

/// How a connection was admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Admitted {
    /// Through the unix socket, in any role: the file system has admitted it.
    Local,
    /// Through TCP with a key of this role.
    Keyed(Role),
}
