//! Authenticates to a host: with the agent, then key files, then passwords. Keeps what was tried for the error message.

use crate::asker::{Asker, Question, Secret};
use crate::config::Resolved;
use crate::error::SshError;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ipclusterz_base::error::PlacesError;
use ipclusterz_base::private::{self, Trust};
use ssh2::{ErrorCode, KeyboardInteractivePrompt, Prompt, Session};
use std::path::{Path, PathBuf};

/// How many attempts the user has at a passphrase or a password.
const ATTEMPTS: u32 = 3;
/// `LIBSSH2_ERROR_AUTHENTICATION_FAILED` and `LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED`: refused, but the connection goes on.
const REFUSED: [ErrorCode; 2] = [ErrorCode::Session(-18), ErrorCode::Session(-19)];

struct Login<'a> {
    session: &'a Session,
    resolved: &'a Resolved,
    asker: &'a mut dyn Asker,
    tried: Vec<String>,
}

/// Logs in. The error lists everything that was tried. `agent`: whether to ask the agent.
pub fn login(session: &Session, resolved: &Resolved, agent: bool, asker: &mut dyn Asker) -> Result<(), SshError> {
    let methods = match session.auth_methods(&resolved.user) {
        Ok(methods) => methods.to_owned(),
        // Some hosts accept anybody without authentication.
        Err(_) if session.authenticated() => return Ok(()),
        Err(error) => {
            let message = format!("asking how to log in: {}", error.message());
            return Err(SshError::Connect { host: resolved.endpoint(), message });
        }
    };
    let offers = |method: &str| methods.split(',').any(|offered| offered == method);
    let mut login = Login { session, resolved, asker, tried: Vec::new() };
    let mut authenticated = false;
    if offers("publickey") {
        authenticated = (agent && login.with_agent()) || login.with_files();
    }
    if !authenticated && offers("keyboard-interactive") {
        authenticated = login.with_dialogue();
    }
    if !authenticated && offers("password") {
        authenticated = login.with_password();
    }
    if authenticated {
        return Ok(());
    }
    Err(SshError::Authentication { host: resolved.shown(), user: resolved.user.clone(), tried: login.tried, methods })
}

impl Login<'_> {
    fn with_agent(&mut self) -> bool {
        let socket = self.resolved.identity_agent.as_deref();
        let present = std::env::var_os("SSH_AUTH_SOCK").is_some_and(|socket| !socket.is_empty());
        if socket == Some("none") || (socket.is_none() && !present) {
            return false;
        }
        match self.keys_of_agent(socket) {
            Ok(is_in) => is_in,
            Err(error) => {
                self.tried.push(format!("the agent ({})", error.message()));
                false
            }
        }
    }

    fn keys_of_agent(&mut self, socket: Option<&str>) -> Result<bool, ssh2::Error> {
        let mut agent = self.session.agent()?;
        if let Some(socket) = socket {
            agent.set_identity_path(Path::new(socket))?;
        }
        agent.connect()?;
        agent.list_identities()?;
        let mut keys = agent.identities()?;
        if self.resolved.identities_only {
            let wanted: Vec<Vec<u8>> =
                self.resolved.identity_files.iter().filter_map(|file| public_key(file)).collect();
            keys.retain(|key| wanted.iter().any(|wanted| wanted == key.blob()));
        }
        for key in &keys {
            if agent.userauth(&self.resolved.user, key).is_ok() {
                return Ok(true);
            }
        }
        self.tried.push(match keys.len() {
            0 => "the agent (it has no key for this)".to_owned(),
            1 => "the agent (1 key)".to_owned(),
            count => format!("the agent ({count} keys)"),
        });
        Ok(false)
    }

    /// Tries unencrypted keys first, so that the user is not asked for a passphrase that is not needed.
    fn with_files(&mut self) -> bool {
        let mut encrypted = Vec::new();
        for file in &self.resolved.identity_files {
            match private::read_text(file, Trust::OurFile) {
                Err(PlacesError::Io { source, .. }) => self.tried.push(format!("{} ({source})", file.display())),
                Err(error) => self.tried.push(format!("{} ({error})", file.display())),
                Ok(text) if is_encrypted(&text) => encrypted.push(file),
                Ok(_) => {
                    if self.with_key(file, None) == Some(true) {
                        return true;
                    }
                }
            }
        }
        encrypted.into_iter().any(|file| self.with_encrypted_key(file))
    }

    fn with_encrypted_key(&mut self, file: &Path) -> bool {
        let prompt = format!("Passphrase of the key {}: ", file.display());
        for attempt in 0..ATTEMPTS {
            let Some(answer) = self.asker.ask(&Question { prompt: prompt.clone(), attempt }) else {
                self.tried.push(format!("{} (encrypted; {})", file.display(), self.asker.reason()));
                return false;
            };
            // For a wrong passphrase, libssh2 reports that it does not know the format.
            if let Some(is_in) = self.with_key(file, Some(&answer)) {
                return is_in;
            }
            self.tried.pop();
        }
        self.tried.push(format!("{} (wrong passphrase)", file.display()));
        false
    }

    /// Whether the host accepts the key; `None` when the key could not be used, so that it was not offered.
    fn with_key(&mut self, file: &Path, passphrase: Option<&Secret>) -> Option<bool> {
        let passphrase = passphrase.map(Secret::reveal);
        match self.session.userauth_pubkey_file(&self.resolved.user, None, file, passphrase) {
            Ok(()) => Some(true),
            Err(error) if REFUSED.contains(&error.code()) && !is_about_the_file(&error) => {
                self.tried.push(file.display().to_string());
                Some(false)
            }
            Err(error) => {
                self.tried.push(format!("{} ({})", file.display(), error.message()));
                None
            }
        }
    }

    fn with_password(&mut self) -> bool {
        let prompt = format!("Password of {}@{}: ", self.resolved.user, self.resolved.alias);
        for attempt in 0..ATTEMPTS {
            let Some(answer) = self.asker.ask(&Question { prompt: prompt.clone(), attempt }) else {
                self.tried.push(format!("password ({})", self.asker.reason()));
                return false;
            };
            match self.session.userauth_password(&self.resolved.user, answer.reveal()) {
                Ok(()) => return true,
                Err(error) if REFUSED.contains(&error.code()) => {}
                Err(error) => {
                    self.tried.push(format!("password ({})", error.message()));
                    return false;
                }
            }
        }
        self.tried.push("password (wrong)".to_owned());
        false
    }

    fn with_dialogue(&mut self) -> bool {
        let whom = format!("({}@{}) ", self.resolved.user, self.resolved.alias);
        for attempt in 0..ATTEMPTS {
            let mut dialogue = Dialogue { asker: self.asker, whom: &whom, attempt, asked: 0, unanswered: false };
            let result = self.session.userauth_keyboard_interactive(&self.resolved.user, &mut dialogue);
            let (asked, unanswered) = (dialogue.asked, dialogue.unanswered);
            if result.is_ok() {
                return true;
            }
            if unanswered {
                self.tried.push(format!("keyboard-interactive ({})", self.asker.reason()));
                return false;
            }
            // The host offers the method but asks nothing.
            if asked == 0 {
                return false;
            }
        }
        self.tried.push("keyboard-interactive (wrong answers)".to_owned());
        false
    }
}

