//! Newtypes for the numbers that name things, so that one is never taken for another.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }
    };
}

id! {
    /// What the user calls an engine: the lowest number that was free when it registered.
    EngineId, u32
}
id! {
    /// A submission, counted by the client that made it.
    RequestId, u64
}
id! {
    /// One request on one engine, counted by the controller.
    TaskId, u64
}
id! {
    /// A peer (engine or client) as the controller counts them; never used twice by one controller.
    PeerId, u64
}

impl RequestId {
    /// So many numbers each client of a session has for its requests: more than it can submit in a year.
    const PER_CLIENT: u64 = 1_000_000_000_000;

    /// The number behind which the next client of the session begins. The client before it may have given numbers that the
    /// controller has not heard of: none of them is behind this one.
    pub fn of_next_client(self) -> Self {
        RequestId((self.0 / Self::PER_CLIENT).saturating_add(1).saturating_mul(Self::PER_CLIENT))
    }
}

/// BLAKE2b-128 of a function's packed code.
pub type FunctionHash = [u8; 16];
