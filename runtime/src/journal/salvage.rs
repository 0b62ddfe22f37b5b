//! A damaged log is cut at the damage. What came before it counts.

use super::files::{self, Kind};
use super::journal::{JournalError, VERSION};
use super::record;
use ipclusterz_base::private::{self, Folder, How};
use ipclusterz_base::random::random_hex;
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What was done to a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Salvaged {
    /// Which file.
    pub path: PathBuf,
    /// As it was.
    pub copy: PathBuf,
    /// Where it was cut.
    pub offset: u64,
    /// Bytes that are lost.
    pub bytes: u64,
    /// Whole records among them.
    pub records: u64,
}

/// Cuts the log at `path` at `offset`. `None`: it is no log.
pub fn salvage(path: &Path, offset: usize) -> Result<Option<Salvaged>, JournalError> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let (_, logs) = files::numbers(&[name.into()]);
    let ([number], Some(folder)) = (logs.as_slice(), path.parent()) else { return Ok(None) };
    let folder = Folder::open(folder)?;
    let bytes = private::read(path, private::Trust::OurFile)?;
    let copy = format!("{name}.damaged-{}", random_hex(4));
    let (kept, lost) = bytes.split_at_checked(offset).unwrap_or((&bytes, &[]));
    let first_line = Kind::Log.first_line(VERSION, *number);
    let kept = if files::read_first_line(kept, Kind::Log, *number).is_some() { kept } else { first_line.as_bytes() };
    let write = |name: &str, content: &[u8]| {
        let mut file = folder.file(name, How::Emptied)?;
        file.set_len(0)?;
        file.write_all(content)?;
        file.sync_all()
    };
    let rewrite = || {
        write(&copy, &bytes)?;
        let new = format!("{name}.new");
        write(&new, kept)?;
        folder.rename(&new, name)?;
        folder.sync()
    };
    rewrite().map_err(|source| JournalError::File { path: path.to_owned(), source })?;
    let records = record::count_whole(lost);
    let copy = folder.path().join(copy);
    Ok(Some(Salvaged { path: path.to_owned(), copy, offset: offset as u64, bytes: lost.len() as u64, records }))
}
