//! Checks whether a Python can run engines: asks it for its own version and that of the package.

use super::outside::Answer;
use crate::report::finding::Finding;
use ipclusterz_base::release;
use ipclusterz_host::hints;
use ipclusterz_launchers::program::ask::ask;
use serde::Deserialize;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// How long a Python may take to import the package: long, for it may come from a slow shared file system.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Prints one line of JSON. Nothing is imported from the working folder, as engines do not. It has no line break, single quote or exclamation mark, so that any shell can pass it on
/// in single quotes.
pub const SCRIPT: &str = concat!(
    r#"exec("import sys; sys.path[:] = filter(None, sys.path)\nimport json, platform\ntry:\n import ipclusterz as p; from ipclusterz import _core as c\n a = p.__version__, None, getattr(c, \"WIRE_VERSION\", 0)\n"#,
    r#"except Exception as e:\n a = None, repr(e), 0\n"#,
    r#"print(json.dumps(dict(ipclusterz_probe=1, python=platform.python_version(), package=a[0], error=a[1], wire=a[2])))")"#,
);

/// The beginning of the line of JSON. Other lines may be there too: a site's start-up files may print.
const MARK: &str = r#"{"ipclusterz_probe":"#;

/// What a Python reports about itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Probe {
    /// Its version.
    pub python: String,
    /// The package's version, if it can be imported.
    pub package: Option<String>,
    /// Why it cannot.
    pub error: Option<String>,
    /// The package's wire version; 0 of those that do not tell.
    #[serde(default)]
    pub wire: u8,
}

impl Probe {
    /// The probe in what the script printed.
    pub fn read(output: &str) -> Option<Self> {
        let line = output.lines().rev().find(|line| line.starts_with(MARK))?;
        serde_json::from_str(line).ok()
    }
}

/// Asks `python` on this host.
pub fn here(check: &str, python: &Path) -> Finding {
    let mut command = Command::new(python);
    command.args(["-c", SCRIPT]);
    match ask(command, PATIENCE) {
        Ok(answer) => judge(check, &python.display().to_string(), &Answer::of_command(answer, PATIENCE)),
        Err(error) => Finding::failed(check, format!("{} cannot be run: {error}", python.display()), hints::PYTHON),
    }
}

/// What the script's end means. `python` is the program, and the host where it is not this one.
pub fn judge(check: &str, python: &str, answer: &Answer) -> Finding {
    let Some(probe) = Probe::read(&answer.output) else {
        let (how, reason) = (&answer.how, answer.reason());
        return Finding::failed(check, format!("{python} is no working Python ({how}){reason}"), hints::PYTHON);
    };
    let (own, wire) = (release::number(), release::wire_version());
    match (probe.package, probe.error) {
        (Some(number), _) if number == own && [0, wire].contains(&probe.wire) => {
            Finding::ok(check, format!("{python}: Python {}, package {number}", probe.python))
        }
        (Some(number), _) if probe.wire == wire => {
            let both = format!("package {number}; this program is {own}, and both have wire version {wire}");
            Finding::ok(check, format!("{python}: Python {}, {both}", probe.python))
        }
        (Some(number), _) => {
            let theirs = if probe.wire == 0 { String::new() } else { format!(" (wire version {})", probe.wire) };
            let message =
                format!("{python} has ipclusterz {number}{theirs}, but this program is {own} (wire version {wire})");
            Finding::failed(check, message, hints::VERSIONS)
        }
        (None, error) => Finding::failed(
            check,
            format!("{python} (Python {}) cannot import the package: {}", probe.python, error.unwrap_or_default()),
            hints::package_for(Path::new(python)),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::finding::Level;

    fn judged(code: i32, output: &str, errors: &str) -> Finding {
        let how = format!("exit status: {code}");
        judge("python", "/p", &Answer { success: code == 0, how, output: output.to_owned(), errors: errors.to_owned() })
    }

    #[test]
    fn each_end_has_its_words() {
        let own = release::number();
        let good = format!("welcome!\n{MARK} 1, \"python\": \"3.12.1\", \"package\": \"{own}\", \"error\": null}}\n");
        assert_eq!(judged(0, &good, "").message, format!("/p: Python 3.12.1, package {own}"));
        let old = judged(0, &good.replace(own, "0.0.1"), "");
        let said = format!("/p has ipclusterz 0.0.1, but this program is {own} (wire version 1)");
        assert_eq!((old.level, old.message), (Level::Failed, said));
        let newer = good.replace(own, "9.8.7");
        let newer = |wire: &str| judged(0, &newer.replace("null}", &format!("null, \"wire\": {wire}}}")), "");
        let said = format!("/p: Python 3.12.1, package 9.8.7; this program is {own}, and both have wire version 1");
        assert_eq!(newer("1").message, said);
        let said = format!("/p has ipclusterz 9.8.7 (wire version 2), but this program is {own} (wire version 1)");
        assert_eq!((newer("2").level, newer("2").message), (Level::Failed, said));
        let error = r#" 1, "python": "3.9.2", "package": null, "error": "ModuleNotFoundError(\"No module named 'ipclusterz'\")"}"#;
        let missing = judged(0, &format!("{MARK}{error}\n"), "");
        assert_eq!(
            missing.message,
            "/p (Python 3.9.2) cannot import the package: ModuleNotFoundError(\"No module named 'ipclusterz'\")"
        );
        let broken = judged(127, "", "sh: 1: /p: not found\n");
        assert_eq!(broken.message, "/p is no working Python (exit status: 127): sh: 1: /p: not found");
    }
}
