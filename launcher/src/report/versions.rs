//! Result of `ipclusterz --version`.

use crate::output::Report;
use ipclusterz_base::words::printable;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The version of this program, and with `--verbose` those of all that belongs to it.
#[derive(Debug, Serialize)]
pub struct VersionReport {
    /// The version of this program.
    pub ipclusterz: &'static str,
    /// That of the protocol between clients, controller and engines.
    pub wire: u8,
    /// With `--verbose`.
    #[serde(flatten)]
    pub details: Option<Details>,
}

/// What belongs to this program.
#[derive(Debug, Serialize)]
pub struct Details {
    /// What is in it.
    #[serde(flatten)]
    pub program: Program,
    /// What is beside it.
    pub python: Beside,
}

/// How this program was built.
#[derive(Debug, Serialize)]
pub struct Program {
    /// The commit of its source, `unknown` if the build did not know it.
    pub commit: &'static str,
    /// What it was compiled for.
    pub target: &'static str,
    /// The C library.
    pub glibc: Glibc,
    /// The compiler.
    pub rustc: &'static str,
    /// Libraries of C and C++.
    pub libraries: Libraries,
}

/// Versions of the C library.
#[derive(Debug, Serialize)]
pub struct Glibc {
    /// The oldest that this program runs with.
    pub needed: Option<String>,
    /// That of this host.
    pub here: String,
}

/// Libraries that are built in, or that the dynamic linker has loaded.
#[derive(Debug, Serialize)]
pub struct Libraries {
    /// Connections between clients, controller and engines.
    pub libzmq: String,
    /// Their encryption.
    pub libsodium: String,
    /// The built-in SSH.
    pub libssh2: String,
    /// Its encryption.
    pub openssl: String,
    /// Its compression.
    pub zlib: String,
}

/// The Python of the engines.
#[derive(Debug, Serialize)]
pub struct Beside {
    /// Its program.
    pub program: Option<PathBuf>,
    /// What it has told.
    #[serde(flatten)]
    pub asked: Option<Asked>,
    /// Why it has told nothing.
    pub error: Option<String>,
}

/// What a Python tells of itself.
#[derive(Debug, Serialize, Deserialize)]
pub struct Asked {
    /// Its version.
    pub version: String,
    /// The package `ipclusterz`.
    pub package: Distribution,
    /// The package `ipclusterz_mpi`.
    pub bridge: Bridge,
}

/// A package of that Python. Without a version and an error it is not installed.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Distribution {
    /// Its version.
    pub version: Option<String>,
    /// Why it cannot be used.
    pub error: Option<String>,
}

/// MPI for the engines of that Python.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Bridge {
    /// The package.
    #[serde(flatten)]
    pub package: Distribution,
    /// The families of MPI libraries that it can be loaded with.
    pub serves: Vec<String>,
    /// The library that it is loaded with, as that calls itself.
    pub library: Option<String>,
    /// Its file.
    pub path: Option<PathBuf>,
}

impl Report for VersionReport {
    fn to_text(&self) -> String {
        let mut text = format!("ipclusterz {} (wire {})\n", self.ipclusterz, self.wire);
        let Some(details) = &self.details else { return text };
        for (name, value) in details.program.lines().into_iter().chain(details.python.lines()) {
            text.push_str(&format!("{name:<10} {}\n", printable(&value)));
        }
        text
    }
}

impl Program {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let Self { commit, target, glibc, rustc, libraries } = self;
        vec![
            ("commit", (*commit).to_owned()),
            ("target", (*target).to_owned()),
            ("glibc", glibc.to_text()),
            ("rustc", rustc.trim_start_matches("rustc ").to_owned()),
            ("libzmq", libraries.libzmq.clone()),
            ("libsodium", libraries.libsodium.clone()),
            ("libssh2", libraries.libssh2.clone()),
            ("openssl", libraries.openssl.clone()),
            ("zlib", libraries.zlib.clone()),
        ]
    }
}

