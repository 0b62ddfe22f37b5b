//! The layers above the files: variables, `--set`, and the options that stand for one key each.

use crate::entries::Entries;
use crate::environment::{KEYS, Variables};
use crate::error::ProfileError;
use crate::key_path::KeyPath;
use crate::origin::{Origin, SET_OPTION};
use crate::read::{Role, Source, read};
use crate::schema::{self, Kind};
use toml::Value;

/// The entries that the variables of [`KEYS`] set.
pub fn of_variables(variables: &Variables) -> Result<Entries, ProfileError> {
    let mut entries = Entries::default();
    for (name, key) in KEYS {
        let Some(text) = variables.get(name) else { continue };
        let (path, origin) = (KeyPath::of(key), Origin::Variable(name));
        let value = value_of(text, schema::kind(&path)).map_err(|message| ProfileError::BadValue {
            origin: origin.clone(),
            key: key.to_owned(),
            message,
            hint: Some(format!("unset the variable, or give it a value for {key}")),
        })?;
        entries.set(path, value, origin);
    }
    Ok(entries)
}

/// Parses text as a value of the kind that the key takes.
fn value_of(text: &str, kind: Option<Kind>) -> Result<Value, String> {
    match kind {
        Some(Kind::Number) => {
            let whole = text.parse::<i64>().ok().map(Value::Integer);
            whole.or_else(|| text.parse().ok().map(Value::Float)).ok_or_else(|| format!("{text:?} is not a number"))
        }
        Some(Kind::Flag) => text.parse().map(Value::Boolean).map_err(|_| format!("{text:?} is neither true nor false")),
        Some(Kind::List) => Ok(list(text.split(','))),
        _ => Ok(Value::from(text)),
    }
}

/// A list of texts, trimmed and without empty ones.
pub fn list<'a>(items: impl IntoIterator<Item = &'a str>) -> Value {
    items.into_iter().map(str::trim).filter(|item| !item.is_empty()).map(Value::from).collect::<Vec<_>>().into()
}

/// The entries of `--set KEY=VALUE` options; later ones override earlier ones.
///
/// A value that is not TOML is taken as text if the key takes a single value. A number, a boolean or a time is taken as
/// text if the key takes text: ten minutes are `10` or `00:10:00`.
pub fn of_set_options(assignments: &[String]) -> Result<Entries, ProfileError> {
    let source = Source::Option(SET_OPTION);
    let mut entries = Entries::default();
    for assignment in assignments {
        let syntax = |message: String| ProfileError::Syntax { origin: Origin::Option(SET_OPTION), message };
        let Some((key, text)) = assignment.split_once('=') else {
            let message = format!("{assignment:?} has no `=`: give KEY=VALUE, such as engines.count=8");
            return Err(syntax(message));
        };
        let key = full_key(key.trim()).map_err(syntax)?;
        let assignment = &format!("{key}={text}");
        // More than one line would be more than one key.
        let kind = kind_of(&key);
        let as_text = || read(&format!("{key}={}", Value::from(text.trim())), &source, Role::Option);
        let document = match read(assignment, &source, Role::Option) {
            // The check of types reports what a number or a flag expects, and reading that a key is unknown.
            Err(ProfileError::Syntax { .. }) if matches!(kind, None | Some(Kind::Text | Kind::Number | Kind::Flag)) => {
                as_text()?
            }
            Ok(document) if kind == Some(Kind::Text) && document.entries.iter().any(|(_, it)| is_plain(&it.value)) => {
                as_text()?
            }
            Err(ProfileError::Syntax { message, .. }) => return Err(syntax(format!("{assignment:?}: {message}"))),
            other => other?,
        };
        entries.overlay(document.entries);
    }
    Ok(entries)
}

/// Keys of several tables that mean one of these when they are written without it: what people restart are engines.
const MEANT: [(&str, &str); 1] = [("restart", "engines.restart")];

