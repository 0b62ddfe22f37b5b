//! Processes of the system's `ssh`: starts them so that they end with this process, and exchanges data with a timeout.

use crate::poll::PollSet;
use crate::remote::RunOutput;
use ipclusterz_host::system;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Timeout of a process to exit after it has closed its output, or was told to end.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// Starts `command` in a session of its own, without a terminal. It gets SIGTERM when the calling thread ends.
///
/// The signal depends on the thread, not on the process (prctl(2)): see [`ipclusterz_host::spawn`].
pub fn spawn(mut command: Command) -> io::Result<Child> {
    let parent = std::process::id();
    // SAFETY: the closure runs between fork and exec, and makes nothing but system calls on plain data.
    unsafe {
        command.pre_exec(move || {
            let mut none: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut none);
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) != 0
                || libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) != 0
                || libc::setsid() < 0
            {
                return Err(io::Error::last_os_error());
            }
            // The parent may have ended before prctl took effect.
            if libc::getppid().unsigned_abs() != parent {
                libc::_exit(1);
            }
            Ok(())
        });
    }
    command.spawn()
}

/// Ends a child with SIGTERM, then with SIGKILL, and reaps it.
pub fn end(child: &mut Child) {
    if matches!(child.try_wait(), Ok(Some(_))) {
        return;
    }
    // The child is not reaped yet, so its pid is not reused.
    let _ = system::signal_process(child.id(), libc::SIGTERM);
    if !system::wait_for_end(child.id(), END_PATIENCE).unwrap_or(false) {
        let _ = child.kill();
    }
    let _ = child.wait();
}

/// Writes `input` to a child with piped streams, and reads its output until it exits. `None` when `deadline` came
/// first; then the child has been ended.
pub fn communicate(mut child: Child, input: &[u8], deadline: Instant) -> io::Result<Option<RunOutput>> {
    let result = exchange(&mut child, input, deadline);
    if !matches!(result, Ok(Some(_))) {
        end(&mut child);
    }
    let Some((stdout, stderr)) = result? else { return Ok(None) };
    if !system::wait_for_end(child.id(), END_PATIENCE)? {
        end(&mut child);
        return Ok(None);
    }
    let status = child.wait()?;
    Ok(Some(RunOutput { status: status.code().unwrap_or(128 + status.signal().unwrap_or(0)), stdout, stderr }))
}

fn exchange(child: &mut Child, input: &[u8], deadline: Instant) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
    let (mut stdin, mut stdout, mut stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    if let Some(pipe) = &stdin {
        unblock(pipe)?;
    }
    let (mut out, mut err, mut sent) = (Vec::new(), Vec::new(), 0);
    let mut set = PollSet::default();
    while stdout.is_some() || stderr.is_some() {
        set.clear();
        // `None` for a stream that is closed.
        let write = stdin.as_ref().map(|pipe| set.add(pipe.as_fd(), false, true));
        let read_out = stdout.as_ref().map(|pipe| set.add(pipe.as_fd(), true, false));
        let read_err = stderr.as_ref().map(|pipe| set.add(pipe.as_fd(), true, false));
        if !set.wait(Some(deadline))? {
            return Ok(None);
        }
        if write.is_some_and(|place| set.is_ready(place)) && !feed(&mut stdin, input, &mut sent) {
            stdin = None;
        }
        if read_out.is_some_and(|place| set.is_ready(place)) && !drain(&mut stdout, &mut out)? {
            stdout = None;
        }
        if read_err.is_some_and(|place| set.is_ready(place)) && !drain(&mut stderr, &mut err)? {
            stderr = None;
        }
    }
    Ok(Some((out, err)))
}

/// Writes input without blocking. Returns whether there is more to write.
fn feed(pipe: &mut Option<impl Write>, input: &[u8], sent: &mut usize) -> bool {
    let Some(pipe) = pipe else { return false };
    if *sent < input.len() {
        match pipe.write(&input[*sent..]) {
            Ok(count) => *sent += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
            // The child has closed its input. What it made of that is in its exit status.
            Err(_) => return false,
        }
    }
    *sent < input.len()
}

/// Reads once what is available. Returns whether there may be more.
fn drain(pipe: &mut Option<impl Read>, text: &mut Vec<u8>) -> io::Result<bool> {
    let Some(pipe) = pipe else { return Ok(false) };
    let mut buffer = [0; 64 * 1024];
    let count = pipe.read(&mut buffer)?;
    text.extend_from_slice(&buffer[..count]);
    Ok(count > 0)
}

/// Sets a pipe to non-blocking mode.
pub fn unblock(pipe: &impl AsRawFd) -> io::Result<()> {
    // SAFETY: fcntl with integers on a descriptor that the pipe owns.
    let flags = unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_GETFL) };
    // SAFETY: as above.
    if flags < 0 || unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Stdio;

    fn start(script: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        spawn(command).expect("sh")
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    #[test]
    fn more_than_a_pipe_holds_goes_both_ways() {
        let input = vec![7; 1 << 20];
        let output = communicate(start("tee /dev/stderr; exit 3"), &input, soon()).expect("runs").expect("in time");
        assert_eq!((output.status, output.stdout == input, output.stderr == input), (3, true, true));
    }

    #[test]
    fn a_child_that_reads_nothing_is_no_error() {
        let output = communicate(start("exec 0<&-; echo x"), &[7; 1 << 20], soon()).expect("runs").expect("in time");
        assert_eq!((output.status, output.stdout), (0, b"x\n".to_vec()));
    }

    #[test]
    fn a_deadline_ends_the_child() {
        let child = start("exec sleep 1000");
        let pid = child.id();
        let output = communicate(child, b"", Instant::now() + Duration::from_millis(50)).expect("runs");
        assert!(output.is_none() && system::signal_process(pid, 0).is_err());
    }
}
