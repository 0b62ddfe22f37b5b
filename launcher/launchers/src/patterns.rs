//! Compiles the patterns of a `[queue]` table.

use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use regex::{Regex, RegexBuilder};

/// Compiles `queue.KEY`, which must have `groups`.
pub fn compile(key: &str, pattern: &str, groups: &[&str]) -> Result<Regex, Failure> {
    let refuse = |message: String, hint: &str| Failure::new(Exit::Usage, message).with_hint(hint);
    let regex = RegexBuilder::new(pattern).multi_line(true).build();
    let regex = regex.map_err(|error| refuse(format!("queue.{key} is not a pattern: {error}"), ""))?;
    for group in groups {
        if !regex.capture_names().flatten().any(|name| name == *group) {
            let hint = format!("write (?<{group}>…) around what is to be found");
            return Err(refuse(format!("queue.{key} = {pattern:?} has no group {group:?}"), &hint));
        }
    }
    Ok(regex)
}
