//! The life of a cluster that was started from another host: as long as a file here is touched.
//!
//! Whoever started it touches the file again and again, through SSH. When that has not happened for the lease, or the
//! file is gone, nobody looks after the cluster any more, and it ends.

use super::events::Event;
use ipclusterz_host::failure::Failure;
use ipclusterz_ssh::sitting;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};
use std::{fs, io};

/// Longest time between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// What may be beside the lease, in a folder that the one who started the cluster has made for it.
const BESIDE: [&str; 7] = ["profile.toml", "report.json", "start.log", "status", "begun", "lease", sitting::FILE];

/// Tells when the lease is over.
pub fn watch(file: PathBuf, lease: Duration, events: Sender<Event>) -> io::Result<()> {
    let look = move || {
        // The time of the file is compared with itself alone: its file system may have another clock.
        let (mut touched, mut since) = (modified(&file), Instant::now());
        loop {
            let now = modified(&file);
            let why = if now.is_none() {
                "whoever started it there has let it go".to_owned()
            } else if now == touched && since.elapsed() >= lease {
                remove(&file);
                format!("nothing was heard for {} s from where it was started", lease.as_secs_f64())
            } else {
                if now != touched {
                    (touched, since) = (now, Instant::now());
                }
                std::thread::sleep(LOOK_INTERVAL.min(lease / 8));
                continue;
            };
            // The supervisor may be on its way out; then nobody needs to know.
            let _ = events.send(Event::LeaseOver(why));
            return;
        }
    };
    std::thread::Builder::new().name("lease".to_owned()).spawn(look).map(drop)
}

fn modified(file: &Path) -> Option<std::time::SystemTime> {
    fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
}

/// Nobody will come for what is beside the lease, nor for the connection through which it was touched.
fn remove(file: &Path) {
    let Some(folder) = file.parent() else { return };
    sitting::end(folder);
    for name in BESIDE {
        let _ = fs::remove_file(folder.join(name));
    }
    let _ = fs::remove_file(file);
    // Stays when there is anything else in it.
    let _ = fs::remove_dir(folder);
}

/// Leaves word beside the lease of how the cluster has ended, unless whoever started it has let it go.
pub fn leave_word(file: &Path, outcome: &Result<u8, Failure>) {
    if let (true, Some(folder), Ok(text)) = (file.exists(), file.parent(), serde_json::to_vec(outcome)) {
        // Without it the other side says only that the cluster is gone.
        let _ = ipclusterz_base::places::write_private(&folder.join("outcome.json"), &text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_lease_is_over_when_nobody_touches_it_or_it_is_gone() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let run = folder.path().join("run");
        fs::create_dir(&run).expect("create");
        let file = run.join("lease");
        fs::write(&file, "").expect("write");
        let (sender, receiver) = channel();
        let began = Instant::now();
        watch(file.clone(), Duration::from_millis(300), sender.clone()).expect("thread");
        let Ok(Event::LeaseOver(why)) = receiver.recv_timeout(Duration::from_secs(10)) else { panic!("a lease") };
        assert!(why.contains("0.3 s") && began.elapsed() >= Duration::from_millis(300), "{why}");
        assert!(!run.exists());

        watch(file, Duration::from_secs(60), sender).expect("thread");
        let Ok(Event::LeaseOver(why)) = receiver.recv_timeout(Duration::from_secs(10)) else { panic!("a lease") };
        assert!(why.contains("let it go"), "{why}");
    }
}
