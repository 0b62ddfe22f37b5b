//! Why the settings of a start are refused, and the parsing of times that options and profiles give.

use crate::error::ProfileError;
use ipclusterz_base::places::PlacesError;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use std::time::Duration;

/// Why the settings of a start are refused.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The profile cannot be used.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The cluster's name cannot be used.
    #[error(transparent)]
    Places(#[from] PlacesError),
    /// A value makes no sense; the error names the place that it came from.
    #[error("{origin}: {message}")]
    BadValue {
        /// `--option`, the variable, or the profile's file, line and key.
        origin: String,
        /// What is wrong with it.
        message: String,
        /// What would be right.
        hint: String,
    },
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        match error {
            SettingsError::Profile(error) => error.into(),
            SettingsError::Places(error) => error.into(),
            SettingsError::BadValue { ref hint, .. } => Failure::new(Exit::Usage, error.to_string()).with_hint(hint),
        }
    }
}

/// The longest time that is accepted, in seconds: thirty years. Far longer ones would overflow a clock.
pub(crate) const LONGEST: f64 = 1e9;

/// Converts a number of seconds from an option or a profile. Fails unless it is positive and not too long.
pub fn seconds(origin: &str, value: f64) -> Result<Duration, SettingsError> {
    if value > 0.0 && value <= LONGEST {
        return Ok(Duration::from_secs_f64(value));
    }
    Err(SettingsError::BadValue {
        origin: origin.to_owned(),
        message: format!("{value} is not a number of seconds to wait"),
        hint: "give a number above 0, such as 30 or 0.5".to_owned(),
    })
}
