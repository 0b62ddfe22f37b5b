//! A destination as a user writes it: `host`, `user@host`, `user@host:port`, `[v6]:port`, or a `Host` of the
//! configuration.
//!
//! Pure parsing; [`super::config`] resolves what a name stands for.

use crate::error::SshError;
use std::fmt;
use std::str::FromStr;

/// A destination as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The user, when one is named; takes precedence over the configuration.
    pub user: Option<String>,
    /// Host name, address or alias; an IPv6 address without its brackets.
    pub host: String,
    /// The port, when one is named; takes precedence over the configuration.
    pub port: Option<u16>,
}

impl FromStr for Target {
    type Err = SshError;

    fn from_str(text: &str) -> Result<Self, SshError> {
        let bad = |why: &str| SshError::BadTarget { text: text.to_owned(), why: why.to_owned() };
        let rest = text.strip_prefix("ssh://").unwrap_or(text);
        // The last @, because user names of some sites are mail addresses.
        let (user, rest) = match rest.rsplit_once('@') {
            Some(("", _)) => return Err(bad("the user before the @ is missing")),
            Some((user, rest)) => (Some(user), rest),
            None => (None, rest),
        };
        let (host, port) = if let Some(inner) = rest.strip_prefix('[') {
            let (host, after) = inner.split_once(']').ok_or_else(|| bad("the closing ] is missing"))?;
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return Err(bad("only :PORT may follow the ]")),
            }
        } else {
            match rest.split_once(':') {
                // Two colons or more are an IPv6 address without a port.
                Some((host, port)) if !port.contains(':') => (host, Some(port)),
                _ => (rest, None),
            }
        };
        if host.is_empty() {
            return Err(bad("the host is missing"));
        }
        if host.matches(':').count() == 1 {
            return Err(bad("in [] stands an IPv6 address, or a name without a colon"));
        }
        // ssh would take a leading - for an option, and white space ends a word of its configuration.
        if host.starts_with('-') || user.is_some_and(|user| user.starts_with('-')) {
            return Err(bad("a host or user does not begin with -"));
        }
        let strange = host.contains(['/', '\'', '"', '[', ']']) || user.is_some_and(|user| user.contains('/'));
        if strange || text.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
            return Err(bad("a host has no white space, quotes, brackets or slashes"));
        }
        let port = match port {
            None => None,
            Some(port) => match port.parse::<u16>() {
                Ok(port) if port > 0 => Some(port),
                _ => return Err(bad(&format!("{port:?} is not a port (1 to 65535)"))),
            },
        };
        Ok(Self { user: user.map(str::to_owned), host: host.to_owned(), port })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(formatter, "{user}@")?;
        }
        match self.port {
            Some(port) => formatter.write_str(&host_and_port(&self.host, port)),
            None => formatter.write_str(&self.host),
        }
    }
}

/// `host:port`, with brackets around an IPv6 address.
pub fn host_and_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Option<String>, String, Option<u16>) {
        let target: Target = text.parse().expect(text);
        (target.user, target.host, target.port)
    }

    #[test]
    fn every_way_to_write_a_host() {
        let owned = |user: Option<&str>, host: &str, port| (user.map(str::to_owned), host.to_owned(), port);
        assert_eq!(parse("n1"), owned(None, "n1", None));
        assert_eq!(parse("me@n1"), owned(Some("me"), "n1", None));
        assert_eq!(parse("me@n1:2222"), owned(Some("me"), "n1", Some(2222)));
        assert_eq!(parse("me@uni.edu@n1"), owned(Some("me@uni.edu"), "n1", None));
        assert_eq!(parse("[::1]:2222"), owned(None, "::1", Some(2222)));
        assert_eq!(parse("me@[fe80::1]"), owned(Some("me"), "fe80::1", None));
        assert_eq!(parse("fe80::1"), owned(None, "fe80::1", None));
        assert_eq!(parse("ssh://me@n1:22"), owned(Some("me"), "n1", Some(22)));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, why) in [
            ("", "host is missing"),
            ("me@", "host is missing"),
            ("@n1", "user before the @"),
            ("n1:ssh", "\"ssh\" is not a port"),
            ("n1:0", "\"0\" is not a port"),
            ("n1:70000", "\"70000\" is not a port"),
            ("[::1", "closing ]"),
            ("[::1]2222", "only :PORT"),
            ("-oProxyCommand=x", "begin with -"),
            ("-l@n1", "begin with -"),
            ("n 1", "white space"),
            ("[n1:22]", "an IPv6 address, or a name"),
            ("[[n1]", "brackets"),
            ("ssh://ssh://me@n1", "slashes"),
        ] {
            let error = text.parse::<Target>().expect_err(text).to_string();
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }

    #[test]
    fn display_gives_back_what_was_meant() {
        for text in ["n1", "me@n1:2222", "[::1]:2222"] {
            assert_eq!(text.parse::<Target>().expect(text).to_string(), text);
        }
    }
}
