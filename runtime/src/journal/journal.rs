//! A journal: opened, appended to, and begun anew from an image of the state when its log has become long.

use super::blobs::Blobs;
use super::faults;
use super::files::{self, Kind};
use super::log::Log;
use super::record::{self, End};
use super::spilled::{Copy, Spilled};
use super::sync::Syncer;
use ipclusterz_base::error::PlacesError;
use ipclusterz_base::private::{Folder, How};
use std::fmt::Display;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The version of what is in the files. A journal of another version is not read: see `docs/design/durability.md`.
pub const VERSION: u32 = 1;
/// A log of fewer bytes is not worth a new image.
const LOG_MIN: u64 = 16 << 20;
/// A log is too long when it has so many times the bytes of its image.
const LOG_PER_IMAGE: u64 = 2;

/// Why there is no journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Its folder is not private.
    #[error(transparent)]
    Place(#[from] PlacesError),
    /// A file cannot be read or written.
    #[error("the journal's file {path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Of another release.
    #[error("the journal's file {path} has version {found}; this ipclusterz reads version {VERSION}")]
    Version {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// It was whole once.
    #[error("the journal's file {path} is damaged at offset {offset}: {why}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where the damage begins.
        offset: usize,
        /// What is wrong there.
        why: String,
    },
}

/// What was found in a journal's folder.
#[derive(Debug)]
pub struct Opened {
    /// The state.
    pub image: Vec<u8>,
    image_path: PathBuf,
    path: PathBuf,
    log: Vec<u8>,
    begins: usize,
    blobs: Rc<Blobs>,
}

impl Opened {
    /// Large frames, which are files beside the log.
    pub fn blobs(&self) -> &Rc<Blobs> {
        &self.blobs
    }

    /// The image is no state.
    pub fn damaged(&self, why: &dyn Display) -> JournalError {
        JournalError::Damaged { path: self.image_path.clone(), offset: 0, why: why.to_string() }
    }

    /// Gives the events since the image to `take`, in order. Returns how many there were.
    pub fn replay<E: Display>(
        &self,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(u64, usize, u32), JournalError> {
        let damaged = |offset: usize, why: String| JournalError::Damaged { path: self.path.clone(), offset, why };
        let mut count = 0_u64;
        let read = record::read_all(&self.log, self.begins, |offset, event| {
            count = count.saturating_add(1);
            take(event).map_err(|error| damaged(offset, error.to_string()))
        });
        match read? {
            (End::Whole, next) => Ok((count, self.log.len(), next)),
            (End::Torn(offset), next) => Ok((count, offset, next)),
            (End::Damaged(offset), _) => Err(damaged(offset, "a record is not whole that was on disk once".to_owned())),
        }
    }
}

/// The files of one controller's events.
#[derive(Debug)]
pub struct Journal {
    folder: Folder,
    number: u64,
    log: Log,
    image_bytes: u64,
    /// The position of the log's first byte among all that were ever appended.
    base: u64,
    syncer: Syncer,
    /// No new image before the log has so many bytes.
    next_image: u64,
    blobs: Rc<Blobs>,
    spilled: Spilled,
}

impl Journal {
    /// What is in the folder at `path`; none if there is no journal.
    pub fn read(path: &Path) -> Result<Option<(Opened, u64)>, JournalError> {
        let folder = match Folder::open(path) {
            Err(error) if error.is_missing() => return Ok(None),
            folder => folder?,
        };
        let failed = |source| JournalError::File { path: path.to_owned(), source };
        let (images, _) = files::numbers(&folder.names().map_err(failed)?);
        let Some(number) = images.last().copied() else { return Ok(None) };
        let image_path = path.join(Kind::Image.name(number));
        let (image, begins) = read_file(&folder, Kind::Image, number)?;
        let image = image_in(image, begins).ok_or_else(|| JournalError::Damaged {
            path: image_path.clone(),
            offset: begins,
            why: "it is not whole".to_owned(),
        })?;
        let (log, begins) = read_file(&folder, Kind::Log, number)?;
        let path = path.join(Kind::Log.name(number));
        let blobs = Rc::new(Blobs::of(folder).map_err(failed)?);
        Ok(Some((Opened { image, image_path, path, log, begins, blobs }, number)))
    }

