//! Checks a host's key against known_hosts files (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).
//!
//! Names may be plain, patterns or hashed. `@revoked` is supported; `@cert-authority` is not (certificates of hosts are
//! left to the system's ssh). Responsible for parsing and comparing; the backend gets the key from the host.

use crate::account::{Account, expand, home};
use crate::error::SshError;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use ipclusterz_base::error::PlacesError;
use ipclusterz_base::private::{self, Trust};
use ipclusterz_profile::tables::ssh::SshTable;
use std::path::PathBuf;

/// One line about a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The file.
    pub file: PathBuf,
    /// The number of the line, from 1.
    pub line: usize,
    /// Whether the key is marked as revoked.
    pub revoked: bool,
    /// The type of the key, such as `ssh-ed25519`.
    pub key_type: String,
    /// The key in its wire format.
    pub key: Vec<u8>,
}

/// The result of the check of a host's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is the known one.
    Known,
    /// The host is in no file.
    Unknown,
    /// The host is known with another key.
    Changed(Entry),
    /// The key is marked as revoked.
    Revoked(Entry),
}

/// Matches hashed names.
pub trait HashedNames {
    /// Whether `hashed`, the first field of a line in the form `|1|salt|hash`, is the name of `host`.
    fn is_name_of(&self, hashed: &str, host: &str) -> bool;
}

/// The lines about `host` (`n1` or `[n1]:2222`) in `files`. A file that cannot be read counts as empty.
pub fn entries(files: &[PathBuf], host: &str, hashes: &dyn HashedNames) -> Vec<Entry> {
    let mut found = Vec::new();
    for file in files {
        let Ok(text) = std::fs::read(file) else { continue };
        for (line, number) in String::from_utf8_lossy(&text).lines().zip(1..) {
            if let Some((names, mut entry)) = parse(line)
                && names_match(names, host, hashes)
            {
                entry.file.clone_from(file);
                entry.line = number;
                found.push(entry);
            }
        }
    }
    found
}

/// Compares the key that a host showed with the lines about the host.
pub fn judge(entries: &[Entry], key: &[u8]) -> Verdict {
    if let Some(revoked) = entries.iter().find(|entry| entry.revoked && entry.key == key) {
        return Verdict::Revoked(revoked.clone());
    }
    let mut trusted = entries.iter().filter(|entry| !entry.revoked);
    if trusted.clone().any(|entry| entry.key == key) {
        return Verdict::Known;
    }
    // Prefer a key of the same type: that is the one that was replaced.
    let own_type = key_type(key);
    let other = trusted.clone().find(|entry| Some(entry.key_type.as_str()) == own_type).or_else(|| trusted.next());
    other.map_or(Verdict::Unknown, |entry| Verdict::Changed(entry.clone()))
}

/// The type that the key itself states; `None` when it is malformed.
pub fn key_type(key: &[u8]) -> Option<&str> {
    let length: [u8; 4] = key.get(..4)?.try_into().ok()?;
    let name = key.get(4..4 + usize::try_from(u32::from_be_bytes(length)).ok()?)?;
    std::str::from_utf8(name).ok()
}

/// The name of a key type for people, such as `ED25519`, as ssh-keygen prints it.
pub fn kind(key_type: &str) -> &'static str {
    match key_type {
        "ssh-ed25519" => "ED25519",
        "ssh-rsa" => "RSA",
        "ssh-dss" => "DSA",
        "sk-ssh-ed25519@openssh.com" => "ED25519-SK",
        "sk-ecdsa-sha2-nistp256@openssh.com" => "ECDSA-SK",
        ecdsa if ecdsa.starts_with("ecdsa-") => "ECDSA",
        _ => "unknown",
    }
}

/// The line of known_hosts for a key under a name.
pub fn line(name: &str, key: &[u8]) -> String {
    format!("{name} {} {}", key_type(key).unwrap_or("unknown"), BASE64_STANDARD.encode(key))
}

/// Formats the SHA-256 digest of a key: `SHA256:…`.
pub fn fingerprint(digest: &[u8]) -> String {
    format!("SHA256:{}", BASE64_STANDARD_NO_PAD.encode(digest))
}

/// Parses the names and the key of a line; `None` for comments and for lines that cannot be parsed.
fn parse(line: &str) -> Option<(&str, Entry)> {
    let mut words = line.split_whitespace();
    let mut names = words.next()?;
    let mut revoked = false;
    match names {
        comment if comment.starts_with('#') => return None,
        "@revoked" => {
            revoked = true;
            names = words.next()?;
        }
        marker if marker.starts_with('@') => return None,
        _ => {}
    }
    let key_type = words.next()?.to_owned();
    let key = BASE64_STANDARD.decode(words.next()?).ok()?;
    Some((names, Entry { file: PathBuf::new(), line: 0, revoked, key_type, key }))
}

