//! Checks the variables of ipclusterz that are set.

use crate::report::finding::Finding;
use ipclusterz_host::suggestion::nearest;
use ipclusterz_profile::environment::{OTHERS, TABLE, Variables};

const CHECK: &str = "environment";

/// One finding for the variables that are read, and one for each variable that nothing reads.
pub fn check(variables: &Variables) -> Vec<Finding> {
    let known: Vec<&str> = TABLE.iter().map(|(name, _)| *name).chain(OTHERS).collect();
    let set: Vec<(&str, &str)> = variables.with_prefix("IPCLUSTERZ_").collect();
    let (read, unread): (Vec<_>, Vec<_>) = set.into_iter().partition(|(name, _)| known.contains(name));
    let listed: Vec<String> = read.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let listed = if listed.is_empty() { "no IPCLUSTERZ_ variable is set".to_owned() } else { listed.join(" ") };
    let mut findings = vec![Finding::ok(CHECK, listed)];
    for (name, _) in unread {
        let likely = nearest(name, known.iter().copied()).map(|likely| format!("did you mean {likely}? "));
        let hint = format!("{}`ipclusterz --help` lists those that are", likely.unwrap_or_default());
        findings.push(Finding::warning(CHECK, format!("{name} is set but nothing reads it"), hint));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_noticed() {
        let set = [("IPCLUSTERZ_ENGINES", "2"), ("IPCLUSTERZ_ENGINSE", "3"), ("HOME", "/")];
        let findings = check(&Variables::from_pairs(set.map(|(name, value)| (name.to_owned(), value.to_owned()))));
        assert_eq!(findings[0].message, "IPCLUSTERZ_ENGINES=2");
        assert_eq!(findings[1].message, "IPCLUSTERZ_ENGINSE is set but nothing reads it");
        assert!(findings[1].hint.as_ref().is_some_and(|hint| hint.starts_with("did you mean IPCLUSTERZ_ENGINES?")));
        assert_eq!(findings.len(), 2);
    }
}
