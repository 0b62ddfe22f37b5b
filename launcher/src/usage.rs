//! Reads the command line, and turns clap's errors into failures like all others: `error:` and `hint:` lines, or JSON,
//! in words of our own.

use crate::arguments::{Arguments, BadNumber, Command, parser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, FromArgMatches};
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use std::error::Error;
use std::ffi::OsString;

/// Why there is nothing to run.
#[derive(Debug)]
pub enum Interruption {
    /// `--help`: text for stdout.
    Text(String),
    /// A mistake.
    Mistake(Failure),
}

impl From<Failure> for Interruption {
    fn from(failure: Failure) -> Self {
        Self::Mistake(failure)
    }
}

const SEE_HELP: &str = "`ipclusterz --help` and `ipclusterz COMMAND --help` list what there is";

/// Parses the command line `raw`, whose first word is the program's name.
pub fn read(raw: &[OsString]) -> Result<Arguments, Interruption> {
    if let Some(word) = raw.iter().take_while(|word| *word != "--").find(|word| word.to_str().is_none()) {
        let message = format!("{word:?} is not UTF-8 text");
        let hint = "give it another name, or a link with one; after `run --` any bytes may stand";
        return Err(Failure::new(Exit::Usage, message).with_hint(hint).into());
    }
    let matches = parser().try_get_matches_from(raw).map_err(|error| interpret(&error, raw))?;
    refuse_options_before_command(&matches)?;
    let mut arguments = Arguments::from_arg_matches(&matches).map_err(|error| interpret(&error, raw))?;
    arguments.settle()?;
    Ok(arguments)
}

/// Options of a command stand after it; before it stand only those that every command has.
fn refuse_options_before_command(matches: &ArgMatches) -> Result<(), Failure> {
    let Some((command, _)) = matches.subcommand() else { return Ok(()) };
    let shared = ["cluster", "json", "quiet"];
    let given = |id: &&str| !shared.contains(id) && matches.value_source(id) == Some(ValueSource::CommandLine);
    let program = parser();
    let argument = program.get_arguments().find(|argument| given(&argument.get_id().as_str()));
    let Some(option) = argument.and_then(clap::Arg::get_long) else { return Ok(()) };
    let takes_it = program
        .find_subcommand(command)
        .is_some_and(|command| command.get_arguments().any(|argument| argument.get_long() == Some(option)));
    let hint = if takes_it {
        format!("put it after the command: `ipclusterz {command} --{option} …`")
    } else {
        format!("`ipclusterz {command} --help` lists what this command takes")
    };
    Err(Failure::new(Exit::Usage, format!("--{option} stands before the command {command:?}")).with_hint(hint))
}

/// Rewords an error of clap. `raw` is the command line.
fn interpret(error: &clap::Error, raw: &[OsString]) -> Interruption {
    let refusal = match error.kind() {
        ErrorKind::DisplayHelp => return Interruption::Text(error.render().to_string()),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => nothing_to_do(error),
        ErrorKind::UnknownArgument => unknown_argument(error, raw),
        ErrorKind::InvalidSubcommand => {
            (format!("unknown command {:?}", text(error, ContextKind::InvalidSubcommand)), suggestion(error))
        }
        ErrorKind::ValueValidation => bad_value(error),
        ErrorKind::InvalidValue => no_such_value(error),
        ErrorKind::TooManyValues => {
            let (option, value) = (option(error), text(error, ContextKind::InvalidValue));
            (format!("{option} takes no value, and was given {value:?}"), see(error))
        }
        ErrorKind::ArgumentConflict => {
            let (one, other) = (option(error), name(&text(error, ContextKind::PriorArg)));
            let message = if other.is_empty() || one == other {
                format!("{one} cannot be given twice, or with what else was given")
            } else {
                format!("{one} and {other} exclude each other")
            };
            (message, see(error))
        }
        ErrorKind::MissingRequiredArgument => missing(error, raw),
        _ => (plain(error), SEE_HELP.to_owned()),
    };
    let (message, hint) = refusal;
    Interruption::Mistake(Failure::new(Exit::Usage, message).with_hint(hint))
}

fn nothing_to_do(error: &clap::Error) -> (String, String) {
    let hint = match command_of(error).as_str() {
        "ipclusterz" => "`ipclusterz -n 4` starts four engines; `ipclusterz --help` shows all there is".to_owned(),
        command => format!("`{command} --help` lists what there is"),
    };
    ("nothing to do".to_owned(), hint)
}

/// A word or option that nothing takes. Behind `run`, it may be the beginning of the program.
fn unknown_argument(error: &clap::Error, raw: &[OsString]) -> (String, String) {
    let argument = text(error, ContextKind::InvalidArg);
    match program_of_run(error, raw) {
        Some(program) if !argument.starts_with('-') || program.starts_with(&argument) => {
            (format!("unknown argument {argument:?}: `--` is missing before the program"), before_program(&program))
        }
        _ => (format!("unknown option or argument {argument:?}"), suggestion(error)),
    }
}

