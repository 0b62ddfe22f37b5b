//! Resolves what a user wrote to an address, a user and keys, by way of `~/.ssh/config`.
//!
//! For the built-in SSH; the system's `ssh` reads its configuration itself. Supported: `Host` with patterns, `Include`,
//! `Match all`, `HostName`, `User`, `Port`, `IdentityFile`, `IdentitiesOnly`, `IdentityAgent`, `HostKeyAlias`,
//! `ProxyJump`. `ProxyCommand` is an error; other `Match` blocks are ignored.

use crate::account::{self, Account, expand};
use crate::error::SshError;
use crate::target::{Target, host_and_port};
use ipclusterz_base::error::PlacesError;
use ipclusterz_base::private::{self, Trust};
use ipclusterz_profile::tables::ssh::SshTable;
use ssh2_config::{HostParams, ParseRule, SshConfig};
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// The default value of `config`, whose file need not exist.
const DEFAULT_CONFIG: &str = "~/.ssh/config";
/// A longer chain of jumps is taken for a circle.
const JUMPS_MAX: usize = 8;
/// As deep as files may include each other in OpenSSH.
const INCLUDES_MAX: usize = 16;

/// A destination with everything that is needed to reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The host as the user calls it.
    pub alias: String,
    /// Its host name or address.
    pub host_name: String,
    /// The user to log in as.
    pub user: String,
    /// Its port.
    pub port: u16,
    /// The target as written; a user and a port in it take precedence over any configuration.
    pub written: Target,
    /// Private keys to try, in order.
    pub identity_files: Vec<PathBuf>,
    /// Whether to use only those keys of the agent that are among `identity_files`.
    pub identities_only: bool,
    /// The agent's socket, where it is another one than `SSH_AUTH_SOCK`; `none` for no agent.
    pub identity_agent: Option<String>,
    /// The name of the host's key in known_hosts, where it is another one than the host's.
    pub host_key_alias: Option<String>,
    /// The hosts to jump over, in order.
    pub jumps: Vec<Resolved>,
}

impl Resolved {
    /// The host for messages: its alias, with the user and the port that were written with it.
    pub fn shown(&self) -> String {
        self.written.to_string()
    }

    /// Its name in known_hosts: `n1`, or `[n1]:2222` for a port other than 22.
    pub fn known_as(&self) -> String {
        let name = self.host_key_alias.as_deref().unwrap_or(&self.host_name).to_lowercase();
        if self.port == 22 || self.host_key_alias.is_some() { name } else { format!("[{name}]:{}", self.port) }
    }

    /// `host:port` for messages about the network.
    pub fn endpoint(&self) -> String {
        host_and_port(&self.host_name, self.port)
    }
}

/// Resolves destinations by a configuration.
pub struct Resolver<'a> {
    table: &'a SshTable,
    config: SshConfig,
    path: PathBuf,
    home: PathBuf,
    account: Account,
}

impl<'a> Resolver<'a> {
    /// Reads the configuration that `table` names. An error when it cannot be read or parsed.
    pub fn new(table: &'a SshTable) -> Result<Self, SshError> {
        let account = Account::of_this_process();
        let home = account::home(&account);
        Self::with_home(table, home, account)
    }

    fn with_home(table: &'a SshTable, home: PathBuf, account: Account) -> Result<Self, SshError> {
        let path = expand(&table.config, &home);
        let bad = |message: String| SshError::Config { path: path.clone(), message };
        let text = if table.config.is_empty() {
            String::new()
        } else {
            match private::read_text(&path, Trust::OurFile) {
                Ok(text) => text,
                Err(error) if error.is_missing() && table.config == DEFAULT_CONFIG => String::new(),
                Err(PlacesError::Io { source, .. }) => return Err(bad(source.to_string())),
                Err(error) => return Err(SshError::Place(error)),
            }
        };
        let rules = ParseRule::ALLOW_UNKNOWN_FIELDS | ParseRule::ALLOW_UNSUPPORTED_FIELDS;
        let text = without_matches(&text);
        check_included(&text, &home, 0).map_err(SshError::Place)?;
        let parsed = SshConfig::default().home_dir(&home).parse(&mut Cursor::new(text), rules);
        let config = parsed.map_err(|error| bad(error.to_string()))?;
        Ok(Self { table, config, path, home, account })
    }

