//! An environment as one archive: a tar file, the same for the same files, with its SHA-256.
//!
//! Small files are read many at once, and written in their order. Times are kept, in seconds, since Python's bytecode goes
//! by them; owners are not.

use super::fingerprint::hex;
use super::parallel;
use super::walk::{Entry, Kind};
use ipclusterz_host::failure::Failure;
use ring::digest::{Context, SHA256};
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use tar::{Builder, EntryType, Header};

/// Files up to this size are read in advance.
const SMALL: u64 = 4 << 20;
/// So many files are read in advance at most.
const IN_ADVANCE: usize = 64;

/// Writes the archive of these entries to `output`. Returns its hash and its length.
pub fn write(entries: &[Entry], output: impl Write) -> Result<(String, u64), Failure> {
    let mut builder = Builder::new(Hashing::new(output));
    let failed = Failure::io("writing the archive of the environment");
    for entries in entries.chunks(IN_ADVANCE) {
        for (entry, begun) in entries.iter().zip(parallel::map(entries, begin)) {
            let added = begun.and_then(|begun| add(&mut builder, entry, begun));
            added.map_err(Failure::io(format!("copying {}", entry.source.display())))?;
        }
    }
    builder.into_inner().and_then(Hashing::finish).map_err(failed)
}

/// A file that has been opened, and read if it is small.
enum Begun {
    /// It is no file, or it is gone.
    Nothing,
    Read(Metadata, Vec<u8>),
    Opened(Metadata, File),
}

fn begin(entry: &Entry) -> io::Result<Begun> {
    if entry.kind != Kind::File {
        return Ok(Begun::Nothing);
    }
    let file = match File::open(&entry.source) {
        // Python replaces its bytecode now and then.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Begun::Nothing),
        opened => opened?,
    };
    let metadata = file.metadata()?;
    if metadata.len() > SMALL {
        return Ok(Begun::Opened(metadata, file));
    }
    let mut content = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    // A file that grows for ever is not an environment's.
    file.take(2 * SMALL).read_to_end(&mut content)?;
    Ok(Begun::Read(metadata, content))
}

fn add<W: Write>(builder: &mut Builder<W>, entry: &Entry, begun: Begun) -> io::Result<()> {
    match (&entry.kind, begun) {
        (Kind::Folder, _) => {
            builder.append_data(&mut header(EntryType::Directory, 0o755, 0, 0), &entry.name, io::empty())
        }
        (Kind::Link(target), _) => {
            builder.append_link(&mut header(EntryType::Symlink, 0o777, 0, 0), &entry.name, target)
        }
        (Kind::File, Begun::Nothing) => Ok(()),
        (Kind::File, Begun::Read(metadata, content)) => {
            builder.append_data(&mut of_file(&metadata, content.len() as u64), &entry.name, content.as_slice())
        }
        (Kind::File, Begun::Opened(metadata, file)) => {
            let mut whole = Whole { file, left: metadata.len() };
            builder.append_data(&mut of_file(&metadata, metadata.len()), &entry.name, &mut whole)
        }
    }
}

fn of_file(metadata: &Metadata, size: u64) -> Header {
    let mode = if metadata.mode() & 0o111 == 0 { 0o644 } else { 0o755 };
    header(EntryType::Regular, mode, u64::try_from(metadata.mtime()).unwrap_or(0), size)
}

fn header(kind: EntryType, mode: u32, time: u64, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(time);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// As many bytes of a file as it had when it was opened, or an error: an archive that has fewer is none.
struct Whole {
    file: File,
    left: u64,
}

impl Read for Whole {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(room) = buffer.get_mut(..most).filter(|room| !room.is_empty()) else { return Ok(0) };
        match self.file.read(room)? {
            0 => Err(io::Error::other("the file became shorter while it was read")),
            length => {
                self.left = self.left.saturating_sub(length as u64);
                Ok(length)
            }
        }
    }
}

