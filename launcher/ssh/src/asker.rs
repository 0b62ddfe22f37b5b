//! Questions that only the user can answer, and whoever is asked.

use std::fmt;

/// Something that must not be printed. Overwritten when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes it over.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// For the one call that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.0).into_bytes();
        bytes.fill(0);
        // So that the compiler does not leave out what nobody reads.
        std::hint::black_box(&bytes);
    }
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Text for the user, ending as a prompt does: `Password of me@n1: `.
    pub prompt: String,
    /// How often the answer was wrong before.
    pub attempt: u32,
}

/// Whoever answers.
pub trait Asker {
    /// The answer; `None` when there is nobody to ask, or who is asked does not want to answer.
    fn ask(&mut self, question: &Question) -> Option<Secret>;

    /// Why there was no answer, for an error.
    fn reason(&self) -> &'static str {
        "there was nobody to ask"
    }

    /// Whether whoever waits for the connection does so no more; looked at again and again while it is made.
    fn has_given_up(&self) -> bool {
        false
    }
}

/// Answers nothing.
#[derive(Debug, Clone, Copy)]
pub struct Nobody;

impl Asker for Nobody {
    fn ask(&mut self, _: &Question) -> Option<Secret> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_has_no_secret() {
        assert!(!format!("{:?}", Secret::new("hunter2")).contains("hunter2"));
    }
}