/// The path of a key that is written without its table, if only one table has it: `partition` is `batch.partition`.
fn full_key(key: &str) -> Result<String, String> {
    let (first, rest) = key.split_once('.').map_or((key, None), |(first, rest)| (first, Some(rest)));
    let is_alias = schema::ALIASES.iter().any(|(alias, _)| *alias == first);
    if is_alias || schema::kind(&KeyPath::of(first)).is_some() {
        return Ok(key.to_owned());
    }
    if let Some((_, meant)) = MEANT.iter().find(|(bare, _)| *bare == key) {
        return Ok((*meant).to_owned());
    }
    match schema::named(first)[..] {
        [] => Ok(key.to_owned()),
        [only] => Ok(rest.map_or_else(|| only.to_string(), |rest| format!("{only}.{rest}"))),
        [ref some @ .., last] => {
            let some: Vec<String> = some.iter().map(|path| format!("`{path}`")).collect();
            Err(format!("`{first}` can be {} or `{last}`: say which", some.join(", ")))
        }
    }
}

/// Whether it is a single value that is written without quotes.
fn is_plain(value: &Value) -> bool {
    matches!(value, Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_))
}

fn kind_of(key: &str) -> Option<Kind> {
    let (table, rest) = key.split_once('.').unwrap_or((key, ""));
    let table = schema::ALIASES.iter().find(|(alias, _)| *alias == table).map_or(table, |(_, name)| name);
    schema::kind(&KeyPath::of(&format!("{table}.{rest}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_needs_no_quotes() {
        let set = |text: &str| of_set_options(&[text.to_owned()]).map(|entries| entries.to_table());
        assert_eq!(set("slurm.partition=gpu").expect("text")["batch"]["partition"].as_str(), Some("gpu"));
        assert_eq!(
            set("batch.time_limit = 1-00:00:00").expect("text")["batch"]["time_limit"].as_str(),
            Some("1-00:00:00")
        );
        assert_eq!(set("engines.env.A=x y").expect("text")["engines"]["env"]["A"].as_str(), Some("x y"));
        assert_eq!(set("engines.count=8").expect("number")["engines"]["count"].as_integer(), Some(8));
        assert!(set("batch.blocks={ max = 8 }").is_ok());
        for plain in ["10", "00:10:00", "1.5", "true"] {
            let table = set(&format!("batch.time_limit={plain}")).expect("text");
            assert_eq!(table["batch"]["time_limit"].as_str(), Some(plain));
        }
        assert_eq!(
            set("engines.env.OMP_NUM_THREADS=4").expect("text")["engines"]["env"].to_string(),
            "{ OMP_NUM_THREADS = \"4\" }"
        );
        let error = set("batch.blocks={ max = }").expect_err("no TOML").to_string();
        assert!(error.starts_with("--set: \"batch.blocks={ max = }\": "), "{error}");
        assert!(set("engines.count").expect_err("no value").to_string().contains("has no `=`"));
        assert_eq!(set("partition=gpu").expect("bare")["batch"]["partition"].as_str(), Some("gpu"));
        assert_eq!(set("env.A=1").expect("bare table")["engines"]["env"]["A"].as_str(), Some("1"));
        assert_eq!(set("blocks.max=2").expect("bare table")["batch"]["blocks"]["max"].as_integer(), Some(2));
        assert_eq!(set("restart=true").expect("engines")["engines"]["restart"].as_bool(), Some(true));
        let error = set("hosts=[]").expect_err("two").to_string();
        assert_eq!(error, "--set: `hosts` can be `ssh.hosts` or `mpiexec.hosts`: say which");
        let error = set("partitoin=gpu").expect_err("unknown");
        assert_eq!(error.to_string(), "--set: unknown key `partitoin`");
        assert!(error.hint().starts_with("did you mean `batch.partition`? "), "{}", error.hint());
        let error = set("engines.cuont=8").expect_err("unknown").to_string();
        assert_eq!(error, "--set: unknown key `engines.cuont`");
    }

    #[test]
    fn every_variables_key_exists() {
        for (name, key) in KEYS {
            assert!(schema::kind(&KeyPath::of(key)).is_some(), "{name} stands for {key}");
        }
    }
}
