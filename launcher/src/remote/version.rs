//! Whether the `ipclusterz` of another host and this one work together: they do if their wire versions are the same.

use ipclusterz_base::release;
use ipclusterz_base::words::printable;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;

/// Reads what `program --version` printed on `host`. Returns the number of that release.
pub fn check(program: &str, host: &str, printed: &str) -> Result<String, Failure> {
    let (own, wire) = (release::number(), release::wire_version());
    let Some(line) = printed.strip_prefix("ipclusterz ") else {
        let message = format!("{program} on {host} does not tell its version; it says {:?}", printable(printed.trim()));
        return Err(Failure::new(Exit::StartFailed, message).with_hint(format!("install ipclusterz {own} on {host}")));
    };
    let (number, theirs) = release::read(line);
    if theirs == Some(wire) {
        return Ok(printable(number).into_owned());
    }
    let with = theirs.map_or(String::new(), |theirs| format!(" with wire version {theirs}"));
    let message =
        format!("{program} on {host} is ipclusterz {number}{with}, and this one is {own} with wire version {wire}");
    let hint = if number == own {
        format!("install the same ipclusterz here and on {host}")
    } else {
        format!("install ipclusterz {own} on {host}, or {number} here")
    };
    Err(Failure::new(Exit::StartFailed, message).with_hint(hint))
}

/// Adds both releases to a failure of the other host if they differ: that may be why.
pub fn with_releases(mut failure: Failure, host: &str, theirs: &str) -> Failure {
    let own = release::number();
    if !theirs.is_empty() && theirs != own {
        failure.message = format!("{} (ipclusterz {theirs} on {host}, {own} here)", failure.message);
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(printed: &str) -> Result<String, (String, Option<String>)> {
        check("/p", "n1", printed).map_err(|failure| (failure.message, failure.hint))
    }

    #[test]
    fn releases_of_one_wire_version_work_together() {
        let own = release::number();
        assert_eq!(checked(&format!("ipclusterz {}\n", release::line())), Ok(own.to_owned()));
        assert_eq!(checked("ipclusterz 9.8.7 (wire 1, of a later day)\n"), Ok("9.8.7".to_owned()));
    }

    #[test]
    fn others_are_refused_with_both_versions() {
        let own = release::number();
        let newer =
            format!("/p on n1 is ipclusterz 9.8.7 with wire version 2, and this one is {own} with wire version 1");
        let hint = format!("install ipclusterz {own} on n1, or 9.8.7 here");
        assert_eq!(checked("ipclusterz 9.8.7 (wire 2)\n"), Err((newer, Some(hint.clone()))));
        let older = format!("/p on n1 is ipclusterz 9.8.7, and this one is {own} with wire version 1");
        assert_eq!(checked("ipclusterz 9.8.7\n"), Err((older, Some(hint))));
        let same = checked(&format!("ipclusterz {own} (wire 2)")).expect_err("another wire version");
        assert_eq!(same.1.as_deref(), Some("install the same ipclusterz here and on n1"));
        let broken = checked("/p: 1: \u{1b}[2J not found").expect_err("no program");
        assert!(broken.0.starts_with("/p on n1 does not tell its version; it says \"/p: 1: "), "{}", broken.0);
        assert!(!broken.0.contains('\u{1b}'), "{:?}", broken.0);
    }

    #[test]
    fn a_failure_names_releases_only_if_they_differ() {
        let failure = || Failure::new(Exit::Failure, "no");
        assert_eq!(with_releases(failure(), "n1", release::number()).message, "no");
        assert_eq!(with_releases(failure(), "n1", "").message, "no");
        let expected = format!("no (ipclusterz 9.8.7 on n1, {} here)", release::number());
        assert_eq!(with_releases(failure(), "n1", "9.8.7").message, expected);
    }
}
