//! Whose process is at the other end of a TCP connection, where that is on this host: the kernel's tables tell, for each end of a
//! connection, whose it is. What `SO_PEERCRED` is for unix sockets.

use ipclusterz_base::private::effective_user;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The tables of this process's network.
const TABLES: [&str; 2] = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];
/// `TCP_ESTABLISHED` in these tables.
const ESTABLISHED: &str = "01";
/// Whose ids are not known here (user namespaces), and what belongs to nobody.
const NOBODY: u32 = 65_534;
const ROOT: u32 = 0;

/// Whether the other end of the connection between `own`, which is this process's, and `other` is on this host, and
/// belongs to a process of this user or root. False where the kernel does not tell.
pub(super) fn is_ours(own: SocketAddr, other: SocketAddr) -> bool {
    let user = effective_user();
    user != NOBODY && owner(own, other).is_some_and(|owner| owner == user || owner == ROOT)
}

fn owner(own: SocketAddr, other: SocketAddr) -> Option<u32> {
    TABLES.iter().find_map(|table| find(BufReader::new(File::open(table).ok()?), own, other))
}

/// The owner of the end `other` of a connection to `own`.
fn find(table: impl BufRead, own: SocketAddr, other: SocketAddr) -> Option<u32> {
    let wanted = (canonical(other), canonical(own));
    table.lines().map_while(Result::ok).find_map(|line| {
        let entry = Entry::read(&line)?;
        ((entry.local, entry.remote) == wanted).then_some(entry.owner)
    })
}

type End = (IpAddr, u16);

/// Addresses of IPv4 are written in two ways in sockets of IPv6.
fn canonical(address: SocketAddr) -> End {
    (address.ip().to_canonical(), address.port())
}

struct Entry {
    local: End,
    remote: End,
    owner: u32,
}

impl Entry {
    /// Of a line, if it is one of a connection that stands and that a process has open.
    fn read(line: &str) -> Option<Entry> {
        let mut words = line.split_ascii_whitespace().skip(1);
        let (local, remote) = (end(words.next()?)?, end(words.next()?)?);
        let stands = words.next()? == ESTABLISHED;
        let (owner, inode) = (words.nth(3)?.parse().ok()?, words.nth(1)?);
        // A connection that nobody has accepted, or whose process has closed it, is nobody's.
        (stands && inode != "0").then_some(Entry { local, remote, owner })
    }
}

/// An address as it is in memory, word by word in hexadecimal digits, and a port.
fn end(text: &str) -> Option<End> {
    let (address, port) = text.split_once(':')?;
    let word = |at: usize| {
        let digits = address.get(at.checked_mul(8)?..at.checked_add(1)?.checked_mul(8)?)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some((address, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    const HEAD: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    /// The digits of an address in the tables of this host's kernel.
    fn digits(bytes: &[u8]) -> String {
        let word = |bytes: &[u8]| u32::from_ne_bytes(bytes.try_into().expect("four"));
        bytes.chunks(4).map(|bytes| format!("{:08X}", word(bytes))).collect()
    }

    fn line(local: &str, remote: &str, state: &str, owner: u32, inode: u32) -> String {
        format!(
            "   1: {local} {remote} {state} 00000000:00000000 00:00000000 00000000 {owner:5}        0 {inode} 1 0 20 4\n"
        )
    }

    #[test]
    fn the_owner_of_the_other_end_is_found() {
        let here = digits(&[127, 0, 0, 1]);
        let (own, other) = (address("127.0.0.1:8080"), address("127.0.0.1:40000"));
        let ours = line(&format!("{here}:1F90"), &format!("{here}:9C40"), "01", 7, 11);
        let theirs = line(&format!("{here}:9C40"), &format!("{here}:1F90"), "01", 1000, 12);
        let table = format!("{HEAD}{ours}{theirs}");
        assert_eq!(find(table.as_bytes(), own, other), Some(1000));
        assert_eq!(find(table.as_bytes(), other, own), Some(7));
        assert_eq!(find(table.as_bytes(), own, address("127.0.0.1:40001")), None);
        assert_eq!(find(table.as_bytes(), own, address("10.0.0.1:40000")), None);
    }

    #[test]
    fn addresses_of_ipv4_and_ipv6_are_compared() {
        let mapped = digits(&Ipv4Addr::new(127, 0, 0, 1).to_ipv6_mapped().octets());
        let table = line(&format!("{mapped}:9C40"), &format!("{mapped}:1F90"), "01", 5, 12);
        let own = address("[::ffff:127.0.0.1]:8080");
        assert_eq!(find(table.as_bytes(), own, address("127.0.0.1:40000")), Some(5));
        let loopback = digits(&Ipv6Addr::LOCALHOST.octets());
        let table = line(&format!("{loopback}:9C40"), &format!("{loopback}:1F90"), "01", 6, 12);
        assert_eq!(find(table.as_bytes(), address("[::1]:8080"), address("[::1]:40000")), Some(6));
    }

    #[test]
    fn what_is_not_accepted_or_was_closed_is_nobodys() {
        let (own, other) = (address("127.0.0.1:8080"), address("127.0.0.1:40000"));
        let here = digits(&[127, 0, 0, 1]);
        for (state, inode) in [("01", 0), ("08", 12), ("0A", 12)] {
            let table = line(&format!("{here}:9C40"), &format!("{here}:1F90"), state, 0, inode);
            assert_eq!(find(table.as_bytes(), own, other), None, "{state} {inode}");
        }
        for broken in ["", "1:", "1: 00:1", "1: 0100007F:1F90 0100007F:9C40 01", "1: 0100007F 0100007F 01 a b c d e f"]
        {
            assert_eq!(find(broken.as_bytes(), own, other), None, "{broken}");
        }
    }

    #[test]
    fn the_kernel_tells_of_real_connections() {
        for place in ["127.0.0.1:0", "[::1]:0"] {
            // A host may have no IPv6.
            let Ok(listener) = TcpListener::bind(place) else { continue };
            let near = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
            let ends =
                |stream: &TcpStream| (stream.local_addr().expect("address"), stream.peer_addr().expect("address"));
            let (own, other) = ends(&near);
            assert!(!is_ours(own, other), "nobody has accepted it");
            let (far, _) = listener.accept().expect("accept");
            let (far_own, far_other) = ends(&far);
            assert!(is_ours(own, other) && is_ours(far_own, far_other));
            drop(near);
            assert!(!is_ours(far_own, far_other), "it is closed");
        }
    }
}
