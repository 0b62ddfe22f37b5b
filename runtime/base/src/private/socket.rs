//! Unix sockets in private folders, with this user or root at both ends.

use super::folder::Folder;
use super::owner::{effective_user, user_name};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use std::fs::Permissions;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

/// Listens at `path`, mode 0600, whose folder is this user's alone.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    check_folder(path)?;
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Connects to whoever listens at `path`. Waits no longer than `patience` while too many others wait there.
pub fn connect(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    check_folder(path)?;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(patience))?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, None)?;
    check_peer(&socket)?;
    Ok(UnixStream::from(socket))
}

fn check_folder(path: &Path) -> io::Result<()> {
    Folder::open(path.parent().unwrap_or(Path::new("/")))?;
    Ok(())
}

/// Refuses the process at the other end of a unix socket, unless it is this user's or root's.
pub fn check_peer(socket: &impl AsRawFd) -> io::Result<()> {
    let mut peer = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut length = libc::socklen_t::try_from(size_of_val(&peer)).unwrap_or(0);
    // SAFETY: the structure is valid for writing, and its length is given.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    if peer.uid == 0 || peer.uid == effective_user() {
        return Ok(());
    }
    let whose = format!("the process at the other end of the socket belongs to user {}", user_name(peer.uid));
    Err(io::Error::new(io::ErrorKind::PermissionDenied, whose))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_this_users() {
        let root = tempfile::tempdir().expect("temporary folder");
        let folder = root.path().join("private");
        Folder::make(&folder).expect("make");
        let path = folder.join("s");
        let listener = listen(&path).expect("listen");
        let near = connect(&path, Duration::from_secs(5)).expect("connect");
        let (far, _) = listener.accept().expect("accept");
        check_peer(&near).and_then(|()| check_peer(&far)).expect("this process");
        std::fs::set_permissions(&folder, Permissions::from_mode(0o711)).expect("chmod");
        let refused = connect(&path, Duration::from_secs(5)).expect_err("open to others").to_string();
        assert!(refused.contains("its mode is 711"), "{refused}");
        assert!(listen(&folder.join("other")).is_err());
    }

    #[test]
    fn a_full_queue_is_not_waited_for_without_end() {
        let root = tempfile::tempdir().expect("temporary folder");
        let folder = root.path().join("private");
        Folder::make(&folder).expect("make");
        let path = folder.join("s");
        let _listener = listen(&path).expect("listen");
        let mut waiting = Vec::new();
        let error = loop {
            match connect(&path, Duration::from_millis(20)) {
                Ok(stream) => waiting.push(stream),
                Err(error) => break error,
            }
            assert!(waiting.len() < 100_000, "the queue has no end");
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
