//! Checks a host's key: prefers known key types before the handshake, compares the key after it. Parsing known_hosts is
//! in [`crate::known_hosts`].

use crate::config::Resolved;
use crate::error::{Accept, HostKey, SshError};
use crate::known_hosts::{self, Entry, HashedNames, Verdict};
use ssh2::{CheckResult, HashType, KnownHostFileKind, MethodType, Session};
use std::path::PathBuf;

/// Lets libssh2 compute the hashes of names.
struct Hashes<'a>(&'a Session);

impl HashedNames for Hashes<'_> {
    fn is_name_of(&self, hashed: &str, host: &str) -> bool {
        // Any key will do: the question is whether the name matches, not whether the key does.
        let line = format!("{hashed} ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAQ==");
        let Ok(mut known) = self.0.known_hosts() else { return false };
        known.read_str(&line, KnownHostFileKind::OpenSSH).is_ok()
            && matches!(known.check(host, b"any"), CheckResult::Match | CheckResult::Mismatch)
    }
}

/// Makes the session prefer key types that are known for the host; returns the known lines. A host has several keys,
/// and one of a type that nobody has recorded would look like a changed key.
pub fn prefer_known(session: &Session, resolved: &Resolved, files: &[PathBuf]) -> Result<Vec<Entry>, ssh2::Error> {
    let entries = known_hosts::entries(files, &resolved.known_as(), &Hashes(session));
    let is_known = |algorithm: &str| {
        let key_type = if algorithm.starts_with("rsa-sha2-") { "ssh-rsa" } else { algorithm };
        entries.iter().any(|entry| entry.key_type == key_type && !entry.revoked)
    };
    let (mut order, others): (Vec<&str>, Vec<&str>) =
        session.supported_algs(MethodType::HostKey)?.into_iter().partition(|algorithm| is_known(algorithm));
    order.extend(others);
    session.method_pref(MethodType::HostKey, &order.join(","))?;
    Ok(entries)
}

/// Checks the key that the host showed. An error when it is unknown, changed or revoked.
pub fn check(session: &Session, resolved: &Resolved, files: &[PathBuf], entries: &[Entry]) -> Result<(), SshError> {
    let no_key = || SshError::Connect { host: resolved.endpoint(), message: "it showed no host key".to_owned() };
    let (key, _) = session.host_key().ok_or_else(no_key)?;
    let shown = || {
        Box::new(HostKey {
            name: resolved.known_as(),
            kind: known_hosts::key_type(key).map_or("unknown", known_hosts::kind).to_owned(),
            fingerprint: session.host_key_hash(HashType::Sha256).map(known_hosts::fingerprint).unwrap_or_default(),
            accept: Accept::Line(known_hosts::line(&resolved.known_as(), key)),
        })
    };
    match known_hosts::judge(entries, key) {
        Verdict::Known => Ok(()),
        Verdict::Unknown => Err(SshError::UnknownHostKey {
            key: shown(),
            files: files.iter().map(|file| file.display().to_string()).collect(),
        }),
        Verdict::Changed(Entry { file, line, .. }) => {
            Err(SshError::ChangedHostKey { key: shown(), file: file.display().to_string(), line })
        }
        Verdict::Revoked(Entry { file, line, .. }) => {
            Err(SshError::RevokedHostKey { key: shown(), file: file.display().to_string(), line })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashed_names_are_recognised() {
        let session = Session::new().expect("a session");
        let hashes = Hashes(&session);
        // Made with ssh-keygen -H from lines for n1 and [n1]:2222.
        let plain = "|1|9aRwjqNzZhTwEkCC+YQkYuRmSJY=|B0qgbBvBkUcXZDWXW0Ez3xR0PrU=";
        assert!(!hashes.is_name_of(plain, "n2"));
        assert!(!hashes.is_name_of("|1|damaged", "n1"));
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("known_hosts");
        let key = "AAAAC3NzaC1lZDI1NTE5AAAAIAQ3/sbFAuoa4TkLMi2LQU3AEmD4iMjqYKqRsd4wpSxN";
        std::fs::write(&file, format!("n1 ssh-ed25519 {key}\n[n1]:2222 ssh-ed25519 {key}\n")).expect("write");
        let hashed =
            std::process::Command::new("ssh-keygen").arg("-H").arg("-f").arg(&file).output().expect("ssh-keygen");
        assert!(hashed.status.success(), "{hashed:?}");
        let files = [file];
        for (host, line) in [("n1", 1), ("[n1]:2222", 2)] {
            let found = known_hosts::entries(&files, host, &hashes);
            assert_eq!(found.iter().map(|entry| entry.line).collect::<Vec<_>>(), [line], "{host}");
        }
        assert!(known_hosts::entries(&files, "n2", &hashes).is_empty());
    }
}
