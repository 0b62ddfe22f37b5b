//! A connection as the controller sees it: its number, and what its key admits.

use crate::connection::Role;

/// A connection as the ROUTER numbers it: the last four bytes of the five that libzmq gives each peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Route(pub u32);

/// As what a connection's key admits its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    /// Through the unix socket: whatever it says it is, since the file system let it in.
    Local,
    /// Through TCP with a key of this role.
    Keyed(Role),
}
