//! The words that the command lines of all engines have, whichever launcher writes them.

use ipclusterz_profile::tables::engines::Shared;

/// Python's own arguments. What keeps the working folder from hiding modules is a variable: see the settings.
pub const PROGRAM: [&str; 2] = ["-m", "ipclusterz.engine"];

/// The options for `engines.threads`. `cores` is how many cores a queue gives each engine, 0 if that is not known.
/// `host_engines` is how many engines share the host, if the engine cannot know that itself.
pub fn threads(threads: Shared, cores: u32, host_engines: u32) -> Vec<String> {
    let option = |name: &str, value: String| vec![name.to_owned(), value];
    match (threads, cores) {
        (Shared::Unset, _) => option("--threads", "unset".to_owned()),
        (Shared::Number(count), _) => option("--threads", count.to_string()),
        (Shared::Share, 0) if host_engines <= 1 => Vec::new(),
        (Shared::Share, 0) => option("--host-engines", host_engines.to_string()),
        (Shared::Share, cores) => option("--threads", cores.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_told_what_it_cannot_know_itself() {
        let words = |kind, cores, engines| threads(kind, cores, engines).join(" ");
        assert_eq!(words(Shared::Share, 0, 4), "--host-engines 4");
        assert_eq!(words(Shared::Share, 0, 1), "");
        assert_eq!(words(Shared::Share, 2, 4), "--threads 2");
        assert_eq!(words(Shared::Number(3), 2, 4), "--threads 3");
        assert_eq!(words(Shared::Unset, 2, 4), "--threads unset");
    }
}
