//! What scripts, `ssh` and shells on other hosts print.

use ipclusterz_base::process::Stat;
use ipclusterz_host::identity::ProcessIdentity;
use ipclusterz_host::units;
use ipclusterz_launchers::program::flavour;
use ipclusterz_launchers::ssh::script::Answer;
use ipclusterz_ssh::known_hosts;
use ipclusterz_ssh::openssh::explain::{Attempt, closing_reason, explain, without_debug};
use ipclusterz_ssh::target::Target;

/// Any text as what was printed elsewhere: read as far as it is understood.
pub fn hosts(bytes: &[u8]) {
    let text = &*String::from_utf8_lossy(bytes);
    let _ = (Answer::parse(text), without_debug(text), flavour::recognise(text));
    assert!(!closing_reason(text).is_empty());
    let attempt = Attempt {
        host: "n1".to_owned(),
        arguments: "n1".to_owned(),
        known_hosts: vec!["known_hosts".to_owned()],
        reason: "nobody is there".to_owned(),
    };
    assert!(!explain(text, &attempt, text).to_string().is_empty());
    let _ = (ProcessIdentity::parse(1, text), Stat::parse(text));
    let _ = (units::TimeLimit::parse(text), units::memory(text), known_hosts::key_type(bytes));
    if let Ok(target) = text.parse::<Target>() {
        assert_eq!(target.to_string().parse::<Target>().ok(), Some(target));
    }
}
