//! How the hosts of jobs find each other: by files in a folder of the cluster, which all of them see. A launcher does not
//! hear of them.
//!
//! # Format
//!
//! | file | is |
//! |---|---|
//! | `reader` | made by the host that reads the environment, and touched while it does |
//! | `content` | JSON: what it has read |
//! | `at-…` | JSON: the addresses of a host that has it, and gives it to others |

use ipclusterz_base::places::{PlacesError, host_name};
use ipclusterz_base::private::{self, How};
use ipclusterz_launchers::stage::order::Content;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant, SystemTime};

/// Between two touches of the reader's file.
const BEAT: Duration = Duration::from_secs(2);
/// A reader that has not touched its file for so long is gone.
const SILENCE: Duration = Duration::from_secs(30);

/// The folder.
#[derive(Debug)]
pub struct Meeting {
    folder: PathBuf,
    /// The reader's file as it was seen last, and when that was seen first.
    seen: Option<((u64, i64, i64), Instant)>,
}

/// This host reads the environment, until this value is dropped.
#[derive(Debug)]
pub struct Reading {
    path: PathBuf,
    _end: Sender<()>,
}

impl Meeting {
    /// The folder at this path, which is made unless it is there.
    pub fn at(folder: &Path) -> Result<Self, PlacesError> {
        private::make_private_dir(folder)?;
        Ok(Self { folder: folder.to_path_buf(), seen: None })
    }

    /// Has this host read the environment, if no other one does.
    pub fn read(&mut self, now: Instant) -> Result<Option<Reading>, PlacesError> {
        let path = self.folder.join("reader");
        let file = match private::open_to_write(&path, How::New) {
            Ok(file) => file,
            Err(PlacesError::Io { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists => {
                self.look_at_reader(&path, now)?;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let (end, ended) = channel::<()>();
        // Without the thread, others may read it too.
        let _ = std::thread::Builder::new().name("reader".to_owned()).spawn(move || {
            while ended.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
                if touch(&file).is_err() {
                    return;
                }
            }
        });
        Ok(Some(Reading { path, _end: end }))
    }

    /// Removes the file of a reader that is gone, by this host's clock alone.
    fn look_at_reader(&mut self, path: &Path, now: Instant) -> Result<(), PlacesError> {
        let Ok(metadata) = std::fs::metadata(path) else { return Ok(()) };
        let stamp = |metadata: &Metadata| (metadata.ino(), metadata.mtime(), metadata.mtime_nsec());
        match self.seen {
            Some((seen, since)) if seen == stamp(&metadata) => {
                if now.saturating_duration_since(since) > SILENCE {
                    self.seen = None;
                    private::remove(path)?;
                }
            }
            _ => self.seen = Some((stamp(&metadata), now)),
        }
        Ok(())
    }

    /// What has been read.
    pub fn content(&self) -> Option<Content> {
        parsed(&self.folder.join("content"))
    }

    /// Says what has been read.
    pub fn publish(&self, content: &Content) -> Result<(), PlacesError> {
        write(&self.folder.join("content"), content)
    }

    /// The addresses of the hosts that have it.
    pub fn holders(&self) -> Vec<Vec<String>> {
        let names = private::names(&self.folder).unwrap_or_default();
        let names = names.into_iter().filter_map(|name| name.into_string().ok()).filter(|name| name.starts_with("at-"));
        names.filter_map(|name| parsed(&self.folder.join(name))).collect()
    }

    /// Says where this host gives it to others.
    pub fn hold(&self, addresses: &[String]) -> Result<(), PlacesError> {
        write(&self.folder.join(format!("at-{}", host_name().replace('/', "_"))), &addresses)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        // One that stays is found to be silent.
        let _ = private::remove(&self.path);
    }
}

fn touch(file: &File) -> std::io::Result<()> {
    file.set_modified(SystemTime::now())
}

fn parsed<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&private::read(path, private::Trust::Ours).ok()?).ok()
}

fn write(path: &Path, value: &impl Serialize) -> Result<(), PlacesError> {
    private::write_private(path, &serde_json::to_vec(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reads_and_tells_the_others() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let meet = || Meeting::at(&folder.path().join("stage")).expect("a folder");
        let (mut first, mut second, now) = (meet(), meet(), Instant::now());
        let reading = first.read(now).expect("looked").expect("nobody reads");
        assert!(second.read(now).expect("looked").is_none() && second.content().is_none());
        drop(reading);
        let reading = second.read(now).expect("looked").expect("nobody reads");
        let content = Content { hash: "c0ffee".to_owned(), fingerprint: "f".to_owned() };
        second.publish(&content).expect("written");
        drop(reading);
        assert_eq!((first.content(), first.holders().len()), (Some(content), 0));
        let addresses = vec!["n1:1".to_owned(), "10.0.0.1:1".to_owned()];
        second.hold(&addresses).expect("written");
        assert_eq!(first.holders(), [addresses]);
    }

    #[test]
    fn a_reader_that_is_silent_is_gone() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let mut meeting = Meeting::at(&folder.path().join("stage")).expect("a folder");
        std::fs::write(folder.path().join("stage/reader"), "").expect("write");
        let now = Instant::now();
        assert!(meeting.read(now).expect("looked").is_none());
        assert!(meeting.read(now + SILENCE).expect("looked").is_none());
        assert!(meeting.read(now + SILENCE + BEAT).expect("looked").is_none());
        assert!(meeting.read(now + SILENCE + BEAT).expect("looked").is_some());
    }

    #[test]
    fn a_reader_that_lives_is_waited_for() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let mut meeting = Meeting::at(&folder.path().join("stage")).expect("a folder");
        let path = folder.path().join("stage/reader");
        let now = Instant::now();
        for beat in 0..4 {
            std::fs::write(&path, "").expect("write");
            let time = SystemTime::UNIX_EPOCH + BEAT * (beat + 1);
            File::options().write(true).open(&path).expect("open").set_modified(time).expect("set");
            assert!(meeting.read(now + SILENCE * beat).expect("looked").is_none());
        }
        assert!(path.exists());
    }
}