impl Glibc {
    fn to_text(&self) -> String {
        let needed = self.needed.as_ref().map_or("not known".to_owned(), |needed| format!("{needed} or newer"));
        format!("{needed}; this host has {}", self.here)
    }
}

impl Beside {
    fn lines(&self) -> Vec<(&'static str, String)> {
        let program = self.program.as_ref().map(|program| program.display().to_string());
        let told = match &self.asked {
            Some(asked) => Some(asked.version.clone()),
            None => self.error.clone(),
        };
        let both = [program, told].into_iter().flatten().collect::<Vec<_>>().join(": ");
        let mut lines = vec![("python", both)];
        if let Some(asked) = &self.asked {
            lines.push(("package", asked.package.to_text()));
            lines.push(("MPI bridge", asked.bridge.to_text()));
        }
        lines
    }
}

impl Distribution {
    fn to_text(&self) -> String {
        match (&self.version, &self.error) {
            (Some(version), _) => version.clone(),
            (None, Some(error)) => format!("cannot be imported: {}", one_line(error)),
            (None, None) => "not installed".to_owned(),
        }
    }
}

impl Bridge {
    fn to_text(&self) -> String {
        let mut text = self.package.to_text();
        if !self.serves.is_empty() {
            text.push_str(&format!(" for {}", self.serves.join(", ")));
        }
        match (&self.package.version, &self.library, &self.package.error) {
            (_, Some(library), _) => {
                let path = self.path.as_ref().map(|path| format!(" ({})", path.display())).unwrap_or_default();
                text + &format!("; loaded: {library}{path}")
            }
            (Some(_), None, Some(error)) => text + &format!("; no MPI is loaded: {}", one_line(error)),
            _ => text,
        }
    }
}

/// An error of several lines, the last of which may be hints.
fn one_line(error: &str) -> String {
    error.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bridge(json: &str) -> String {
        serde_json::from_str::<Bridge>(json).expect(json).to_text()
    }

    #[test]
    fn the_bridge_says_what_it_serves_and_what_is_loaded() {
        assert_eq!(bridge("{}"), "not installed");
        assert_eq!(bridge(r#"{"error": null}"#), "not installed");
        assert_eq!(bridge(r#"{"error": "libmpi.so.40: not found"}"#), "cannot be imported: libmpi.so.40: not found");
        let loaded = r#"{"version": "1.2", "serves": ["openmpi", "mpich"], "library": "Open MPI v4.1.4", "path": "/x/libmpi.so"}"#;
        assert_eq!(bridge(loaded), "1.2 for openmpi, mpich; loaded: Open MPI v4.1.4 (/x/libmpi.so)");
        let none = r#"{"version": "1.2", "serves": ["openmpi"], "error": "there is no MPI library"}"#;
        assert_eq!(bridge(none), "1.2 for openmpi; no MPI is loaded: there is no MPI library");
    }

    #[test]
    fn what_python_says_is_one_line() {
        let asked = Asked {
            version: "3.11.2".to_owned(),
            package: Distribution { version: None, error: Some("Error: a\nb\u{1b}[2J".to_owned()) },
            bridge: Bridge::default(),
        };
        let beside = Beside { program: Some("/p/python3".into()), asked: Some(asked), error: None };
        let lines: Vec<String> = beside.lines().into_iter().map(|(_, value)| printable(&value).into_owned()).collect();
        assert_eq!(lines, ["/p/python3: 3.11.2", "cannot be imported: Error: a; b\\x1b[2J", "not installed"]);
    }

    #[test]
    fn the_version_alone_is_one_line() {
        let report = VersionReport { ipclusterz: "1.2.3", details: None };
        assert_eq!(report.to_text(), "ipclusterz 1.2.3\n");
        assert_eq!(serde_json::to_string(&report).expect("JSON"), r#"{"ipclusterz":"1.2.3"}"#);
    }
}