    /// A new one, with this state.
    pub fn create(path: &Path, image: &[u8]) -> Result<Journal, JournalError> {
        let folder = Folder::make(path)?;
        let failed = |source| JournalError::File { path: path.to_owned(), source };
        for name in folder.names().map_err(failed)? {
            let kinds = ["image-", "log-", "blob-", "seg-", "history."];
            let of_journal = name.to_str().filter(|name| kinds.iter().any(|kind| name.starts_with(kind)));
            of_journal.map_or(Ok(()), |name| folder.remove(name)).map_err(failed)?;
        }
        let log = begin(&folder, 1, image).map_err(failed)?;
        let syncer = Syncer::start(0).map_err(failed)?;
        let blobs = Rc::new(Blobs::of(Folder::open(path)?).map_err(failed)?);
        let image_bytes = image.len() as u64;
        let spilled = Spilled::default();
        Ok(Journal { folder, number: 1, log, image_bytes, base: 0, syncer, next_image: 0, blobs, spilled })
    }

    /// Goes on with the one that was read, after `length` bytes of its log, with the record of this number.
    pub fn resume(
        path: &Path,
        number: u64,
        opened: &Opened,
        length: usize,
        next: u32,
    ) -> Result<Journal, JournalError> {
        let folder = Folder::open(path)?;
        let failed = |source| JournalError::File { path: path.to_owned(), source };
        remove_others(&folder, number).map_err(failed)?;
        let log = Log::resume(&folder, number, length as u64, next).map_err(failed)?;
        // What follows from it is told to others.
        log.file().sync_all().map_err(failed)?;
        let syncer = Syncer::start(log.length()).map_err(failed)?;
        let image_bytes = opened.image.len() as u64;
        let (blobs, spilled) = (Rc::clone(&opened.blobs), Spilled::default());
        Ok(Journal { folder, number, log, image_bytes, base: 0, syncer, next_image: 0, blobs, spilled })
    }

    /// Appends an event, which `write` adds to the buffer.
    pub fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.log.append(write);
    }

    /// Writes what was appended: it survives this process from here on. When that fails, a later call tries again.
    pub fn commit(&mut self) -> io::Result<()> {
        self.log.commit()?;
        self.log.mark(self.syncer.synced().saturating_sub(self.base));
        Ok(())
    }

    /// Everything is on disk when this returns. For the end.
    pub fn finish(&mut self) -> io::Result<()> {
        self.log.finish()
    }

    /// Takes room for `bytes` more, and for what is under way then.
    pub fn take_room(&mut self, bytes: u64) -> io::Result<()> {
        self.log.take_room(bytes)
    }

    /// Bytes that were appended and not written.
    pub fn unwritten(&self) -> usize {
        self.log.unwritten()
    }

    /// How much was written in all.
    pub fn position(&self) -> u64 {
        self.base.saturating_add(self.log.length())
    }

    /// Up to here everything survives a loss of power.
    pub fn synced(&self) -> u64 {
        self.syncer.synced()
    }

    /// Somebody waits until what was written is on disk, and copies of segments, which are in the folder `segments`.
    pub fn sync<'a>(&mut self, segments: Option<&Path>, alive: impl Iterator<Item = &'a [u8]>) {
        let copies = segments.map(|from| {
            let copy = |name| Copy { from: from.to_owned(), to: self.folder.path().to_owned(), name };
            self.spilled.missing(alive).into_iter().map(copy).collect()
        });
        self.syncer.ask(self.log.file(), self.position(), self.blobs.take_fresh(), copies.unwrap_or_default());
    }

    /// A segment is not needed any more.
    pub fn forget_segment(&mut self, name: &[u8]) {
        if let Some(file) = self.spilled.forget(name) {
            // What cannot be removed now is removed when a controller starts again.
            let _ = self.folder.remove(&file);
        }
    }

    /// There are copies of these segments already.
    pub fn has_copies(&mut self, spilled: Spilled) {
        self.spilled = spilled;
    }

    /// Large frames, which are files beside the log.
    pub fn blobs(&self) -> &Rc<Blobs> {
        &self.blobs
    }

    /// The thread that does it.
    pub fn syncer(&self) -> &Syncer {
        &self.syncer
    }

    /// Bytes in its files.
    pub fn bytes(&self) -> u64 {
        self.image_bytes.saturating_add(self.log.length())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Whether it should begin anew.
    pub fn is_long(&self) -> bool {
        let most = faults::log_min()
            .unwrap_or(LOG_MIN)
            .max(self.image_bytes.saturating_mul(LOG_PER_IMAGE))
            .max(self.next_image);
        self.log.length().saturating_add(self.blobs.dead_bytes()) > most
    }

    /// What it has is not true any more, and what was appended is not to be written: its files are removed.
    pub fn give_up(&mut self) {
        self.log.discard();
        let (images, logs) = files::numbers(&self.folder.names().unwrap_or_default());
        let images = images.into_iter().map(|number| Kind::Image.name(number));
        for name in images.chain(logs.into_iter().map(|number| Kind::Log.name(number))) {
            // A disk that refuses that, too, may let a later controller begin with an old state.
            let _ = self.folder.remove(&name);
        }
    }

    /// It does not begin anew for a while.
    pub fn put_off(&mut self) {
        self.next_image = self.log.length().saturating_add(LOG_MIN);
    }

    /// Begins anew with the state as it is after all that was appended. When that fails, the journal goes on as it is, for a while.
    pub fn begin_anew(&mut self, image: &[u8]) -> io::Result<()> {
        let next = self.number.saturating_add(1);
        match begin(&self.folder, next, image) {
            Ok(log) => {
                let position = self.position();
                self.syncer.is_synced(position);
                (self.number, self.log, self.image_bytes) = (next, log, image.len() as u64);
                (self.base, self.next_image) = (position.saturating_sub(self.log.length()), 0);
                remove_others(&self.folder, next)?;
                self.blobs.remove_unnamed()
            }
            Err(error) => {
                self.put_off();
                Err(error)
            }
        }
    }
}

