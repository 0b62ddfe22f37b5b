//! `--exit-with-parent`: the process that this one must not outlive.

use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::system;

/// If `wanted`, has the kernel signal the exit of the parent, and returns its pid. Fails if the parent has exited
/// already.
pub fn parent_to_follow(wanted: bool) -> Result<Option<u32>, Failure> {
    if !wanted {
        return Ok(None);
    }
    let parent = system::parent_pid();
    system::signal_when_parent_ends(libc::SIGUSR1).map_err(Failure::io("asking to be told of the parent's end"))?;
    // The parent may have exited before the kernel was asked.
    if parent == 1 || system::parent_pid() != parent {
        return Err(Failure::new(Exit::Interrupted, "the process that started this one is gone already"));
    }
    Ok(Some(parent))
}
