//! What `ipclusterz stage` is told on a host, through its standard input, and what it says there.
//!
//! # Format
//!
//! The order is one line of JSON. What is said are lines of JSON in a file, the last of which counts.

use ipclusterz_base::random::random_key;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Of the launcher's release, like the program on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The Python of the engines, as it is installed.
    pub python: String,
    /// An archive of the environment, to be used instead of what `python` belongs to.
    pub archive: Option<String>,
    /// What other hosts have. None: this host is to read the environment.
    pub content: Option<Content>,
    /// The hosts that have it, by the addresses of each.
    pub sources: Vec<Vec<String>>,
    /// What hosts of one start know.
    pub secret: Secret,
    /// The host passes the environment on for as long as this file is there.
    pub watched: String,
}

/// The order for all hosts of a cluster's jobs, in a file that they see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobOrder {
    /// As in [`Order`].
    pub python: String,
    /// As in [`Order`].
    pub archive: Option<String>,
    /// As in [`Order`].
    pub secret: Secret,
    /// As in [`Order`].
    pub watched: String,
    /// The folder in which hosts find each other.
    pub meeting: String,
}

/// Which archive of an environment is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// The hash of the archive.
    pub hash: String,
    /// The fingerprint of what was read, so that each host knows it again.
    pub fingerprint: String,
}

/// Admits the hosts of one start to each other: the number and the key of a ticket, in hexadecimal.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// May be seen by anybody.
    pub id: String,
    /// Known to these hosts alone.
    pub key: String,
}

impl Secret {
    /// A new one; none where the kernel gives no random bytes.
    pub fn new() -> Option<Self> {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(Self { id: hex(&random_key::<16>()?), key: hex(&random_key::<32>()?) })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}

/// What a host says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// For a person: what it is doing.
    Doing(String),
    /// It has the environment.
    Staged(Staged),
    /// It cannot have it.
    Failed {
        /// Why.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
}

/// An environment on a disk of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staged {
    /// The Python to run.
    pub python: String,
    /// The folder that is in use while it runs.
    pub entry: String,
    /// What it is.
    pub content: Content,
    /// Where other hosts get it; empty where they cannot.
    pub addresses: Vec<String>,
    /// Where it comes from.
    pub from: Origin,
    /// Why a host that was to have it from another one has not; for a person.
    pub instead: Option<String>,
}

/// Where a host has an environment from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// It was there.
    Kept,
    /// From another host.
    Host,
    /// From where it is installed.
    Installed,
}

impl Said {
    /// What the last of these lines says.
    pub fn last(text: &str) -> Option<Said> {
        text.lines().rev().find_map(|line| serde_json::from_str(line).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_whole_line_counts() {
        let lines = [Said::Doing("a".to_owned()), Said::Failed { message: "b".to_owned(), hint: None }];
        let text: Vec<String> = lines.iter().map(|said| serde_json::to_string(said).expect("JSON")).collect();
        assert_eq!(Said::last(&text.join("\n")), Some(lines[1].clone()));
        assert_eq!(Said::last(&format!("{}\n{}", text[0], &text[1][..9])), Some(lines[0].clone()));
        assert_eq!(Said::last("nothing"), None);
    }

    #[test]
    fn a_secret_is_not_shown() {
        let secret = Secret { id: "01".to_owned(), key: "0badcafe".to_owned() };
        assert!(!format!("{secret:?}").contains("0badcafe"));
    }
}