/// Writes an image and an empty log. They count from the moment when the image has its name.
fn begin(folder: &Folder, number: u64, image: &[u8]) -> io::Result<Log> {
    let unfinished = format!("{}.new", Kind::Image.name(number));
    let write = || -> io::Result<Log> {
        let mut file = folder.file(&unfinished, How::Emptied)?;
        file.set_len(0)?;
        file.write_all(Kind::Image.first_line(VERSION, number).as_bytes())?;
        let (first, second) = image.split_at_checked(image.len() / 2).unwrap_or_default();
        file.write_all(&crc32fast::hash(image).to_le_bytes())?;
        file.write_all(first)?;
        faults::reach("image.half-written");
        file.write_all(second)?;
        file.sync_all()?;
        let log = Log::create(folder, VERSION, number)?;
        faults::reach("image.before-rename");
        folder.rename(&unfinished, &Kind::Image.name(number))?;
        folder.sync()?;
        faults::reach("image.renamed");
        Ok(log)
    };
    write().inspect_err(|_| {
        // The error to report is the one that brought us here.
        let _ = folder.remove(&unfinished);
    })
}

/// Removes the files of other numbers: those that came before, and those that never counted.
fn remove_others(folder: &Folder, number: u64) -> io::Result<()> {
    let names = folder.names()?;
    let (images, logs) = files::numbers(&names);
    let of = |kind: Kind, numbers: Vec<u64>| {
        numbers.into_iter().filter(|other| *other != number).map(move |other| kind.name(other))
    };
    // Older images go first: one that is left without its log would not be taken for the newest one.
    for name in of(Kind::Image, images).chain(of(Kind::Log, logs)) {
        folder.remove(&name)?;
        faults::reach("image.half-removed");
    }
    let mut unfinished = names.iter().filter_map(|name| name.to_str()).filter(|name| name.ends_with(".new"));
    unfinished.try_for_each(|name| folder.remove(name))
}

/// A file's bytes, and how long its first line is.
fn read_file(folder: &Folder, kind: Kind, number: u64) -> Result<(Vec<u8>, usize), JournalError> {
    let path = folder.path().join(kind.name(number));
    let failed = |source| JournalError::File { path: path.clone(), source };
    let mut bytes = Vec::new();
    folder.file(&kind.name(number), How::Read).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(failed)?;
    match files::read_first_line(&bytes, kind, number) {
        Some((VERSION, length)) => Ok((bytes, length)),
        Some((found, _)) => Err(JournalError::Version { path, found }),
        None => Err(JournalError::Damaged { path, offset: 0, why: "its first line is no journal's".to_owned() }),
    }
}

/// What stands behind the first line and the CRC of an image's file, if it is whole.
fn image_in(mut bytes: Vec<u8>, begins: usize) -> Option<Vec<u8>> {
    let crc = u32::from_le_bytes(bytes.get(begins..)?.get(..4)?.try_into().ok()?);
    let image = bytes.split_off(begins.saturating_add(4));
    (crc32fast::hash(&image) == crc).then_some(image)
}