    /// Resolves the destination `text`, and the hosts to jump over. An error when `text` is no destination, or needs
    /// what the built-in SSH cannot do.
    pub fn resolve(&self, text: &str) -> Result<Resolved, SshError> {
        self.resolve_within(&text.parse()?, 0)
    }

    fn resolve_within(&self, target: &Target, depth: usize) -> Result<Resolved, SshError> {
        let params = self.config.query(&target.host);
        let mut resolved = self.without_jumps(target, &params)?;
        let jumps = params.proxy_jump.unwrap_or_default();
        let jumps: Vec<&str> = jumps.iter().map(|jump| jump.trim()).filter(|jump| !jump.is_empty()).collect();
        if jumps.first().is_some_and(|first| first.eq_ignore_ascii_case("none")) {
            return Ok(resolved);
        }
        if depth + jumps.len() > JUMPS_MAX {
            let message =
                format!("the ProxyJump of {:?} goes in a circle, or over more than {JUMPS_MAX} hosts", target.host);
            return Err(SshError::Config { path: self.path.clone(), message });
        }
        for (place, jump) in jumps.iter().enumerate() {
            let jump: Target = jump.parse()?;
            if place == 0 {
                // As in ssh: the first host is reached by its own ProxyJump, each other host through the one before it.
                let mut first = self.resolve_within(&jump, depth + jumps.len())?;
                resolved.jumps.append(&mut first.jumps);
                resolved.jumps.push(first);
            } else {
                resolved.jumps.push(self.without_jumps(&jump, &self.config.query(&jump.host))?);
            }
        }
        Ok(resolved)
    }

    fn without_jumps(&self, target: &Target, params: &HostParams) -> Result<Resolved, SshError> {
        let unsupported = |name: &str| params.unsupported_fields.get(name).and_then(|values| values.first());
        if let Some(command) = unsupported("proxycommand")
            && !command.eq_ignore_ascii_case("none")
        {
            return Err(SshError::NeedsOpenssh {
                path: self.path.clone(),
                option: "ProxyCommand".to_owned(),
                host: target.host.clone(),
            });
        }
        let user = target.user.clone().or_else(|| params.user.clone()).unwrap_or_else(|| self.account.name.clone());
        let port = target.port.or(params.port).unwrap_or(22);
        let host_name = params.host_name.as_deref().map_or_else(
            || target.host.clone(),
            |name| name.replace("%%", "\0").replace("%h", &target.host).replace('\0', "%"),
        );
        let tokens = Tokens {
            home: &self.home,
            local: &self.account.name,
            remote: &user,
            host: &host_name,
            port,
            alias: &target.host,
        };
        let configured = params.identity_file.clone().unwrap_or_default();
        let mut identity_files: Vec<PathBuf> =
            configured.iter().map(|file| expand(&tokens.fill(&file.to_string_lossy()), &self.home)).collect();
        identity_files.retain(|file| file != Path::new("none"));
        identity_files.extend(self.table.identity_files.iter().map(|file| expand(file, &self.home)));
        if configured.is_empty() && self.table.identity_files.is_empty() {
            let usual = ["id_rsa", "id_ecdsa", "id_ed25519"].map(|name| self.home.join(".ssh").join(name));
            identity_files.extend(usual.into_iter().filter(|file| file.exists()));
        }
        let mut seen = Vec::new();
        identity_files.retain(|file| {
            !seen.contains(file) && {
                seen.push(file.clone());
                true
            }
        });
        Ok(Resolved {
            alias: target.host.clone(),
            user: user.clone(),
            port,
            written: target.clone(),
            identity_files,
            identities_only: unsupported("identitiesonly").is_some_and(|value| value.eq_ignore_ascii_case("yes")),
            identity_agent: unsupported("identityagent")
                .filter(|value| *value != "SSH_AUTH_SOCK")
                .map(|value| expand(&tokens.fill(value.trim_matches('"')), &self.home).to_string_lossy().into_owned()),
            host_key_alias: unsupported("hostkeyalias").cloned(),
            jumps: Vec::new(),
            host_name,
        })
    }
}

