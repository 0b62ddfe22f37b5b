//! The ends of a forward: listeners, and the addresses that connections go to. The bytes between them are carried by
//! the backends.

use crate::error::SshError;
use crate::target::host_and_port;
use ipclusterz_base::{places, private};
use std::net::{Ipv4Addr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fmt, io};

/// A connected socket. The standard library's type of unix sockets is used for TCP as well: all calls that are made on
/// it (read, write, shutdown, poll) work on any stream socket.
pub type Stream = UnixStream;

/// An address, on this host or on another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A TCP port.
    Tcp {
        /// Name or address.
        host: String,
        /// Port; 0 asks for a free one where the endpoint is to listen.
        port: u16,
    },
    /// A unix socket.
    Unix(PathBuf),
}

impl Endpoint {
    /// A port of the loopback address.
    pub fn loopback(port: u16) -> Self {
        Self::Tcp { host: Ipv4Addr::LOCALHOST.to_string(), port }
    }

    /// Formats the endpoint as an address of a connection file: `tcp://host:port` or `ipc:///path`.
    pub fn to_address(&self) -> String {
        match self {
            Endpoint::Tcp { host, port } => format!("tcp://{}", host_and_port(host, *port)),
            Endpoint::Unix(path) => format!("ipc://{}", path.display()),
        }
    }

    /// Parses an address of a connection file; `None` when it is not one.
    pub fn from_address(address: &str) -> Option<Self> {
        if let Some(path) = address.strip_prefix("ipc://") {
            return path.starts_with('/').then(|| Self::Unix(PathBuf::from(path)));
        }
        let (host, port) = address.strip_prefix("tcp://")?.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some(Self::Tcp { host: host.to_owned(), port: port.parse().ok()? })
    }

    /// Connects from this host. At a unix socket, only this user or root may listen.
    pub fn connect(&self, timeout: Duration) -> io::Result<Stream> {
        match self {
            Endpoint::Unix(path) => private::connect(path, timeout),
            Endpoint::Tcp { host, port } => connect_tcp(host, *port, Instant::now() + timeout).map(from_tcp),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp { host, port } => formatter.write_str(&host_and_port(host, *port)),
            Endpoint::Unix(path) => write!(formatter, "{}", path.display()),
        }
    }
}

/// Connects to the first address of `host` that answers, with Nagle's algorithm off. Times out at `deadline`.
pub fn connect_tcp(host: &str, port: u16, deadline: Instant) -> io::Result<TcpStream> {
    let mut problem = io::Error::new(io::ErrorKind::NotFound, "it has no address");
    for address in (host, port).to_socket_addrs()? {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"));
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => problem = error,
        }
    }
    Err(problem)
}

/// Converts a TCP socket to the common type.
pub fn from_tcp(stream: TcpStream) -> Stream {
    Stream::from(OwnedFd::from(stream))
}

#[derive(Debug)]
enum Socket {
    Unix(UnixListener),
    Tcp(TcpListener),
}

/// Removes a socket's file when its last listener is dropped.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // The file may have been removed with its folder.
        let _ = private::remove(&self.0);
    }
}

/// A listener on this host. A clone listens at the same place: connections wait in the kernel, whether they are
/// accepted or not, for as long as one listener is left.
#[derive(Debug)]
pub struct LocalListener {
    socket: Socket,
    endpoint: Endpoint,
    file: Option<Arc<SocketFile>>,
}

