//! Questions that only the user can answer, and the trait of whoever answers them. How the user is asked is in
//! [`crate::terminal`].

use std::fmt;

/// A text that must not be printed. Its memory is overwritten when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes ownership of the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one call that needs it.
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
        // Keeps the compiler from removing a write that nothing reads.
        std::hint::black_box(&bytes);
    }
}

/// A question for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Text for the user, ending as a prompt does: `Password of me@n1: `.
    pub prompt: String,
    /// How many answers to it were wrong before.
    pub attempt: u32,
}

/// Answers questions.
pub trait Asker {
    /// The answer; `None` when there is nobody to ask, or the user does not answer. May block.
    fn ask(&mut self, question: &Question) -> Option<Secret>;

    /// Why the last question was not answered, for an error.
    fn reason(&self) -> &'static str {
        "there was nobody to ask"
    }

    /// Whether nobody waits for the connection any more. Checked repeatedly while the connection is made.
    fn has_given_up(&self) -> bool {
        false
    }
}

/// An asker that answers no question.
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