/// What passes bytes on, counts them and hashes them.
pub struct Hashing<W> {
    output: W,
    context: Context,
    length: u64,
}

impl<W: Write> Hashing<W> {
    /// In front of `output`.
    pub fn new(output: W) -> Self {
        Self { output, context: Context::new(&SHA256), length: 0 }
    }

    /// The hash and the number of the bytes.
    pub fn finish(mut self) -> io::Result<(String, u64)> {
        self.output.flush()?;
        Ok((hex(self.context.finish().as_ref()), self.length))
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let length = self.output.write(buffer)?;
        self.context.update(buffer.get(..length).unwrap_or_default());
        self.length = self.length.saturating_add(length as u64);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::{Parts, Root};
    use super::super::{unpack, walk};
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};

    fn archive(source: &Path) -> (Vec<u8>, String) {
        let root = Root { name: "env", source: source.into(), parts: Parts::AllBut(&[]) };
        let mut bytes = Vec::new();
        let (hash, length) = write(&walk::entries(&[root]).expect("readable"), &mut bytes).expect("an archive");
        assert_eq!(length, bytes.len() as u64);
        (bytes, hash)
    }

    #[test]
    fn an_archive_is_the_same_for_the_same_files_wherever_they_are() {
        let [one, other] = [(), ()].map(|()| tempfile::tempdir().expect("temporary folder"));
        for (folder, names) in [(&one, ["a", "b"]), (&other, ["b", "a"])] {
            for name in names {
                let path = folder.path().join(name);
                fs::write(&path, name).expect("write");
                let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
                File::options().write(true).open(&path).expect("open").set_modified(time).expect("set");
            }
        }
        let first = archive(one.path());
        assert_eq!(first, archive(other.path()));
        fs::write(other.path().join("a"), "c").expect("write");
        assert_ne!(first.1, archive(other.path()).1);
    }

    #[test]
    fn large_files_links_and_what_may_be_run_come_out_as_they_went_in() {
        let [from, to] = [(), ()].map(|()| tempfile::tempdir().expect("temporary folder"));
        let large = vec![3; usize::try_from(SMALL).expect("small") + 1];
        fs::write(from.path().join("large"), &large).expect("write");
        fs::set_permissions(from.path().join("large"), PermissionsExt::from_mode(0o700)).expect("mode");
        std::os::unix::fs::symlink("large", from.path().join("link")).expect("link");
        unpack::tar(archive(from.path()).0.as_slice(), to.path()).expect("unpacked");
        let there = to.path().join("env/large");
        assert!(fs::read(&there).expect("read") == large);
        let (before, after) = [from.path().join("large"), there].map(|path| fs::metadata(path).expect("there")).into();
        assert_eq!((after.mode() & 0o777, after.mtime()), (0o755, before.mtime()));
        assert_eq!(fs::read_link(to.path().join("env/link")).expect("a link"), Path::new("large"));
    }

    fn tree() -> impl Strategy<Value = BTreeMap<PathBuf, Vec<u8>>> {
        let name = prop::collection::vec("[a-zé ]{1,60}", 1..5).prop_map(|words| {
            // No file has the name of a folder.
            words.iter().collect::<PathBuf>().with_extension("py")
        });
        prop::collection::btree_map(name, prop::collection::vec(any::<u8>(), 0..2000), 0..12)
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(tree in tree()) {
            let [from, to] = [(), ()].map(|()| tempfile::tempdir().expect("temporary folder"));
            for (name, content) in &tree {
                let path = from.path().join(name);
                fs::create_dir_all(path.parent().expect("a folder")).expect("make");
                fs::write(path, content).expect("write");
            }
            unpack::tar(archive(from.path()).0.as_slice(), to.path()).expect("unpacked");
            for (name, content) in &tree {
                prop_assert_eq!(&fs::read(to.path().join("env").join(name)).expect("there"), content);
            }
        }
    }
}
