//! Which release this is, and which version of the protocol it speaks. Two releases work together if their wire versions
//! are the same; `docs/contributing/versions.md` says when that number changes.

use std::hint::black_box;
use std::sync::LazyLock;

/// One text for both numbers, so that `strings PROGRAM | grep '@(#)ipclusterz'` tells what a program or an extension is.
/// The tests make another release of a built one by changing these bytes.
static WHAT: &str = concat!("@(#)ipclusterz ", env!("CARGO_PKG_VERSION"), " (wire 1)");

struct Release {
    number: &'static str,
    wire: u8,
    line: &'static str,
}

static OWN: LazyLock<Release> = LazyLock::new(|| {
    // Read at run time: the compiler would put its own copies of the numbers in many places.
    let line = black_box(WHAT).split_once(' ').map_or("", |(_, line)| line);
    let (number, wire) = read(line);
    Release { number, wire: wire.unwrap_or_default(), line }
});

/// The number of this release: `0.1.0`. It is for people: programs compare versions of what they exchange.
pub fn number() -> &'static str {
    OWN.number
}

/// The version of the protocol: the first entry of every header.
pub fn wire_version() -> u8 {
    OWN.wire
}

/// Both, as `ipclusterz --version` prints them behind the name: `0.1.0 (wire 1)`.
pub fn line() -> &'static str {
    OWN.line
}

/// Reads such a line, of whatever release. One without a wire version is older than that number.
pub fn read(line: &str) -> (&str, Option<u8>) {
    let (number, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
    let wire = rest.strip_prefix("(wire ").and_then(|rest| rest.split([')', ',', ' ']).next());
    (number, wire.and_then(|wire| wire.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_package() {
        assert_eq!((number(), wire_version()), (env!("CARGO_PKG_VERSION"), 1));
        assert_eq!(line(), concat!(env!("CARGO_PKG_VERSION"), " (wire 1)"));
    }

    #[test]
    fn lines_of_other_releases_are_read() {
        assert_eq!(read("0.1.0\n"), ("0.1.0", None));
        assert_eq!(read("3.0.0-rc.1 (wire 12)"), ("3.0.0-rc.1", Some(12)));
        assert_eq!(read("3.0.0 (wire 12, built yesterday) and more"), ("3.0.0", Some(12)));
        assert_eq!(read("3.0.0 (wired)"), ("3.0.0", None));
        assert_eq!(read(""), ("", None));
    }
}
