//! "Did you mean": the known name nearest to an unknown one.

/// Returns the candidate most like `name`; `None` if none is similar enough.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Below this similarity, a suggestion confuses more than it helps. clap uses the same value.
    const LIKENESS: f64 = 0.7;
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > LIKENESS)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_a_slip_and_leaves_strangers_alone() {
        assert_eq!(nearest("enginse", ["engines", "controller"]), Some("engines"));
        assert_eq!(nearest("zzz", ["engines", "controller"]), None);
    }
}