/// What was typed behind `run` from the first word on that belongs to no option; `None` without such a word.
fn program_of_run(error: &clap::Error, raw: &[OsString]) -> Option<String> {
    if command_of(error) != "ipclusterz run" || raw.iter().any(|word| word == "--") {
        return None;
    }
    let words: Vec<String> = raw.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let program = parser();
    let run = program.find_subcommand("run")?;
    let takes_value = |word: &str| {
        run.get_arguments().chain(program.get_arguments()).any(|argument| {
            let named = argument.get_long().is_some_and(|long| word == format!("--{long}"))
                || argument.get_short().is_some_and(|short| word == format!("-{short}"));
            named && argument.get_action().takes_values()
        })
    };
    let mut rest = words.iter().skip_while(|word| *word != "run").skip(1).peekable();
    while let Some(word) = rest.next_if(|word| word.starts_with('-')) {
        if takes_value(word) {
            rest.next();
        }
    }
    let typed: Vec<String> = rest.cloned().collect();
    (!typed.is_empty()).then(|| typed.join(" "))
}

fn before_program(program: &str) -> String {
    format!("put `--` before the program: `ipclusterz run -- {}`", program.escape_debug())
}

fn missing(error: &clap::Error, raw: &[OsString]) -> (String, String) {
    let names = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::Strings(names)) => names.join(", "),
        _ => String::new(),
    };
    if command_of(error) == "ipclusterz run" {
        let hint = program_of_run(error, raw).map_or_else(
            || "put it behind `--`: `ipclusterz run -n 4 -- python analysis.py`".to_owned(),
            |program| before_program(&program),
        );
        return ("there is no program to run".to_owned(), hint);
    }
    (format!("{names} is missing"), see(error))
}

/// A value that is no number, or that an option cannot have.
fn bad_value(error: &clap::Error) -> (String, String) {
    let option = option(error);
    match error.source().and_then(|source| source.downcast_ref::<BadNumber>()) {
        Some(bad) => (format!("{option}: {}", bad.message), bad.hint.to_owned()),
        None => (format!("{option}: {:?} is not possible", text(error, ContextKind::InvalidValue)), see(error)),
    }
}

/// A value that is none of a list, or no value at all.
fn no_such_value(error: &clap::Error) -> (String, String) {
    let (option, value) = (option(error), text(error, ContextKind::InvalidValue));
    let known = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(known)) => known.join(", "),
        _ => String::new(),
    };
    if value.is_empty() {
        let hint = if known.is_empty() { see(error) } else { format!("give one of {known}") };
        return (format!("{option} needs a value"), hint);
    }
    let likely = text(error, ContextKind::SuggestedValue);
    let likely = if likely.is_empty() { likely } else { format!("did you mean {likely:?}? ") };
    (format!("{option}: there is no {value:?}"), format!("{likely}there are {known}"))
}

/// The message of an error that has no words of its own: without prefix, tips and usage.
fn plain(error: &clap::Error) -> String {
    let rendered = error.render().to_string();
    let body = rendered.strip_prefix("error: ").unwrap_or(&rendered);
    let endings = ["Usage:", "tip:", "For more information"];
    let lines = body.lines().take_while(|line| !endings.iter().any(|ending| line.trim_start().starts_with(ending)));
    lines.map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The nearest name when clap found one, else where to read on.
fn suggestion(error: &clap::Error) -> String {
    let suggested = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand]
        .into_iter()
        .map(|kind| text(error, kind))
        .find(|name| !name.is_empty());
    suggested.map_or_else(|| SEE_HELP.to_owned(), |name| format!("did you mean {name:?}? {SEE_HELP}"))
}

/// Where to read about the command.
fn see(error: &clap::Error) -> String {
    format!("see `{} --help`", command_of(error))
}

/// The command that the error is about, as it is typed: `ipclusterz profile show`.
fn command_of(error: &clap::Error) -> String {
    let usage = match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => usage.to_string(),
        _ => error.render().to_string(),
    };
    let usage = usage.split_once("Usage:").map_or(usage.as_str(), |(_, usage)| usage);
    let words = usage.split_whitespace().take_while(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()));
    let command = words.collect::<Vec<_>>().join(" ");
    if command.is_empty() { "ipclusterz".to_owned() } else { command }
}

/// The option or argument that the error is about.
fn option(error: &clap::Error) -> String {
    name(&text(error, ContextKind::InvalidArg))
}

/// The name of an argument without its value: `--engines` of `--engines <N>`, `SHELL` of `<SHELL>`.
fn name(argument: &str) -> String {
    let word = argument.split_whitespace().next().unwrap_or_default();
    word.trim_matches(['<', '>', '[', ']', '.']).to_owned()
}

/// One piece of clap's context as text. Of several, the last, because clap sorts them by increasing similarity.
fn text(error: &clap::Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.last().cloned().unwrap_or_default(),
        _ => String::new(),
    }
}

