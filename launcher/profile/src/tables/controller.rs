//! `[controller]`: where the controller listens.

use serde::Deserialize;

/// See `profiles/default.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "profiles/default.toml explains every key")]
pub struct ControllerTable {
    pub local: bool,
    pub listen: String,
    pub advertise: Vec<String>,
    pub session_grace: f64,
}
