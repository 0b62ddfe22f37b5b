//! For `--exit-with-parent`: a process that must not be outlived.

use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::system;

/// For `--exit-with-parent`: has the kernel tell when the parent is gone.
pub fn parent_to_follow(wanted: bool) -> Result<Option<u32>, Failure> {
    if !wanted {
        return Ok(None);
    }
    let parent = system::parent_pid();
    system::signal_when_parent_ends(libc::SIGUSR1).map_err(Failure::io("asking to be told of the parent's end"))?;
    // It may have ended before the kernel was asked.
    if parent == 1 || system::parent_pid() != parent {
        return Err(Failure::new(Exit::Interrupted, "the process that started this one is gone already"));
    }
    Ok(Some(parent))
}
