//! What the kernel is told and asked of the socket of a bulk connection.

use crate::transport::keep_alive;
use std::os::fd::RawFd;
use std::time::Duration;

/// As for the other connections over TCP.
pub(super) fn watch_over(socket: RawFd) {
    let options = [
        (libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1),
        (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, keep_alive::IDLE),
        (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, keep_alive::INTERVAL),
        (libc::IPPROTO_TCP, libc::TCP_KEEPCNT, keep_alive::COUNT),
        (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, keep_alive::UNACKNOWLEDGED_MS),
    ];
    for (level, option, value) in options {
        // SAFETY: the value is an int that lives through the call. A kernel that refuses notices the end later.
        unsafe { libc::setsockopt(socket, level, option, (&raw const value).cast(), 4) };
    }
}

/// How long the way there and back takes, as the kernel has measured it.
pub(super) fn round_trip(socket: RawFd) -> Option<Duration> {
    // SAFETY: plain numbers, for which zeros are good.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    ask(socket, &mut info).map(|_| Duration::from_micros(u64::from(info.tcpi_rtt)))
}

/// Has the kernel write what it knows of a connection, plain numbers, to `info`: how many bytes that are.
fn ask<T: Copy>(socket: RawFd, info: &mut T) -> Option<usize> {
    let mut length = libc::socklen_t::try_from(size_of::<T>()).ok()?;
    let info: *mut T = info;
    // SAFETY: both are valid for writing, and the length is that of `info`.
    let result = unsafe { libc::getsockopt(socket, libc::IPPROTO_TCP, libc::TCP_INFO, info.cast(), &raw mut length) };
    usize::try_from(length).ok().filter(|_| result == 0)
}

/// For how long a socket had something to send, and for how long of that the other end took no more. From the beginning on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Waits {
    pub busy: Duration,
    pub for_receiver: Duration,
}

/// See [`Waits`]; none where the kernel does not tell (before Linux 4.10).
pub(super) fn waits(socket: RawFd) -> Option<Waits> {
    /// Numbers of 8 bytes in the kernel's `struct tcp_info` up to those that are asked for, and where these are: it only grows.
    const NUMBERS: usize = 24;
    const BUSY: usize = 21;
    const FOR_RECEIVER: usize = 22;
    let mut info = [0_u64; NUMBERS];
    let told = ask(socket, &mut info).is_some_and(|length| length > FOR_RECEIVER * 8 + 7);
    let at = |place: usize| Duration::from_micros(info.get(place).copied().unwrap_or_default());
    told.then(|| Waits { busy: at(BUSY), for_receiver: at(FOR_RECEIVER) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;
    use std::time::Instant;

    #[test]
    fn who_does_not_read_is_told_from_a_slow_network() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let mut from = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
        let (mut to, _) = listener.accept().expect("accept");
        from.set_nonblocking(true).expect("socket");
        assert_eq!(waits(from.as_raw_fd()), Some(Waits::default()));
        let fill = |from: &mut TcpStream| {
            while !matches!(from.write(&[0; 1 << 16]), Err(error) if error.kind() == ErrorKind::WouldBlock) {}
        };
        fill(&mut from);
        let deadline = Instant::now() + Duration::from_secs(10);
        let found = loop {
            let found = waits(from.as_raw_fd()).expect("a number");
            if found.for_receiver >= Duration::from_millis(20) {
                break found;
            }
            assert!(Instant::now() < deadline, "{found:?}");
            std::thread::yield_now();
        };
        assert!(found.busy >= found.for_receiver);
        assert!(to.read(&mut [0; 1 << 16]).is_ok());
    }
}