fn names_match(names: &str, host: &str, hashes: &dyn HashedNames) -> bool {
    if names.starts_with('|') {
        return hashes.is_name_of(names, host);
    }
    let mut matched = false;
    for name in names.split(',') {
        match name.strip_prefix('!') {
            Some(name) if pattern_matches(name, host) => return false,
            Some(_) => {}
            None => matched |= pattern_matches(name, host),
        }
    }
    matched
}

/// Matches a pattern: `*` matches any text and `?` one character; case is ignored.
fn pattern_matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_lowercase().into_bytes(), text.to_lowercase().into_bytes());
    let (mut at, mut from, mut star) = (0, 0, None);
    while from < text.len() {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at, from));
            at += 1;
        } else if pattern.get(at).is_some_and(|letter| *letter == b'?' || *letter == text[from]) {
            (at, from) = (at + 1, from + 1);
        } else if let Some((star_at, star_from)) = star {
            // Backtrack: let the star match one character more.
            star = Some((star_at, star_from + 1));
            (at, from) = (star_at + 1, star_from + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|letter| *letter == b'*')
}

/// The files of known hosts that a profile names, with `~` replaced.
///
/// An error if somebody else could have changed one of them: a host could then be put in another one's place.
pub fn files_of(table: &SshTable) -> Result<Vec<PathBuf>, SshError> {
    let home = home(&Account::of_this_process());
    let checked = |file: PathBuf| match private::open(&file, Trust::OurFile) {
        // One that is missing has no keys in it.
        Ok(_) | Err(PlacesError::Io { .. }) => Ok(file),
        Err(error) => Err(SshError::Place(error)),
    };
    table.known_hosts.iter().map(|file| checked(expand(file, &home))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct NoHashes;
    impl HashedNames for NoHashes {
        fn is_name_of(&self, hashed: &str, host: &str) -> bool {
            hashed == "|1|salt|n5" && host == "n5"
        }
    }

    /// Made with ssh-keygen.
    const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIAQ3/sbFAuoa4TkLMi2LQU3AEmD4iMjqYKqRsd4wpSxN";
    const OTHER: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIBQ3/sbFAuoa4TkLMi2LQU3AEmD4iMjqYKqRsd4wpSxN";

    fn verdict(text: &str, host: &str) -> Verdict {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("known_hosts");
        std::fs::write(&file, text).expect("write");
        let mut found = entries(&[PathBuf::from("/nowhere"), file], host, &NoHashes);
        for entry in &mut found {
            entry.file = PathBuf::from("f");
        }
        judge(&found, &BASE64_STANDARD.decode(KEY).expect("base64"))
    }

    #[test]
    fn names_of_all_kinds() {
        for line in ["n1", "a,N1,b", "n?", "*", "[n1]:2222,n1", "*.example,n1"] {
            assert_eq!(verdict(&format!("# c\n\n{line} ssh-ed25519 {KEY} me\n"), "n1"), Verdict::Known, "{line}");
        }
        for line in ["n2", "*,!n1", "[n1]:2222", "@cert-authority *", "#n1"] {
            assert_eq!(verdict(&format!("{line} ssh-ed25519 {KEY}\n"), "n1"), Verdict::Unknown, "{line}");
        }
        assert_eq!(verdict(&format!("|1|salt|n5 ssh-ed25519 {KEY}\n"), "n5"), Verdict::Known);
        assert_eq!(verdict(&format!("[n1]:2222 ssh-ed25519 {KEY}\n"), "[n1]:2222"), Verdict::Known);
    }

    #[test]
    fn a_line_that_is_written_is_found() {
        let key = BASE64_STANDARD.decode(KEY).expect("base64");
        assert_eq!(line("[n1]:2222", &key), format!("[n1]:2222 ssh-ed25519 {KEY}"));
        assert_eq!(verdict(&line("an-alias", &key), "an-alias"), Verdict::Known);
    }

    #[test]
    fn another_key_names_its_line() {
        let text = format!("x ssh-ed25519 {KEY}\nn1 ssh-rsa AAAA\nn1 ssh-ed25519 {OTHER}\n");
        let Verdict::Changed(entry) = verdict(&text, "n1") else { panic!("not changed") };
        assert_eq!((entry.line, entry.key_type.as_str()), (3, "ssh-ed25519"));
    }

    #[test]
    fn a_revoked_key_is_refused_although_it_is_known() {
        let text = format!("n1 ssh-ed25519 {KEY}\n@revoked * ssh-ed25519 {KEY}\n");
        assert!(matches!(verdict(&text, "n1"), Verdict::Revoked(Entry { line: 2, .. })));
    }

    #[test]
    fn a_key_tells_its_type() {
        assert_eq!(key_type(&BASE64_STANDARD.decode(KEY).expect("base64")), Some("ssh-ed25519"));
        assert_eq!(key_type(&[0, 0]), None);
    }
}
