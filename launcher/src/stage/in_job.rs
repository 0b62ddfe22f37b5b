//! An environment for a host of a job: hosts find each other in a folder, and no launcher hears of them.

use super::cache::Cache;
use super::meeting::Meeting;
use super::passing;
use super::staging::{self, Staging};
use ipclusterz_base::random::random_hex;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_launchers::stage::order::{JobOrder, Order};
use ipclusterz_runtime::transport::handover::Giver;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Between two looks at the folder.
const INTERVAL: Duration = Duration::from_millis(200);
/// How long a host tries to have it from others, once one has read it.
const TRIES: Duration = Duration::from_secs(90);
/// Most hosts that are asked at a time.
const ASKED: usize = 3;

/// Has the environment here. Waits for other hosts until `deadline`, and tells what is done.
pub fn stage(cache: &Cache, job: &JobOrder, deadline: Instant, tell: &mut dyn FnMut(&str)) -> Result<Staging, Failure> {
    let mut meeting = Meeting::at(Path::new(&job.meeting))?;
    let mut order = plain_order(job);
    let mut began = None;
    loop {
        let now = Instant::now();
        if let Some(content) = meeting.content() {
            let since = *began.get_or_insert(now);
            order.sources = some_of(meeting.holders());
            match staging::have(cache, &order, &content, tell) {
                Ok((environment, from)) => return Ok(Staging { environment, content, from, instead: None }),
                Err(failure) if now.saturating_duration_since(since) > TRIES => {
                    let read = staging::read(cache, &order, tell)?;
                    return Ok(Staging { instead: Some(failure.message), ..read });
                }
                Err(_) => {}
            }
        } else if let Some(reading) = meeting.read(now)? {
            let staging = staging::read(cache, &order, tell)?;
            meeting.publish(&staging.content)?;
            drop(reading);
            return Ok(staging);
        } else if now >= deadline {
            let message = "engines.stage: another host still reads the environment";
            return Err(Failure::new(Exit::Timeout, message).with_hint("it may hang on a file system"));
        }
        std::thread::sleep(INTERVAL);
    }
}

fn plain_order(job: &JobOrder) -> Order {
    Order {
        python: job.python.clone(),
        archive: job.archive.clone(),
        content: None,
        sources: Vec::new(),
        secret: job.secret.clone(),
        watched: job.watched.clone(),
    }
}

/// Some of the hosts, by chance, so that not all ask the same.
fn some_of(mut holders: Vec<Vec<String>>) -> Vec<Vec<String>> {
    holders.sort_by_cached_key(|_| random_hex(8));
    holders.truncate(ASKED);
    holders
}

/// The lock of the process that gives the environment to the hosts of this cluster.
fn giver_lock(entry: &Path, job: &JobOrder) -> io::Result<Option<File>> {
    let id: String = job.secret.id.chars().filter(char::is_ascii_alphanumeric).collect();
    let file = File::options().create(true).truncate(false).write(true).open(entry.join(format!("giver-{id}")))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Starts a process that gives the environment to other hosts, unless one does. It is nobody's child: engines take the place
/// of this process.
pub fn start_giver(file: &Path, job: &JobOrder, entry: &Path, hash: &str) -> io::Result<()> {
    let Some(lock) = giver_lock(entry, job)? else { return Ok(()) };
    drop(lock);
    let mut shell = Command::new("/bin/sh");
    let script = r#"setsid "$0" stage --give "$1" --entry "$2" --hash "$3" </dev/null >/dev/null 2>&1 &"#;
    shell.args(["-c", script]).arg(std::env::current_exe()?).arg(file).arg(entry).arg(hash);
    shell.stdin(Stdio::null()).status().map(drop)
}

/// Gives the environment to other hosts until this process is ended. Returns at once where another process does.
pub fn give(job: &JobOrder, entry: &Path, hash: &str) -> io::Result<()> {
    let Some(_lock) = giver_lock(entry, job)? else { return Ok(()) };
    let _used = super::cache::hold(entry)?;
    let archive: PathBuf = super::cache::archive_in(entry);
    let (Some(ticket), true) = (passing::ticket(&job.secret), archive.is_file()) else { return Ok(()) };
    let giver = Giver::new()?;
    let addresses = giver.addresses();
    passing::give(giver, ticket, hash.to_owned(), archive)?;
    let meeting = Meeting::at(Path::new(&job.meeting)).map_err(io::Error::other)?;
    meeting.hold(&addresses).map_err(io::Error::other)?;
    loop {
        std::thread::park();
    }
}
