//! The names and addresses by which other hosts can reach this one. Tries no connection.

use crate::places;
use std::ffi::CStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Returns the host's name, then the addresses of its interfaces that are up, without loopback and link-local ones.
///
/// An IPv6 address is in brackets. If the interfaces cannot be read, only the name is returned.
pub fn of_this_host() -> Vec<String> {
    let mut hosts = vec![places::host_name()];
    for address in interfaces() {
        let text = match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        if is_reachable(address) && !hosts.contains(&text) {
            hosts.push(text);
        }
    }
    hosts
}

/// Whether another host could have a route to `address`.
fn is_reachable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local() && !address.is_unspecified(),
        IpAddr::V6(address) => !address.is_loopback() && !address.is_unspecified() && !address.is_unicast_link_local(),
    }
}

/// Addresses of all interfaces that are up.
fn interfaces() -> Vec<IpAddr> {
    let mut list: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: the pointer is valid for writing.
    if unsafe { libc::getifaddrs(&raw mut list) } != 0 {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut next = list;
    while !next.is_null() {
        // SAFETY: getifaddrs made a list that ends in a null pointer, and it is not freed yet.
        let entry = unsafe { &*next };
        next = entry.ifa_next;
        if entry.ifa_addr.is_null() || entry.ifa_flags & (libc::IFF_UP as u32) == 0 || is_bridge_of_containers(entry) {
            continue;
        }
        // SAFETY: an address of this family has this type.
        match i32::from(unsafe { (*entry.ifa_addr).sa_family }) {
            libc::AF_INET => {
                // SAFETY: as above.
                let address = unsafe { &*entry.ifa_addr.cast::<libc::sockaddr_in>() };
                found.push(IpAddr::V4(Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr))));
            }
            libc::AF_INET6 => {
                // SAFETY: as above.
                let address = unsafe { &*entry.ifa_addr.cast::<libc::sockaddr_in6>() };
                found.push(IpAddr::V6(Ipv6Addr::from(address.sin6_addr.s6_addr)));
            }
            _ => {}
        }
    }
    // SAFETY: the list came from getifaddrs, and nothing refers to it any more.
    unsafe { libc::freeifaddrs(list) };
    found
}

/// Whether the interface is the bridge of containers: every host with containers has one, with the same address.
fn is_bridge_of_containers(entry: &libc::ifaddrs) -> bool {
    // SAFETY: the name is a C string in the list.
    let name = unsafe { CStr::from_ptr(entry.ifa_name) };
    [&b"docker"[..], b"virbr", b"lxc"].iter().any(|prefix| name.to_bytes().starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_comes_first_and_loopback_not_at_all() {
        let hosts = of_this_host();
        assert_eq!(hosts[0], places::host_name());
        assert!(!hosts[1..].iter().any(|host| host.starts_with("127.") || host == "[::1]"), "{hosts:?}");
    }

    #[test]
    fn addresses_that_mean_another_host_elsewhere_are_left_out() {
        for bad in ["127.0.0.1", "169.254.1.1", "0.0.0.0", "::1", "fe80::1"] {
            assert!(!is_reachable(bad.parse().expect("an address")), "{bad}");
        }
        assert!(is_reachable("10.0.0.7".parse().expect("an address")));
    }
}
