//! The lease of a cluster that was started from another host: the cluster lives as long as a file on this host is
//! touched.
//!
//! The other host touches the file again and again, through SSH. If that does not happen for the duration of the lease,
//! or the file is gone, nobody looks after the cluster any more, and it ends.

use super::events::Event;
use ipclusterz_base::private;
use ipclusterz_host::failure::Failure;
use ipclusterz_ssh::sitting;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};
use std::{fs, io};

/// Longest time between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// The files that may be beside the lease, in a folder that the other host has made for them.
const BESIDE: [&str; 7] = ["profile.toml", "report.json", "start.log", "status", "begun", "lease", sitting::FILE];

/// Starts the thread that reports when the lease has expired.
pub fn watch(file: PathBuf, lease: Duration, events: Sender<Event>) -> io::Result<()> {
    let look = move || {
        // The file's time is compared only with its own earlier value: its file system may have another clock.
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
            // The supervisor may be exiting. Then nobody needs the event.
            let _ = events.send(Event::LeaseOver(why));
            return;
        }
    };
    std::thread::Builder::new().name("lease".to_owned()).spawn(look).map(drop)
}

fn modified(file: &Path) -> Option<std::time::SystemTime> {
    fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
}

/// Removes the lease, what is beside it, and the connection through which it was touched: nobody will come for them.
fn remove(file: &Path) {
    let Some(folder) = file.parent() else { return };
    sitting::end(folder);
    for name in BESIDE {
        let _ = private::remove(&folder.join(name));
    }
    let _ = private::remove(file);
    // The folder stays if anything else is in it.
    let _ = fs::remove_dir(folder);
}

/// Writes beside the lease how the cluster has ended, unless the other host has removed the lease.
pub fn write_outcome(file: &Path, outcome: &Result<u8, Failure>) {
    if let (true, Some(folder), Ok(text)) = (file.exists(), file.parent(), serde_json::to_vec(outcome)) {
        // Without it, the other side reports only that the cluster is gone.
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
