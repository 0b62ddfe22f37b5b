//! One profile: finds and reads its layers, and merges them into typed tables. Each value remembers its origin.

use crate::entries::Entries;
use crate::environment::{self, Variables};
use crate::error::{Asked, ProfileError};
use crate::find::{Found, Places};
use crate::key_path::KeyPath;
use crate::origin::Origin;
use crate::shipped::{self, DEFAULT_NAME};
use crate::tables::Tables;
use crate::{find, layers, read, schema};
use ipclusterz_base::private::Trust;
use ipclusterz_host::suggestion::nearest;
use std::path::{Path, PathBuf};

/// The command-line options that affect a profile.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `--profile`
    pub profile: Option<String>,
    /// `--set`
    pub set: Vec<String>,
    /// Options that stand for one key: the option, the key and the value.
    pub keys: Vec<(&'static str, &'static str, toml::Value)>,
}

/// All layers of a profile, merged.
#[derive(Debug, Clone)]
pub struct Profile {
    /// What was asked for: a name or a path.
    pub name: String,
    /// The files that were read, strongest first; the embedded default is the last.
    pub chain: Vec<Found>,
    /// The project's file, if there is one.
    pub project: Option<PathBuf>,
    /// Every key with its value and origin.
    pub entries: Entries,
    /// The same values in typed tables.
    pub tables: Tables,
}

impl Profile {
    /// Finds, reads and merges all layers. A bad value is an error even if a stronger layer overrides it.
    pub fn load(options: &Options, variables: &Variables, places: &Places) -> Result<Self, ProfileError> {
        let project = places.project.as_deref().map(read_project).transpose()?;
        let own = project.as_ref().and_then(|project| project.reference.clone());
        let (name, asked) = match (&options.profile, variables.get(environment::PROFILE), own) {
            (Some(name), _, _) => (name.clone(), None),
            (None, Some(name), _) => (name.to_owned(), Some((Origin::Variable(environment::PROFILE), "profile"))),
            (None, None, Some((name, origin))) => {
                (resolve_reference(&name, places.project.as_deref()), Some((origin, "profile")))
            }
            (None, None, None) => (DEFAULT_NAME.to_owned(), None),
        };
        let (chain, layers) = chain(&name, asked, places)?;
        let mut options_layer = layers::of_set_options(&options.set)?;
        for (option, key, value) in &options.keys {
            options_layer.set(KeyPath::of(key), value.clone(), Origin::Option(option));
        }
        let mut upper = vec![layers::of_variables(variables)?, options_layer];
        upper.splice(..0, project.map(|project| project.entries));

        let mut entries = Entries::default();
        let mut tables = None;
        for (index, layer) in layers.into_iter().rev().chain(upper).enumerate() {
            // Each layer is typed on top of those below it, so that a bad value cannot hide behind a stronger one. The
            // first layer is the default, which must be complete.
            if index == 0 || layer.iter().next().is_some() {
                entries.overlay(layer);
                tables = Some(typed(&entries)?);
            }
        }
        let tables = tables.map_or_else(|| typed(&entries), Ok)?;
        Ok(Self { name, chain, project: places.project.clone(), entries, tables })
    }

    /// One line for people: the engines, the launcher, and the files that the profile comes from.
    pub fn summary(&self) -> String {
        let engines = &self.tables.engines;
        let chain: Vec<String> = self
            .project
            .iter()
            .map(|path| path.display().to_string())
            .chain(self.chain.iter().map(Found::to_string))
            .collect();
        let count = match engines.count {
            // The other host decides.
            0 => "as many engines as cores".to_owned(),
            1 => "1 engine".to_owned(),
            count => format!("{count} engines"),
        };
        format!("{}: {count}, launcher {}; {}", self.name, engines.launcher.word(), chain.join(" over "))
    }

    /// Replaces a value by one that follows from other values. `reason` becomes its origin.
    pub fn derive(&mut self, key: &str, value: toml::Value, reason: String) -> Result<(), ProfileError> {
        self.entries.set(KeyPath::of(key), value, Origin::Derived(reason));
        self.tables = typed(&self.entries)?;
        Ok(())
    }

    /// Where the value of `key` came from.
    pub fn origin(&self, key: &str) -> Origin {
        let unknown = || Origin::Derived("not set anywhere".to_owned());
        self.entries.origin(&KeyPath::of(key)).cloned().unwrap_or_else(unknown)
    }
}

/// The tables of the embedded default profile.
pub fn default_tables() -> Result<Tables, ProfileError> {
    let profile = Profile::load(&Options::default(), &Variables::default(), &Places::default())?;
    Ok(profile.tables)
}

/// Reads the project's file. An error names it.
fn read_project(path: &Path) -> Result<read::Document, ProfileError> {
    // One that was found and not named has been looked at more closely when it was found.
    let text = find::text_of(path, Trust::Named, None)?;
    read::read(&text, &read::Source::File(path.into()), read::Role::Project)
}