/// The values of `%d` and the other tokens (ssh_config(5), TOKENS).
struct Tokens<'a> {
    home: &'a Path,
    local: &'a str,
    remote: &'a str,
    host: &'a str,
    alias: &'a str,
    port: u16,
}

impl Tokens<'_> {
    fn fill(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            if letter != '%' {
                filled.push(letter);
                continue;
            }
            match letters.next() {
                Some('%') => filled.push('%'),
                Some('d') => filled.push_str(&self.home.to_string_lossy()),
                Some('h') => filled.push_str(self.host),
                Some('n') => filled.push_str(self.alias),
                Some('p') => filled.push_str(&self.port.to_string()),
                Some('r') => filled.push_str(self.remote),
                Some('u') => filled.push_str(self.local),
                Some(other) => filled.extend(['%', other]),
                None => filled.push('%'),
            }
        }
        filled
    }
}

/// Refuses files that `text` includes, directly or through others, if somebody else could have changed them. The parser
/// reports those that cannot be read.
fn check_included(text: &str, home: &Path, depth: usize) -> Result<(), PlacesError> {
    for line in text.lines().filter(|_| depth < INCLUDES_MAX) {
        let (keyword, names) = keyword_of(line);
        for name in names.split_whitespace().filter(|_| keyword == "include") {
            let path = home.join(".ssh").join(expand(name.trim_matches('"'), home));
            for file in glob::glob(&path.display().to_string()).into_iter().flatten().flatten() {
                match private::read_text(&file, Trust::OurFile) {
                    Ok(text) => check_included(&text, home, depth + 1)?,
                    Err(PlacesError::Io { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(())
}

/// The keyword of a line, in small letters, and what follows it.
fn keyword_of(line: &str) -> (String, &str) {
    let mut words = line.trim().splitn(2, |letter: char| letter.is_whitespace() || letter == '=');
    (words.next().unwrap_or_default().to_lowercase(), words.next().unwrap_or_default().trim())
}

/// Removes the `Match` blocks, whose lines the parser would take for those of the `Host` before. `Match all` becomes
/// `Host *`.
fn without_matches(text: &str) -> String {
    let mut kept = String::new();
    let mut skipping = false;
    for line in text.lines() {
        let (keyword, rest) = keyword_of(line);
        if keyword == "match" {
            let all = rest.eq_ignore_ascii_case("all");
            skipping = !all;
            kept.push_str(if all { "Host *\n" } else { "" });
            continue;
        }
        if keyword == "host" {
            skipping = false;
        }
        if !skipping {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve_with(config: &str, host: &str, change: impl FnOnce(&mut SshTable)) -> Result<Resolved, SshError> {
        let folder = tempfile::tempdir().expect("temporary folder");
        std::fs::create_dir(folder.path().join(".ssh")).expect("create");
        std::fs::write(folder.path().join(".ssh/config"), config).expect("write");
        std::fs::write(folder.path().join(".ssh/more.conf"), "Host more\n  Port 7\n").expect("write");
        std::fs::write(folder.path().join(".ssh/id_ed25519"), "").expect("write");
        let mut table = ipclusterz_profile::default_tables().expect("the default profile").ssh;
        change(&mut table);
        let account = Account { name: "me".to_owned(), home: folder.path().to_path_buf() };
        let resolver = Resolver::with_home(&table, folder.path().to_path_buf(), account)?;
        let mut resolved = resolver.resolve(host)?;
        for file in resolved.identity_files.iter_mut() {
            *file = Path::new("HOME").join(file.strip_prefix(folder.path()).unwrap_or(file));
        }
        Ok(resolved)
    }

    fn resolve(config: &str, host: &str) -> Resolved {
        resolve_with(config, host, |_| ()).expect("resolves")
    }

    const CONFIG: &str = r#"
Include more.conf
Host n? !n9
    HostName %h.cluster.example
    User alice
    Port 2222
    IdentityFile ~/.ssh/%r_key
    ProxyJump gate
Match exec "false"
    User nobody
    Port 1
Host gate
    HostName gate.example
    User bob
Host far
    ProxyJump me@first:23,gate
Host round
    ProxyJump round
Host odd
    ProxyCommand nc %h %p
Match all
    IdentitiesOnly yes
"#;

    #[test]
    fn a_host_of_the_configuration() {
        let resolved = resolve(CONFIG, "n1");
        assert_eq!(
            (resolved.host_name.as_str(), resolved.user.as_str(), resolved.port),
            ("n1.cluster.example", "alice", 2222)
        );
        assert_eq!(resolved.identity_files, [Path::new("HOME/.ssh/alice_key")]);
        assert_eq!(resolved.known_as(), "[n1.cluster.example]:2222");
        assert!(resolved.identities_only);
        let [gate] = &resolved.jumps[..] else { panic!("{:?}", resolved.jumps) };
        assert_eq!((gate.host_name.as_str(), gate.user.as_str(), gate.port), ("gate.example", "bob", 22));
    }

    #[test]
    fn what_is_written_beats_the_configuration() {
        let resolved = resolve(CONFIG, "carol@n1:24");
        assert_eq!((resolved.user.as_str(), resolved.port), ("carol", 24));
        assert_eq!(resolved.shown(), "carol@n1:24");
    }

    #[test]
    fn a_host_that_is_not_in_it() {
        let resolved = resolve(CONFIG, "n9");
        assert_eq!((resolved.host_name.as_str(), resolved.user.as_str(), resolved.port), ("n9", "me", 22));
        assert_eq!(resolved.identity_files, [Path::new("HOME/.ssh/id_ed25519")]);
        assert_eq!(resolve(CONFIG, "more").port, 7);
    }

    #[test]
    fn jumps_in_a_chain_and_in_a_circle() {
        let hops: Vec<String> = resolve(CONFIG, "far").jumps.iter().map(Resolved::endpoint).collect();
        assert_eq!(hops, ["first:23", "gate.example:22"]);
        let error = resolve_with(CONFIG, "round", |_| ()).expect_err("a circle");
        assert!(error.to_string().contains("goes in a circle"), "{error}");
    }

    #[test]
    fn what_only_openssh_can_do_is_an_error() {
        let error = resolve_with(CONFIG, "odd", |_| ()).expect_err("ProxyCommand");
        let said = error.to_string();
        assert!(said.contains("sets ProxyCommand ") && said.contains("which the built-in SSH cannot do"), "{said}");
        assert!(error.hint().contains("backend = \"openssh\""));
    }

    #[test]
    fn the_tables_keys_come_after_those_of_the_configuration() {
        let keys = |table: &mut SshTable| table.identity_files = vec!["~/k".to_owned()];
        let resolved = resolve_with(CONFIG, "n1", keys).expect("resolves");
        assert_eq!(resolved.identity_files, [Path::new("HOME/.ssh/alice_key"), Path::new("HOME/k")]);
    }

    #[test]
    fn a_configuration_that_is_named_must_be_there() {
        let missing = |table: &mut SshTable| table.config = "/nowhere/config".to_owned();
        let error = resolve_with("", "n1", missing).expect_err("missing");
        assert!(error.to_string().starts_with("/nowhere/config: "), "{error}");
    }

    #[test]
    fn a_file_that_others_can_change_is_refused_wherever_it_is_included() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("temporary folder");
        let ssh = folder.path().join(".ssh");
        std::fs::create_dir(&ssh).expect("create");
        for (name, text) in [("config", "Include some/*.conf\n"), ("deep", "Host n1\n")] {
            std::fs::write(ssh.join(name), text).expect("write");
        }
        std::fs::create_dir(ssh.join("some")).expect("create");
        std::fs::write(ssh.join("some/a.conf"), "Include \"~/.ssh/deep\"\n").expect("write");
        let table = ipclusterz_profile::default_tables().expect("the default profile").ssh;
        let read = || {
            let account = Account { name: "me".to_owned(), home: folder.path().to_path_buf() };
            Resolver::with_home(&table, folder.path().to_path_buf(), account).map(drop)
        };
        read().expect("all are this user's");
        for name in ["config", "some/a.conf", "deep"] {
            let file = ssh.join(name);
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o646)).expect("chmod");
            let refused = read().expect_err(name).to_string();
            assert!(refused.ends_with(&format!("run: chmod o-w {}", file.display())), "{refused}");
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("chmod");
        }
    }
}
