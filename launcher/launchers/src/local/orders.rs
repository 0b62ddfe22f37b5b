//! What is said to a fork server, and what it says. Pure; the format stands in `engine/forkserver.py` of the package.

use crate::set::SetId;
use ipclusterz_host::identity::ProcessIdentity;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;

/// An order to fork an engine.
pub fn start(set: SetId, log: &Path, options: impl Iterator<Item = OsString>) -> Vec<u8> {
    let number = set.0.to_string();
    let mut message = Vec::new();
    for word in [OsStr::new("start"), OsStr::new(&number), log.as_os_str()] {
        push(&mut message, word);
    }
    options.for_each(|word| push(&mut message, &word));
    message.push(0);
    message
}

fn push(message: &mut Vec<u8>, word: &OsStr) {
    message.extend(word.as_bytes());
    message.push(0);
}

/// What a fork server reports.
#[derive(Debug, PartialEq, Eq)]
pub enum Report {
    /// What engines need is imported.
    Ready,
    /// It cannot be imported; why.
    Failed(String),
    /// This process is the engine.
    Started(SetId, ProcessIdentity),
    /// No process can be forked; why.
    Refused(SetId, String),
    /// The engine has ended, and nothing of its group is left.
    Ended(SetId, ExitStatus),
}

/// Takes reports from bytes as they come.
#[derive(Debug, Default)]
pub struct Reports {
    rest: Vec<u8>,
}

impl Reports {
    /// The reports that these bytes complete.
    pub fn read(&mut self, bytes: &[u8]) -> Vec<Report> {
        self.rest.extend_from_slice(bytes);
        let mut found = Vec::new();
        while let Some(end) = self.rest.windows(2).position(|pair| pair == [0, 0]) {
            let message: Vec<u8> = self.rest.drain(..end + 2).collect();
            let text = String::from_utf8_lossy(&message[..end]);
            found.extend(report(&text.split('\0').collect::<Vec<_>>()));
        }
        found
    }
}

fn report(words: &[&str]) -> Option<Report> {
    let set = |number: &str| number.parse().ok().map(SetId);
    Some(match words {
        ["ready"] => Report::Ready,
        ["failed", why] => Report::Failed((*why).to_owned()),
        ["started", number, pid, time] => {
            Report::Started(set(number)?, ProcessIdentity { pid: pid.parse().ok()?, start_time: time.parse().ok()? })
        }
        ["refused", number, error] => {
            Report::Refused(set(number)?, io::Error::from_raw_os_error(error.parse().ok()?).to_string())
        }
        ["ended", number, status] => Report::Ended(set(number)?, ExitStatus::from_raw(status.parse().ok()?)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_a_list_of_words() {
        let order = start(SetId(3), Path::new("/x/engine-3.log"), ["--engine-id", "3"].map(OsString::from).into_iter());
        assert_eq!(order, b"start\x003\0/x/engine-3.log\0--engine-id\x003\0\0");
    }

    #[test]
    fn reports_are_read_however_they_are_cut() {
        let said =
            b"ready\0\0started\x002\x0040\x00777\0\0ended\x002\x0011\0\0refused\x003\x0011\0\0new\0\0failed\0no x\0\0";
        let process = ProcessIdentity { pid: 40, start_time: 777 };
        let expected = [
            Report::Ready,
            Report::Started(SetId(2), process),
            Report::Ended(SetId(2), ExitStatus::from_raw(libc::SIGSEGV)),
            Report::Refused(SetId(3), io::Error::from_raw_os_error(libc::EAGAIN).to_string()),
            Report::Failed("no x".to_owned()),
        ];
        for size in [1, 2, 7, 100] {
            let mut reports = Reports::default();
            let found: Vec<Report> = said.chunks(size).flat_map(|bytes| reports.read(bytes)).collect();
            assert_eq!(found, expected, "{size}");
        }
    }
}