/// Resolves a reference in `file`: a relative path starts in the folder of that file.
fn resolve_reference(reference: &str, file: Option<&Path>) -> String {
    match file {
        Some(file) if Found::is_path(reference) => file.with_file_name(reference).display().to_string(),
        _ => reference.to_owned(),
    }
}

/// Follows `extends` from the profile `name`: the profiles, strongest first, and the entries of each.
fn chain(name: &str, asked: Option<Asked>, places: &Places) -> Result<(Vec<Found>, Vec<Entries>), ProfileError> {
    let (mut chain, mut layers): (Vec<Found>, Vec<Entries>) = (Vec::new(), Vec::new());
    let (mut name, mut asked) = (name.to_owned(), asked);
    loop {
        let found = if Found::is_path(&name) {
            Found::Path(PathBuf::from(&name))
        } else {
            // A profile that extends its own name extends the next weaker one of that name.
            let after = chain.last().filter(|last| last.name() == Some(&name));
            places.find(&name, after, asked.as_ref())?
        };
        if let (Some(start), Some((origin, _))) = (chain.iter().position(|link| *link == found), &asked) {
            let circle = chain[start..].iter().chain([&found]).map(Found::to_string).collect();
            return Err(ProfileError::Circle { origin: origin.clone(), circle });
        }
        let document = found.read(asked.as_ref())?;
        layers.push(document.entries);
        let file = found.path().map(Path::to_path_buf);
        let at_end = found.is_embedded_default();
        chain.push(found);
        if at_end {
            return Ok((chain, layers));
        }
        (name, asked) = match document.reference {
            Some((name, origin)) => (resolve_reference(&name, file.as_deref()), Some((origin, schema::EXTENDS))),
            None => (DEFAULT_NAME.to_owned(), None),
        };
    }
}

/// Deserialises the typed tables from a complete set of entries.
fn typed(entries: &Entries) -> Result<Tables, ProfileError> {
    use serde_path_to_error::Segment;
    serde_path_to_error::deserialize(toml::Value::Table(entries.to_table())).map_err(|error| {
        let parts = error.path().iter().map_while(|segment| match segment {
            Segment::Map { key } => Some(key.clone()),
            _ => None,
        });
        let path = KeyPath::from_parts(parts.collect());
        let origin = entries.origin(&path).cloned().unwrap_or(Origin::Derived("the merged profile".to_owned()));
        let (message, hint) = reword(error.inner().message());
        ProfileError::BadValue { origin, key: error.path().to_string(), message, hint }
    })
}

/// Rewords serde's message about a wrong value for a user. Suggests the nearest word if the key takes one of several.
fn reword(message: &str) -> (String, Option<String>) {
    const WORDS: [(&str, &str); 10] = [
        ("expected u32", "expected a whole number from 0 on"),
        ("expected f64", "expected a number"),
        ("expected a string", "expected text in quotes"),
        ("expected a boolean", "expected true or false"),
        ("expected a sequence", "expected a list"),
        ("expected a map", "expected a table"),
        ("expected struct SshHost", "expected a table such as { host = \"n1\", engines = 4 }"),
        ("expected struct Refusal", "expected a table such as { pattern = \"no account\", about = [\"account\"] }"),
        ("expected struct Group", "expected a table such as { name = \"big\", engines = 2 }"),
        ("unknown variant", "there is no"),
    ];
    let message = WORDS.iter().fold(message.trim().to_owned(), |text, (from, to)| text.replace(from, to));
    let mut quoted = message.split('`').skip(1).step_by(2);
    let wrong = quoted.next().filter(|_| message.starts_with("there is no"));
    let hint = wrong.and_then(|wrong| match shipped::find(wrong) {
        Some(_) => Some(format!("{wrong:?} is a profile: `extends = {wrong:?}`, or `--profile {wrong}`")),
        None => nearest(wrong, quoted).map(|likely| format!("did you mean {likely:?}?")),
    });
    (refused(&message), hint)
}

/// `"x" is not a number` for `invalid type: string "x", expected a number`.
fn refused(message: &str) -> String {
    if let Some(field) = message.strip_prefix("missing field ") {
        return format!("{field} is missing");
    }
    let about_value = ["invalid type: ", "invalid value: "].iter().find_map(|prefix| message.strip_prefix(prefix));
    let Some((got, wanted)) = about_value.and_then(|about| about.split_once(", expected ")) else {
        return message.to_owned();
    };
    let kinds = ["string ", "integer ", "floating point ", "boolean ", "datetime "];
    let value = match got {
        "map" => "a table",
        "sequence" => "a list",
        _ => kinds.iter().find_map(|kind| got.strip_prefix(kind)).unwrap_or(got).trim_matches('`'),
    };
    match wanted {
        "true or false" => format!("{value} is neither true nor false"),
        _ => format!("{value} is not {wanted}"),
    }
}

#[cfg(test)]
mod tests;
