//! Which engines there are.

use super::resources::Resources;
use ipclusterz_base::ids::EngineId;
use ipclusterz_base::process::Birth;
use serde::{Deserialize, Serialize};

/// What a client knows of an engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineInfo {
    /// What the user calls it.
    pub id: EngineId,
    /// Identifies its process.
    pub uuid: String,
    /// Where it runs.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// The controller's address through which it is connected.
    pub address: String,
    /// What its pid means, for clients of its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub birth: Option<Birth>,
}

/// See [`super::Message::EngineLeft`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineLeft {
    /// Another one comes, which says how it ended, or that nobody knows.
    #[serde(default)]
    pub more: bool,
    /// Its id.
    pub id: EngineId,
    /// Why, for people.
    pub reason: String,
}

/// See [`super::Message::EngineAway`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineAway {
    /// Its id.
    pub id: EngineId,
    /// None: it has its connections again.
    #[serde(default)]
    pub away: Option<Away>,
    /// To the launcher alone, and about nothing else: it does not end although it has to, so that its process is to be ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hangs: bool,
}

/// An engine that has no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Away {
    /// For so many seconds.
    pub seconds: u64,
    /// It is waited for so many seconds more.
    pub left: u64,
    /// Nothing is heard of it: its network may be down. Otherwise its connections were closed.
    #[serde(default)]
    pub silent: bool,
}

impl Away {
    /// The same, so many seconds later.
    pub fn later(self, seconds: u64) -> Away {
        let (for_so_long, left) = (self.seconds.saturating_add(seconds), self.left.saturating_sub(seconds));
        Away { seconds: for_so_long, left, ..self }
    }

    /// In words, for whoever waits for the engine.
    pub fn of(&self, who: &str) -> String {
        let Away { seconds, left, silent } = self;
        let (why, key) = if *silent {
            ("nothing is heard of it", "engines.lease")
        } else {
            ("its connections were closed", "controller.engine_grace")
        };
        format!("{who} has had no connection for {seconds} s: {why}; it is waited for {left} s more ({key})")
    }
}

/// See [`super::Message::EngineEnded`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineEnded {
    /// Identifies its process.
    pub uuid: String,
    /// How that ended, for people: `signal: 11 (SIGSEGV)`; none: nothing is known.
    pub how: Option<String>,
    /// Whoever says so has seen it end: it is over, whatever its connections look like.
    #[serde(default)]
    pub certain: bool,
}

/// See [`super::Message::EnginesExpected`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnginesExpected {
    /// Some may come.
    pub coming: bool,
    /// What they wait for, or why none comes, for people; empty: nothing is known.
    pub why: String,
    /// What those offer to tasks that there are or may come, each kind once; none: nothing is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offers: Option<Vec<Resources>>,
}
