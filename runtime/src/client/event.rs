//! What happens to the cluster and to the connection.

use crate::wire::message::EngineInfo;
use ipclusterz_base::ids::EngineId;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An engine has registered.
    EngineJoined(EngineInfo),
    /// An engine has left.
    EngineLeft {
        /// Its id.
        id: EngineId,
        /// Why.
        reason: String,
    },
    /// To a launcher: an engine does not end although it has to.
    EngineHangs(EngineId),
    /// The connection broke. The session will be resumed, and calls wait for that.
    Interrupted {
        /// Why.
        reason: String,
    },
    /// The session was resumed.
    Resumed,
    /// The controller has exited, or there was no connection to it for too long: what was under way is lost.
    Disconnected {
        /// Why.
        reason: String,
    },
}