/// Forwards the host's questions to the asker.
struct Dialogue<'a> {
    asker: &'a mut dyn Asker,
    whom: &'a str,
    attempt: u32,
    asked: usize,
    unanswered: bool,
}

impl KeyboardInteractivePrompt for Dialogue<'_> {
    fn prompt<'b>(&mut self, _: &str, instructions: &str, prompts: &[Prompt<'b>]) -> Vec<String> {
        let mut answers = Vec::new();
        for prompt in prompts {
            self.asked += 1;
            let instructions = if instructions.is_empty() { String::new() } else { format!("{instructions}\n") };
            let prompt = format!("{instructions}{}{}", self.whom, prompt.text);
            match self.asker.ask(&Question { prompt, attempt: self.attempt }) {
                Some(answer) => answers.push(answer.reveal().to_owned()),
                None => self.unanswered = true,
            }
        }
        answers
    }
}

/// Whether an error is about reading the key file: such errors have the code of a refusal, and differ in their messages
/// alone (`userauth.c`, `pem.c`).
fn is_about_the_file(error: &ssh2::Error) -> bool {
    ["Unable to extract public key", "private key file", "nsupported private key"]
        .iter()
        .any(|words| error.message().contains(words))
}

/// Reads the public key in the `.pub` file of a private key.
fn public_key(file: &Path) -> Option<Vec<u8>> {
    let mut path = file.as_os_str().to_owned();
    path.push(".pub");
    let text = std::fs::read_to_string(PathBuf::from(path)).ok()?;
    BASE64_STANDARD.decode(text.split_whitespace().nth(1)?).ok()
}

/// Whether a private key needs a passphrase: PEM states it in its header, OpenSSH's own format names its cipher.
fn is_encrypted(text: &str) -> bool {
    const OPENSSH: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
    let Some(body) = text.trim_start().strip_prefix(OPENSSH) else { return text.contains("ENCRYPTED") };
    // Magic (15 bytes), length of the cipher's name (4), the name: the first 28 letters are enough for `none`.
    let letters: String = body.chars().filter(|letter| !letter.is_whitespace()).take(32).collect();
    let head = BASE64_STANDARD.decode(letters).unwrap_or_default();
    head.get(15..23) != Some(b"\0\0\0\x04none")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encrypted_keys_are_told_from_plain_ones() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let key = |name: &str, kind: &str, passphrase: &str, format: &[&str]| {
            let path = folder.path().join(name);
            let mut command = std::process::Command::new("ssh-keygen");
            command.args(["-q", "-t", kind, "-N", passphrase]).args(format).arg("-f").arg(&path);
            assert!(command.status().expect("ssh-keygen").success());
            is_encrypted(&std::fs::read_to_string(path).expect("read"))
        };
        for (number, format) in [&[][..], &["-m", "PEM"], &["-m", "PKCS8"]].into_iter().enumerate() {
            assert!(!key(&format!("plain{number}"), "ecdsa", "", format), "{format:?}");
            assert!(key(&format!("encrypted{number}"), "ecdsa", "a passphrase", format), "{format:?}");
        }
        assert!(!key("ed", "ed25519", "", &[]) && key("ed2", "ed25519", "a passphrase", &[]));
    }
}
