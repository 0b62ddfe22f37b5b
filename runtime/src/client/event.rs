//! What happens to the cluster, told to whoever asks.

use crate::ids::EngineId;
use crate::wire::message::EngineInfo;

/// What happened to the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A new engine is there.
    EngineJoined(EngineInfo),
    /// An engine is gone.
    EngineLeft {
        /// Which.
        id: EngineId,
        /// Why.
        reason: String,
    },
    /// The connection broke; the session is to go on when there is one again, and calls wait for that.
    Interrupted {
        /// Why.
        reason: String,
    },
    /// The session goes on.
    Resumed,
    /// The controller is gone, or there was no connection to it for too long: what was under way is lost.
    Disconnected {
        /// Why.
        reason: String,
    },
}
