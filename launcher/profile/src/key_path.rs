//! The path of a key, and quoting of text for TOML.

use std::fmt::{self, Write};

/// The path of a key, such as `engines.env.OMP_NUM_THREADS`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyPath(Vec<String>);

impl KeyPath {
    /// The path in `text`, whose parts are separated by dots.
    pub fn of(text: &str) -> Self {
        Self(text.split('.').map(str::to_owned).collect())
    }

    /// From its parts.
    pub fn from_parts(parts: Vec<String>) -> Self {
        Self(parts)
    }

    /// The path of `key` in the table at this path.
    pub fn join(&self, key: &str) -> Self {
        let mut parts = self.0.clone();
        parts.push(key.to_owned());
        Self(parts)
    }

    /// Its parts.
    pub fn parts(&self) -> &[String] {
        &self.0
    }

    /// The key's own name.
    pub fn last(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    /// The path of the table that the key is in.
    pub fn parent(&self) -> Self {
        Self(self.0.split_last().map_or_else(Vec::new, |(_, parent)| parent.to_vec()))
    }

    /// Whether it is `other`, or a key below it.
    pub fn starts_with(&self, other: &KeyPath) -> bool {
        self.0.starts_with(&other.0)
    }
}

/// As it would be written in a file: parts that are not bare keys are quoted.
impl fmt::Display for KeyPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().map(|part| as_key(part)).collect();
        formatter.write_str(&parts.join("."))
    }
}

/// A key as TOML: bare when it can be.
fn as_key(part: &str) -> String {
    let bare = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    if !part.is_empty() && part.chars().all(bare) { part.to_owned() } else { quoted(part) }
}

/// Quotes a text for TOML. One with backslashes or double quotes gets single quotes, in which nothing is escaped.
pub fn quoted(text: &str) -> String {
    let plain = !text.contains(|letter: char| letter == '\'' || letter.is_control());
    if plain && text.contains(['\\', '"']) {
        return format!("'{text}'");
    }
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(letter);
            }
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            letter if letter.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", letter as u32);
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_as_toml_wants_them() {
        assert_eq!(KeyPath::of("engines.env").join("A-1_b").to_string(), "engines.env.A-1_b");
        assert_eq!(KeyPath::of("queue.reasons").join("(Node fail)").to_string(), "queue.reasons.\"(Node fail)\"");
    }
}
