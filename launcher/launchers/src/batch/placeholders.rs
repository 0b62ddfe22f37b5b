//! Fills in placeholders such as `{log}` in directives and commands.
//!
//! Not responsible for the values: see [`super::options`].

use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::shell::quote;
use regex::Regex;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// `${NAME}` belongs to the shell: variable names in capitals do not match this pattern.
static PLACEHOLDER: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::unwrap_used, reason = "a constant pattern, which every test compiles")]
    Regex::new(r"\{([a-z_]+)\}").unwrap()
});

/// A part that is omitted alone when a value is missing.
static OPTIONAL: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::unwrap_used, reason = "a constant pattern, which every test compiles")]
    Regex::new(r"\[\[(.*?)\]\]").unwrap()
});

/// The values of placeholders; a known placeholder may have no value.
#[derive(Debug, Clone, Default)]
pub struct Values(BTreeMap<&'static str, Option<String>>);

impl Values {
    /// Defines the placeholder `name`, with its value if it has one.
    pub fn set(&mut self, name: &'static str, value: Option<impl ToString>) {
        self.0.insert(name, value.map(|value| value.to_string()));
    }

    /// The value of a placeholder, if there is one.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_deref()
    }

    /// Fills in a template, each value passed through `quote`; `None` when a placeholder has no value.
    ///
    /// A part in `[[…]]` is omitted alone when a placeholder in it has no value. An unknown placeholder, or a value
    /// with a control character, is a usage error that names `key`, where the template is from.
    pub fn fill(&self, template: &str, key: &str, quote: fn(&str) -> String) -> Result<Option<String>, Failure> {
        let mut whole = String::new();
        let mut end = 0;
        for found in OPTIONAL.captures_iter(template) {
            let (Some(part), Some(inner)) = (found.get(0), found.get(1)) else { continue };
            whole.push_str(&template[end..part.start()]);
            end = part.end();
            if self.fill_plain(inner.as_str(), key, quote)?.is_some() {
                whole.push_str(inner.as_str());
            }
        }
        whole.push_str(&template[end..]);
        self.fill_plain(&whole, key, quote)
    }

    fn fill_plain(&self, template: &str, key: &str, quote: fn(&str) -> String) -> Result<Option<String>, Failure> {
        let mut text = String::new();
        let mut end = 0;
        let mut complete = true;
        for found in PLACEHOLDER.captures_iter(template) {
            let (Some(whole), Some(name)) = (found.get(0), found.get(1)) else { continue };
            text.push_str(&template[end..whole.start()]);
            end = whole.end();
            match self.0.get(name.as_str()) {
                Some(Some(value)) if value.chars().any(char::is_control) => {
                    let message = format!("{key}: the value of {{{}}} has a control character: {value:?}", &found[1]);
                    return Err(Failure::new(Exit::Usage, message));
                }
                Some(Some(value)) => text.push_str(&quote(value)),
                Some(None) => complete = false,
                None => return Err(self.unknown(&found[1], key)),
            }
        }
        text.push_str(&template[end..]);
        Ok(complete.then_some(text))
    }

    /// Fills in a command. An argument that has a placeholder without a value is omitted.
    pub fn command(&self, templates: &[String], key: &str) -> Result<Vec<String>, Failure> {
        let filled = templates.iter().map(|template| self.fill(template, key, str::to_owned));
        filled.filter_map(Result::transpose).collect()
    }

    fn unknown(&self, name: &str, key: &str) -> Failure {
        let known: Vec<&str> = self.0.keys().copied().collect();
        let message = format!("{key}: there is no placeholder {{{name}}}");
        Failure::new(Exit::Usage, message).with_hint(format!("placeholders here are: {}", known.join(", ")))
    }
}

/// A command as a line of shell, each argument quoted.
pub fn command_line(arguments: &[String]) -> String {
    arguments.iter().map(|argument| quote(argument)).collect::<Vec<_>>().join(" ")
}

/// Fills in a command about jobs: `{job_ids}` becomes all ids joined by commas; an argument that is just `{job_id}` is
/// repeated for each id.
pub fn about(command: &[String], ids: &[&str]) -> Vec<String> {
    let mut arguments = Vec::new();
    for argument in command {
        if argument == "{job_id}" {
            arguments.extend(ids.iter().map(|id| (*id).to_owned()));
        } else {
            let first = ids.first().copied().unwrap_or_default();
            arguments.push(argument.replace("{job_ids}", &ids.join(",")).replace("{job_id}", first));
        }
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    fn values() -> Values {
        let mut values = Values::default();
        values.set("nodes", Some(3));
        values.set("log", Some("/a b/log"));
        values.set("account", None::<u32>);
        values
    }

    #[test]
    fn values_are_filled_in_and_quoted() {
        let fill = |template: &str| values().fill(template, "queue.directives", quote).expect("known placeholders");
        assert_eq!(fill("--nodes={nodes}").as_deref(), Some("--nodes=3"));
        assert_eq!(fill("-o {log} ${HOME}").as_deref(), Some("-o '/a b/log' ${HOME}"));
        assert_eq!(fill("--account={account}"), None);
        assert_eq!(fill("select={nodes}[[:nodes={nodes}]][[:mem={account}]]:x").as_deref(), Some("select=3:nodes=3:x"));
    }

    #[test]
    fn an_unknown_placeholder_is_named_with_the_known_ones() {
        let failure = values().fill("{nods}", "queue.submit", quote).expect_err("unknown");
        assert_eq!(failure.message, "queue.submit: there is no placeholder {nods}");
        assert_eq!(failure.hint.as_deref(), Some("placeholders here are: account, log, nodes"));
    }

    #[test]
    fn no_value_begins_a_line_of_its_own() {
        let mut values = values();
        values.set("account", Some("a\n#SBATCH --uid=0"));
        assert!(values.fill("{account}", "queue.directives", quote).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(50))]
        #[test]
        fn a_quoted_word_comes_back_from_the_shell(word in "[^\0]{0,20}") {
            let script = format!("printf %s {}", quote(&word));
            let output = Command::new("sh").arg("-c").arg(script).output().expect("sh");
            prop_assert_eq!(String::from_utf8_lossy(&output.stdout), word);
        }
    }

    #[test]
    fn commands_about_several_jobs() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
        assert_eq!(about(&words(&["squeue", "--jobs={job_ids}"]), &["1", "2"]), ["squeue", "--jobs=1,2"]);
        assert_eq!(about(&words(&["bjobs", "{job_id}", "-w"]), &["1", "2"]), ["bjobs", "1", "2", "-w"]);
        assert_eq!(about(&words(&["x", "--job={job_id}"]), &["1"]), ["x", "--job=1"]);
    }
}
