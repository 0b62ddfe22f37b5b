//! Checks whether this host has room for the engines: processes, open files, memory, shared memory for large payloads.

use crate::report::finding::Finding;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::units::bytes;
use ipclusterz_host::{limits, system};
use std::io;
use std::path::Path;

/// With less than this, large payloads soon travel as frames.
const LITTLE_SHARED_MEMORY: u64 = 64 << 20;

/// Checks the limits that this many local engines could exceed.
pub fn engines(count: u32) -> Finding {
    const CHECK: &str = "limits";
    let limits = limits::of_this_host(count);
    match limits::check(count, &limits) {
        Err(error) => Finding::of_failure(CHECK, Failure::from(error)),
        Ok(()) => {
            let tightest = limits.iter().min_by_key(|limit| limit.engines());
            let most = tightest.map(|limit| format!("; up to {} by {}", limit.engines(), limit.name));
            Finding::ok(CHECK, format!("room for {count} engines{}", most.unwrap_or_default()))
        }
    }
}

/// Checks the limit on open files of the controller, which has two sockets for each engine, wherever the engine runs.
pub fn files(count: u32) -> Finding {
    const CHECK: &str = "open files";
    match system::resource_limit(libc::RLIMIT_NOFILE) {
        Ok((soft, hard)) => {
            let text = |limit: Option<u64>| limit.map_or("unlimited".to_owned(), |limit| limit.to_string());
            let message = format!("ulimit -n {}, which the controller raises to {}", text(soft), text(hard));
            let needed = limits::files_of_controller(count);
            match hard {
                Some(hard) if hard < needed => Finding::failed(
                    CHECK,
                    format!("{message}; {count} engines need {needed}"),
                    "have ulimit -Hn raised, or start fewer engines",
                ),
                _ => Finding::ok(CHECK, message),
            }
        }
        Err(error) => Finding::failed(CHECK, format!("getrlimit: {error}"), ""),
    }
}

/// Checks the file system through which processes of one host pass large payloads.
pub fn shared_memory(path: &Path) -> Finding {
    judge_space(path, system::space(path))
}

fn judge_space(path: &Path, space: io::Result<(u64, u64)>) -> Finding {
    let check = path.display().to_string();
    const HINT: &str = "large arrays travel through the socket instead, which is slower; in a container, give it more (docker run --shm-size=1g)";
    match space {
        Ok((size, left)) => {
            let message = format!("{} of {} are free", bytes(left), bytes(size));
            if left < LITTLE_SHARED_MEMORY {
                Finding::warning(&check, message, HINT)
            } else {
                Finding::ok(&check, message)
            }
        }
        Err(error) => Finding::warning(&check, format!("cannot be used: {error}"), HINT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::finding::Level;

    #[test]
    fn little_or_no_shared_memory_is_a_warning() {
        let path = Path::new("/dev/shm");
        let judge = |space| judge_space(path, space);
        assert_eq!(judge(Ok((8 << 30, 1 << 30))), Finding::ok("/dev/shm", "1.0 GiB of 8.0 GiB are free"));
        assert_eq!(judge(Ok((64 << 20, 1 << 20))).level, Level::Warning);
        assert_eq!(judge(Err(io::Error::from_raw_os_error(libc::ENOENT))).level, Level::Warning);
    }

    #[test]
    fn more_engines_than_there_is_room_for_fail() {
        assert_eq!(engines(1).level, Level::Ok);
        assert_eq!(engines(1_000_000_000).level, Level::Failed);
    }
}