/// Whether a command runs for another process of ours, whose log has everything that is said.
pub fn keeps_log(arguments: &Arguments) -> bool {
    match &arguments.command {
        Some(Command::Start(command)) => command.start.report_descriptor.is_some(),
        Some(Command::Guard(_) | Command::Agent(_) | Command::Controller(_)) => true,
        Some(_) => false,
        None => arguments.start.report_descriptor.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(line: &str) -> Failure {
        let raw: Vec<OsString> = line.split_whitespace().map(Into::into).collect();
        match read(&raw).expect_err(line) {
            Interruption::Mistake(failure) => failure,
            Interruption::Text(text) => panic!("not a mistake: {text}"),
        }
    }

    #[test]
    fn each_slip_has_words_of_ours_and_a_hint() {
        for (line, message, hint) in [
            ("-n 4 --demonize", "unknown option or argument \"--demonize\"", "did you mean \"--daemonize\"?"),
            ("statsu", "unknown command \"statsu\"", "did you mean \"status\"?"),
            ("profile lsit", "unknown command \"lsit\"", "did you mean \"list\"?"),
            ("-n four", "--engines: \"four\" is not a number of engines", "`-n 4`"),
            ("-n -1", "--engines: -1 is not a number of engines: it is below 0", "`-n 4`"),
            ("-n", "--engines needs a value", "see `ipclusterz --help`"),
            ("start --timeout soon", "--timeout: \"soon\" is not a number of seconds to wait", "30 or 0.5"),
            ("--verbose", "--version is missing", "see `ipclusterz --help`"),
            ("--version stop", "--version stands before the command \"stop\"", "`ipclusterz stop --help` lists"),
            ("logs -n -3", "--lines: -3 is not a number of lines: it is below 0", "`-n 100`"),
            ("logs --engine -3", "--engine: -3 is not the number of an engine: it is below 0", "ipclusterz status"),
            ("wait -n x", "--engines: \"x\" is not a number of engines", "`-n 4`"),
            (
                "logs --engine 1 --controller",
                "--engine and --controller exclude each other",
                "see `ipclusterz logs --help`",
            ),
            ("start --json=3", "--json takes no value, and was given \"3\"", "see `ipclusterz start --help`"),
            ("completions foo", "SHELL: there is no \"foo\"", "there are bash, elvish, fish, powershell, zsh"),
            ("completions", "<SHELL> is missing", "see `ipclusterz completions --help`"),
            ("scale", "<+N|-N|N> is missing", "see `ipclusterz scale --help`"),
            ("tunnel", "<USER@HOST> is missing", "see `ipclusterz tunnel --help`"),
            ("profile", "nothing to do", "`ipclusterz profile --help` lists"),
            ("", "nothing to do", "`ipclusterz -n 4` starts four engines"),
            ("-n 2 status", "--engines stands before the command \"status\"", "`ipclusterz status --help` lists"),
            ("-n 2 start", "--engines stands before the command \"start\"", "`ipclusterz start --engines …`"),
            ("stop a b", "unknown option or argument \"b\"", SEE_HELP),
            ("--cluster a status --cluster b", "two clusters are named: \"a\" and \"b\"", "give one name"),
        ] {
            let failure = mistake(&format!("ipclusterz {line}"));
            assert_eq!(failure.message, message, "{line}");
            assert!(failure.hint.as_deref().is_some_and(|it| it.contains(hint)), "{line}: {failure:?}");
            assert_eq!(failure.exit(), Exit::Usage);
        }
    }

    #[test]
    fn a_program_without_two_dashes_is_told_of_them() {
        for (line, program) in [
            ("run python x.py", "python x.py"),
            ("run -n 4 python x.py --fast", "python x.py --fast"),
            ("--cluster lab run --profile slurm -q ./x.sh", "./x.sh"),
            ("run -n4 python x.py", "python x.py"),
        ] {
            let failure = mistake(&format!("ipclusterz {line}"));
            let hint = format!("put `--` before the program: `ipclusterz run -- {program}`");
            assert_eq!(failure.hint, Some(hint), "{line}: {}", failure.message);
        }
        assert_eq!(mistake("ipclusterz run").message, "there is no program to run");
        assert_eq!(mistake("ipclusterz run -n 4").message, "there is no program to run");
        let daemonize = mistake("ipclusterz run --daemonize -- python x.py");
        assert_eq!(daemonize.message, "unknown option or argument \"--daemonize\"");
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_before_the_program_alone() {
        use std::os::unix::ffi::OsStringExt;
        let odd = || OsString::from_vec(b"/tmp/\xff.toml".to_vec());
        let line = |words: [OsString; 4]| read(&words);
        let start = line(["ipclusterz".into(), "start".into(), "--profile".into(), odd()]);
        let Err(Interruption::Mistake(failure)) = start else { panic!("refused") };
        assert_eq!(failure.message, "\"/tmp/\\xFF.toml\" is not UTF-8 text");
        assert!(line(["ipclusterz".into(), "run".into(), "--".into(), odd()]).is_ok());
    }
}
