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
        // More than one line would be more than one key.
        let kind = kind_of(key.trim());
        let as_text = || read(&format!("{key}={}", Value::from(text.trim())), &source, Role::Option);
        let document = match read(assignment, &source, Role::Option) {
            // The check of types reports what a number or a flag expects.
            Err(ProfileError::Syntax { .. }) if matches!(kind, Some(Kind::Text | Kind::Number | Kind::Flag)) => {
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
