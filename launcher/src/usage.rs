//! Turns clap's errors into failures like all others: `error:` and `hint:` lines, or JSON.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;

/// Why clap ended the parsing.
#[derive(Debug)]
pub enum Interruption {
    /// `--help` or `--version`: text for stdout.
    Text(String),
    /// A mistake.
    Mistake(Failure),
}

/// Rewords a clap error.
pub fn interpret(error: &clap::Error) -> Interruption {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Interruption::Text(error.render().to_string()),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Interruption::Mistake(
            Failure::new(Exit::Usage, "nothing to do")
                .with_hint("`ipclusterz -n 4` starts four engines; `ipclusterz --help` shows all there is"),
        ),
        _ => Interruption::Mistake(Failure::new(Exit::Usage, message(error)).with_hint(hint(error))),
    }
}

/// clap's message without its prefix, tips and usage.
fn message(error: &clap::Error) -> String {
    if let (ErrorKind::UnknownArgument, Some(argument)) = (error.kind(), text(error, ContextKind::InvalidArg)) {
        return format!("unknown option or argument {argument:?}");
    }
    if let (ErrorKind::InvalidSubcommand, Some(command)) = (error.kind(), text(error, ContextKind::InvalidSubcommand)) {
        return format!("unknown command {command:?}");
    }
    let rendered = error.render().to_string();
    let body = rendered.strip_prefix("error: ").unwrap_or(&rendered);
    let endings = ["Usage:", "tip:", "For more information"];
    let lines = body.lines().take_while(|line| !endings.iter().any(|ending| line.trim_start().starts_with(ending)));
    lines.map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The nearest name when clap found one, else where to read on.
fn hint(error: &clap::Error) -> String {
    let suggested = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::SuggestedValue]
        .into_iter()
        .find_map(|kind| text(error, kind));
    match suggested {
        Some(name) => {
            format!("did you mean {name:?}? `ipclusterz --help` and `ipclusterz COMMAND --help` list what there is")
        }
        None => "`ipclusterz --help` and `ipclusterz COMMAND --help` list what there is".to_owned(),
    }
}

/// One piece of clap's context as text. Of several, the last, because clap sorts them by increasing similarity.
fn text(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => texts.last().cloned(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::parser;

    fn mistake(line: &str) -> Failure {
        let error = parser().try_get_matches_from(line.split_whitespace()).expect_err("must be refused");
        match interpret(&error) {
            Interruption::Mistake(failure) => failure,
            Interruption::Text(text) => panic!("not a mistake: {text}"),
        }
    }

    #[test]
    fn slips_are_named_with_the_nearest_name() {
        let failure = mistake("ipclusterz -n 4 --demonize");
        assert_eq!(failure.message, "unknown option or argument \"--demonize\"");
        assert!(failure.hint.as_deref().is_some_and(|hint| hint.contains("\"--daemonize\"")), "{failure:?}");
        let failure = mistake("ipclusterz statsu");
        assert_eq!(failure.message, "unknown command \"statsu\"");
        assert!(failure.hint.as_deref().is_some_and(|hint| hint.contains("\"status\"")), "{failure:?}");
        assert_eq!(failure.exit(), Exit::Usage);
    }

    #[test]
    fn bad_values_keep_their_reason_on_one_line() {
        let failure = mistake("ipclusterz -n four");
        assert_eq!(failure.message, "invalid value 'four' for '--engines <N>': invalid digit found in string");
        assert!(!failure.to_text().contains("Usage:"));
    }
}
