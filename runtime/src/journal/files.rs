//! The files of a journal: `image-N` has the state from which `log-N` goes on. N grows; the newest image that is whole
//! counts, with the logs from its number on.
//!
//! Each file begins with a line: `ipclusterz journal 1, log 7`. The number behind `journal` is the version of what is in it.

use ipclusterz_base::private;
use std::ffi::OsString;
use std::path::Path;

/// What a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The whole state.
    Image,
    /// Records since then.
    Log,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Image => "image",
            Kind::Log => "log",
        }
    }

    /// The name of the file with this number.
    pub fn name(self, number: u64) -> String {
        format!("{}-{number}", self.word())
    }

    /// The first line of a file.
    pub fn first_line(self, version: u32, number: u64) -> String {
        format!("ipclusterz journal {version}, {} {number}\n", self.word())
    }
}

/// What the first line of a file says: its version, and how long the line is. None: it is another one's, or is not whole.
pub fn read_first_line(bytes: &[u8], kind: Kind, number: u64) -> Option<(u32, usize)> {
    let length = bytes.iter().take(80).position(|byte| *byte == b'\n')?.saturating_add(1);
    let line = std::str::from_utf8(bytes.get(..length)?).ok()?;
    let (version, rest) = line.strip_prefix("ipclusterz journal ")?.split_once(", ")?;
    (rest == format!("{} {number}\n", kind.word())).then_some(())?;
    Some((version.parse().ok()?, length))
}

/// The numbers of the images and of the logs among `names`, ascending.
pub fn numbers(names: &[OsString]) -> (Vec<u64>, Vec<u64>) {
    let of = |kind: Kind| {
        let own = names.iter().filter_map(|name| {
            let number = name.to_str()?.strip_prefix(kind.word())?.strip_prefix('-')?.parse().ok()?;
            (kind.name(number).as_str() == name.to_str()?).then_some(number)
        });
        let mut own: Vec<u64> = own.collect();
        own.sort_unstable();
        own
    };
    (of(Kind::Image), of(Kind::Log))
}

/// Whether there is a journal in this folder.
pub fn is_there(folder: &Path) -> bool {
    private::names(folder).is_ok_and(|names| !numbers(&names).0.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_names_and_first_lines() {
        let names = ["log-3", "image-10", "image-9", "log-10", "log-03", "image-9.tmp", "identity.json", "log-"];
        assert_eq!(numbers(&names.map(OsString::from)), (vec![9, 10], vec![3, 10]));
        let line = Kind::Log.first_line(1, 7);
        assert_eq!(read_first_line(line.as_bytes(), Kind::Log, 7), Some((1, line.len())));
        for (kind, number, bytes) in [
            (Kind::Image, 7, line.as_bytes()),
            (Kind::Log, 8, line.as_bytes()),
            (Kind::Log, 7, &line.as_bytes()[..9]),
            (Kind::Log, 7, b""),
        ] {
            assert_eq!(read_first_line(bytes, kind, number), None);
        }
    }
}
