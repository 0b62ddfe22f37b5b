//! What protects the payloads of a link, and what both ends see to before they leave out their own encryption.

use super::other_end;
use std::net::SocketAddr;

/// See the file. Both ends have to agree to plain bytes, on each connection anew: one is enough for encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Payload {
    /// The connection's own encryption, always.
    Sealed,
    /// That of an SSH tunnel, on connections whose every leg outside of it is between processes of this user on one host: each
    /// end looks at its own leg. Otherwise as `Sealed`.
    #[default]
    ThroughSsh,
    /// Nothing: the profile says that the network is trusted.
    Plain,
}

impl Payload {
    /// What a controller that is run with this has of a peer, which says whether it comes through SSH.
    pub fn of_peer(self, through_ssh: bool) -> Payload {
        match self {
            Payload::ThroughSsh if !through_ssh => Payload::Sealed,
            other => other,
        }
    }

    /// Whether this end agrees to plain bytes on a connection from `own` to `other`. The connection must stand.
    pub(super) fn may_be_plain(self, own: Option<SocketAddr>, other: Option<SocketAddr>) -> bool {
        match self {
            Payload::Sealed => false,
            Payload::ThroughSsh => own.zip(other).is_some_and(|(own, other)| other_end::is_ours(own, other)),
            Payload::Plain => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_comes_through_ssh_has_the_encryption_of_ssh() {
        assert_eq!(Payload::ThroughSsh.of_peer(true), Payload::ThroughSsh);
        assert_eq!(Payload::ThroughSsh.of_peer(false), Payload::Sealed);
        for through_ssh in [true, false] {
            assert_eq!(Payload::Sealed.of_peer(through_ssh), Payload::Sealed);
            assert_eq!(Payload::Plain.of_peer(through_ssh), Payload::Plain);
        }
    }
}
