//! The part of the handshake that never changes, so that two sides of different wire versions can tell each other so.
//!
//! # Format
//!
//! In every version, a header is a MessagePack map of two entries, first `"v"` with a number from 0 to 127, then the kind of
//! the message with a map of its fields. These kinds and fields stay; there may be others, which are passed over:
//!
//! ```text
//! {"v": …, "hello": {"role": text, "host": text, "pid": number, "release": text}}
//! {"v": …, "refused": {"reason": text, "hint": text}}
//! ```
//!
//! A controller that gets a `hello` of another version answers `refused` in its own; a peer shows `reason` and `hint` of
//! any version. `hint` and `release` may be missing.

use super::bounds;
use super::message::{Hello, Refused};
use ipclusterz_base::connection::ConnectionFile;
use ipclusterz_base::release;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What was heard from a side of another wire version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foreign {
    /// Its wire version.
    pub wire: u8,
    /// As far as it can be read.
    pub said: Said,
}

/// What a side of another wire version said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Said {
    /// Who it is.
    Hello(Introduction),
    /// That it does not let this side in.
    Refused(Refused),
    /// Something that this side cannot read.
    Other,
}

/// What every `hello` says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Introduction {
    /// `client` or `engine`.
    pub role: String,
    /// Where it runs.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// The number of its release.
    pub release: String,
}

impl fmt::Display for Foreign {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "wire version {}, and this side, ipclusterz {}, has {}",
            self.wire,
            release::number(),
            release::wire_version()
        )
    }
}

impl Foreign {
    /// Reads what stands behind the version of a header.
    pub(super) fn read(wire: u8, body: &[u8]) -> Foreign {
        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Known {
            Hello(Introduction),
            Refused(Refused),
        }
        let said = match rmp_serde::from_slice(body) {
            Ok(Known::Hello(mut hello)) => {
                for text in [&mut hello.role, &mut hello.host, &mut hello.release] {
                    bounds::word(text);
                }
                Said::Hello(hello)
            }
            Ok(Known::Refused(mut refused)) => {
                bounds::refused(&mut refused);
                Said::Refused(refused)
            }
            Err(_) => Said::Other,
        };
        Foreign { wire, said }
    }

    /// What a controller on `host` answers.
    pub fn refusal(&self, host: &str) -> Refused {
        let nobody = Introduction::default();
        let peer = if let Said::Hello(hello) = &self.said { hello } else { &nobody };
        let role = if peer.role.is_empty() { "peer" } else { &peer.role };
        let there = if peer.host.is_empty() { String::new() } else { format!(" on {}", peer.host) };
        let (own, wire) = (release::number(), release::wire_version());
        let reason = format!(
            "this {role}{there} is ipclusterz{} with wire version {}, and the controller on {host} is ipclusterz {own} with \
             wire version {wire}: they do not understand each other",
            spaced(&peer.release),
            self.wire,
        );
        Refused { reason, hint: Some(advice(role, &peer.host, &peer.release, host, own)) }
    }

    /// What a peer learns from the message of a controller, of which it has the connection file.
    pub fn answer(self, hello: &Hello, file: &ConnectionFile, address: &str) -> Refused {
        let (role, theirs) = (hello.role.to_string(), file.release.as_deref().unwrap_or_default());
        let hint = || Some(advice(&role, &hello.host, release::number(), &file.host, theirs));
        match self.said {
            Said::Refused(Refused { reason, hint: given }) => {
                Refused { reason: format!("{address} refused this peer: {reason}"), hint: given.or_else(hint) }
            }
            Said::Hello(_) | Said::Other => {
                Refused { reason: format!("{address} answers in another protocol: {self}"), hint: hint() }
            }
        }
    }
}

/// What to install where. What is not known is empty.
fn advice(role: &str, host: &str, number: &str, cluster_host: &str, cluster_number: &str) -> String {
    let here = format!("where this {role} runs{}", bracketed(host));
    let there = format!("where the cluster is started{}", bracketed(cluster_host));
    if number == cluster_number || number.is_empty() || cluster_number.is_empty() {
        return format!("install the same ipclusterz {here} and {there}, and start the cluster again");
    }
    format!("install ipclusterz {cluster_number} {here}; or {number} {there}, and start the cluster again")
}

fn bracketed(host: &str) -> String {
    if host.is_empty() { String::new() } else { format!(" ({host})") }
}

fn spaced(word: &str) -> String {
    if word.is_empty() { String::new() } else { format!(" {word}") }
}
