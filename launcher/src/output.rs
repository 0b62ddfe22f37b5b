//! Prints what commands return: data on stdout, talk on stderr; with `--json`, one versioned JSON value on stdout.

use ipclusterz_base::words::printable_lines;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::stderr::is_quiet;
use serde::Serialize;
use serde_json::Value;
use std::io::{self, Write};

/// Version of every JSON value that `ipclusterz` prints.
pub const JSON_VERSION: u32 = 1;

/// A result that a command returns.
pub trait Report: Serialize {
    /// Data for stdout.
    fn to_text(&self) -> String {
        String::new()
    }

    /// Talk for stderr.
    fn to_talk(&self) -> String {
        String::new()
    }
}

/// Prints a line of JSON for the process that has started this one.
pub fn announce(value: &impl Serialize) {
    match serde_json::to_string(value) {
        Ok(line) => print_line(&format!("{line}\n")),
        Err(error) => tracing::error!(%error, "what is to be announced cannot be encoded"),
    }
}

/// Prints a line for the process that has started this one.
pub fn print_line(line: &str) {
    let mut output = io::stdout();
    if let Err(error) = output.write_all(line.as_bytes()).and_then(|()| output.flush()) {
        // That process has ended, which ends this one, too.
        tracing::error!(%error, "nobody reads this process's standard output");
    }
}

/// Prints results and failures, for people or as JSON.
#[derive(Debug)]
pub struct Output {
    json: bool,
    printed: bool,
}

impl Output {
    /// Prints JSON if `json`, else text for people.
    pub fn new(json: bool) -> Self {
        Self { json, printed: false }
    }

    /// Whether JSON is wanted.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Prints a result.
    pub fn report(&mut self, report: &impl Report) -> Result<(), Failure> {
        if self.json {
            let value =
                serde_json::to_value(report).map_err(|error| Failure::io("encoding the result")(error.into()))?;
            return self.json_value(value);
        }
        if !is_quiet() {
            print(&mut io::stderr(), &printable_lines(&report.to_talk()))?;
        }
        self.text(&report.to_text())
    }

    /// Prints a result only as JSON: its text was printed while the command worked.
    pub fn report_if_json(&mut self, report: &impl Report) -> Result<(), Failure> {
        if self.json { self.report(report) } else { Ok(()) }
    }

    /// Prints text as it is.
    pub fn text(&mut self, text: &str) -> Result<(), Failure> {
        print(&mut io::stdout(), text)
    }

    /// Prints one JSON object on a line of its own.
    pub fn json_value(&mut self, value: Value) -> Result<(), Failure> {
        self.printed = true;
        print(&mut io::stdout(), &versioned(value))
    }

    /// Prints a failure. Also prints it as JSON, unless a value has been printed: a command prints one value.
    pub fn failure(&mut self, failure: &Failure) {
        // Errors are ignored: nobody reads the output any more, and the exit code still reports the failure.
        let _ = print(&mut io::stderr(), &printable_lines(&failure.to_text()));
        if self.json && !self.printed {
            let _ = self.json_value(failure.to_json());
        }
    }
}

/// A JSON object on one line. The version is first, because a reader must look at it first.
pub fn versioned(value: Value) -> String {
    let mut text = format!("{{\"version\":{JSON_VERSION}");
    if let Value::Object(fields) = value {
        for (key, value) in fields {
            text.push_str(&format!(",{}:{value}", Value::String(key)));
        }
    }
    text.push_str("}\n");
    text
}

/// Writes and flushes. It is no failure if the reader has gone away (`ipclusterz logs | head`).
fn print(stream: &mut impl Write, text: &str) -> Result<(), Failure> {
    match stream.write_all(text.as_bytes()).and_then(|()| stream.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::io("writing the result")(error)),
        _ => Ok(()),
    }
}