impl LocalListener {
    /// Listens at a unix socket, mode 0600. Creates its folder if that is missing; the folder must be private to this
    /// user. Replaces a socket at which nothing listens.
    pub fn unix(path: &Path) -> Result<Self, SshError> {
        let failed = || SshError::local(format!("listening at {}", path.display()));
        if let Some(folder) = path.parent() {
            places::make_private_dir(folder).map_err(|error| failed()(io::Error::other(error)))?;
        }
        let listener = match private::listen(path) {
            // Nothing answers: a process that was killed left the socket.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && UnixStream::connect(path).is_err() => {
                private::remove(path).map_err(io::Error::from).and_then(|()| private::listen(path))
            }
            other => other,
        }
        .map_err(failed())?;
        let file = Arc::new(SocketFile(path.to_path_buf()));
        listener.set_nonblocking(true).map_err(failed())?;
        Ok(Self { socket: Socket::Unix(listener), endpoint: Endpoint::Unix(path.to_path_buf()), file: Some(file) })
    }

    /// Listens at a port of the loopback address; 0 asks for a free one.
    pub fn tcp(port: u16) -> Result<Self, SshError> {
        let bind = || -> io::Result<(TcpListener, u16)> {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
            listener.set_nonblocking(true)?;
            let port = listener.local_addr()?.port();
            Ok((listener, port))
        };
        let (listener, port) = bind().map_err(SshError::local(format!("listening at 127.0.0.1:{port}")))?;
        Ok(Self { socket: Socket::Tcp(listener), endpoint: Endpoint::loopback(port), file: None })
    }

    /// Where it listens, with the actual port.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// A listener at the same place.
    pub fn try_clone(&self) -> io::Result<Self> {
        let socket = match &self.socket {
            Socket::Unix(listener) => Socket::Unix(listener.try_clone()?),
            Socket::Tcp(listener) => Socket::Tcp(listener.try_clone()?),
        };
        Ok(Self { socket, endpoint: self.endpoint.clone(), file: self.file.clone() })
    }

    /// Accepts the next connection; `None` when none waits, or the next is not this user's or root's. Does not block.
    pub fn accept(&self) -> io::Result<Option<Stream>> {
        let accepted = match &self.socket {
            Socket::Unix(listener) => match listener.accept() {
                Ok((stream, _)) if private::check_peer(&stream).is_err() => return Ok(None),
                accepted => accepted.map(|(stream, _)| stream),
            },
            Socket::Tcp(listener) => listener.accept().and_then(|(stream, _)| {
                stream.set_nodelay(true)?;
                Ok(from_tcp(stream))
            }),
        };
        match accepted {
            Ok(stream) => Ok(Some(stream)),
            // The peer has given up.
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionAborted) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl AsFd for LocalListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Unix(listener) => listener.as_fd(),
            Socket::Tcp(listener) => listener.as_fd(),
        }
    }
}

/// A forward that lasts until this is dropped or the connection ends. The connections that it carries end with it.
pub struct Forward {
    listens: Endpoint,
    end: Option<Box<dyn FnOnce() + Send>>,
}

impl Forward {
    /// Makes a handle that calls `end` once, when it is dropped.
    pub fn new(listens: Endpoint, end: impl FnOnce() + Send + 'static) -> Self {
        Self { listens, end: Some(Box::new(end)) }
    }

    /// Where it listens, with the actual port: on this host, or on the other host for a forward back.
    pub fn listens(&self) -> &Endpoint {
        &self.listens
    }
}

impl fmt::Debug for Forward {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Forward").field("listens", &self.listens).finish_non_exhaustive()
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn addresses_there_and_back() {
        for address in ["tcp://n1:10101", "tcp://[::1]:10101", "ipc:///run/x/controller.sock"] {
            assert_eq!(Endpoint::from_address(address).expect(address).to_address(), address);
        }
        for bad in ["ipc://relative", "n1:10101", "tcp://n1", "tcp://n1:x"] {
            assert_eq!(Endpoint::from_address(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_socket_is_private_and_goes_with_its_last_listener() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("private/s");
        let first = LocalListener::unix(&path).expect("listen");
        assert_eq!(fs::metadata(&path).expect("stat").mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(folder.path().join("private")).expect("stat").mode() & 0o777, 0o700);
        let second = first.try_clone().expect("clone");
        drop(first);
        let _peer = UnixStream::connect(&path).expect("somebody listens");
        assert!(second.accept().expect("accept").is_some());
        assert!(second.accept().expect("accept").is_none());
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn a_socket_that_was_left_behind_is_taken_over_and_one_in_use_is_not() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("private/s");
        let first = LocalListener::unix(&path).expect("listen");
        assert!(LocalListener::unix(&path).is_err());
        drop(first);
        drop(UnixListener::bind(&path).expect("bind"));
        assert!(path.exists());
        LocalListener::unix(&path).expect("taken over");
    }
}
