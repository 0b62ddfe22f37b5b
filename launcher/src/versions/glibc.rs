//! The C library: the oldest version that this program runs with, and the version of this host.

use std::ffi::CStr;

/// The oldest glibc that this program runs with; `None` if its file cannot be read or it needs none.
pub fn needed_by_this_program() -> Option<String> {
    needed(&std::fs::read("/proc/self/exe").ok()?)
}

/// The newest of the versions whose functions a program uses: the dynamic linker refuses to start it with an older one.
/// Their names, such as `GLIBC_2.17`, are in the table of the names that it asks for, between zero bytes.
fn needed(program: &[u8]) -> Option<String> {
    let names = program.split(|byte| *byte == 0).filter_map(|name| name.strip_prefix(b"GLIBC_"));
    let version = names.filter_map(numbers).max()?;
    Some(version.iter().map(u32::to_string).collect::<Vec<_>>().join("."))
}

fn numbers(version: &[u8]) -> Option<Vec<u32>> {
    std::str::from_utf8(version).ok()?.split('.').map(|number| number.parse().ok()).collect()
}

/// The glibc that this process runs with.
pub fn here() -> String {
    // SAFETY: it has no conditions, and returns a constant of the library.
    let version = unsafe { CStr::from_ptr(libc::gnu_get_libc_version()) };
    version.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_counts_by_its_numbers() {
        let program = b"\x7fELF\0GLIBC_2.4\0GLIBC_2.17\0GLIBC_2.2.5\0GLIBC_PRIVATE\0say GLIBC_2.99\0GLIBC_2.x\0";
        assert_eq!(needed(program).as_deref(), Some("2.17"));
        assert_eq!(needed(b"static\0program"), None);
    }

    #[test]
    fn this_host_has_what_this_program_needs() {
        let (needed, here) = (needed_by_this_program().expect("a dynamic program"), here());
        assert!(numbers(needed.as_bytes()) <= numbers(here.as_bytes()), "{needed} {here}");
    }
}
