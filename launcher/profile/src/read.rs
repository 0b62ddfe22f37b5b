//! Parses one text into entries: refuses bad syntax and unknown keys.
//!
//! Does not check types: that happens where layers are merged, by deserialising the result.

use crate::entries::Entries;
use crate::error::ProfileError;
use crate::key_path::KeyPath;
use crate::origin::Origin;
use crate::position::Position;
use crate::schema::{self, ALIASES, EXTENDS, Kind};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use toml::de::{DeTable, DeValue};

/// Where a text comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A profile that is compiled in.
    Shipped(&'static str),
    /// A file.
    File(Arc<Path>),
    /// The value of an option.
    Option(&'static str),
}

impl Source {
    fn at(&self, text: &str, offset: usize) -> Origin {
        let position = Position::of(text, offset);
        match self {
            Source::Shipped(name) => Origin::Shipped { name, position },
            Source::File(path) => Origin::File { path: Arc::clone(path), position },
            Source::Option(name) => Origin::Option(name),
        }
    }
}

/// Which reference to a profile a text may have besides its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `extends`
    Profile,
    /// `profile`
    Project,
    /// None.
    Option,
}

impl Role {
    fn reference(self) -> Option<&'static str> {
        match self {
            Role::Profile => Some(EXTENDS),
            Role::Project => Some("profile"),
            Role::Option => None,
        }
    }
}

/// A parsed text.
#[derive(Debug, Default)]
pub struct Document {
    /// The profile that it refers to: what it extends, or the project's profile. `None` also if the value is empty.
    pub reference: Option<(String, Origin)>,
    /// Its settings.
    pub entries: Entries,
}

/// Parses `text`. Errors name the place in `source`; of several unknown keys, the first is reported.
pub fn read(text: &str, source: &Source, role: Role) -> Result<Document, ProfileError> {
    let syntax = |error: toml::de::Error| ProfileError::Syntax {
        origin: source.at(text, error.span().map_or(0, |span| span.start)),
        message: error.message().to_owned(),
    };
    let spans = DeTable::parse(text).map_err(syntax)?;
    let values: toml::Table = toml::from_str(text).map_err(syntax)?;
    let mut reader = Reader { text, source, role, document: Document::default(), unknown: None };
    reader.aliases(spans.get_ref())?;
    reader.table(spans.get_ref(), &values, &KeyPath::default(), &KeyPath::default())?;
    match reader.unknown {
        Some((_, error)) => Err(error),
        None => Ok(reader.document),
    }
}

struct Reader<'a> {
    text: &'a str,
    source: &'a Source,
    role: Role,
    document: Document,
    /// The first unknown key in the order of the file: tables iterate in another order, but the user reads from the
    /// top.
    unknown: Option<(usize, ProfileError)>,
}

impl Reader<'_> {
    /// Refuses a table that appears under both of its names.
    fn aliases(&self, table: &DeTable<'_>) -> Result<(), ProfileError> {
        for (alias, name) in ALIASES {
            let start = |wanted: &str| table.iter().find(|(key, _)| key.get_ref() == wanted).map(|(key, _)| key.span());
            if let (Some(first), Some(second)) = (start(alias), start(name)) {
                let later = first.start.max(second.start);
                return Err(ProfileError::BadValue {
                    origin: self.source.at(self.text, later),
                    key: if later == first.start { alias } else { name }.to_owned(),
                    message: format!("[{alias}] is another name of [{name}], and one file can have only one of them"),
                    hint: Some(format!("put all of it into [{name}]")),
                });
            }
        }
        Ok(())
    }

    /// Reads a table. `path` is its path; `written` is the same path with the names that the file uses.
    fn table(
        &mut self,
        spans: &DeTable<'_>,
        values: &toml::Table,
        path: &KeyPath,
        written: &KeyPath,
    ) -> Result<(), ProfileError> {
        for (key, spanned) in spans.iter() {
            let name: &str = key.get_ref();
            let Some(value) = values.get(name) else { continue };
            let written = written.join(name);
            let top = path.parts().is_empty();
            let origin = self.source.at(self.text, spanned.span().start);
            if top && Some(name) == self.role.reference() {
                self.reference(value, origin, &written)?;
                continue;
            }
            let alias = ALIASES.iter().find(|(alias, _)| top && *alias == name);
            let path = path.join(alias.map_or(name, |(_, name)| name));
            match schema::kind(&path) {
                _ if top && name == EXTENDS => self.unknown(key.span(), &written, &path),
                None => self.unknown(key.span(), &written, &path),
                Some(Kind::Table | Kind::OpenTable) => {
                    let (DeValue::Table(spans), toml::Value::Table(values)) = (spanned.get_ref(), value) else {
                        return Err(ProfileError::BadValue {
                            origin,
                            key: written.to_string(),
                            message: format!("{value} is not a table"),
                            hint: Some(format!("write [{written}] on a line of its own, and its keys below it")),
                        });
                    };
                    self.table(spans, values, &path, &written)?;
                }
                Some(_) => {
                    self.items(spanned.get_ref(), &path, &written);
                    self.document.entries.set(path, value.clone(), origin);
                }
            }
        }
        Ok(())
    }

    fn reference(&mut self, value: &toml::Value, origin: Origin, written: &KeyPath) -> Result<(), ProfileError> {
        let Some(name) = value.as_str() else {
            return Err(ProfileError::BadValue {
                origin,
                key: written.to_string(),
                message: format!("{value} is not the name or the path of a profile"),
                hint: Some(format!("for example: {written} = \"slurm\"")),
            });
        };
        if !name.is_empty() {
            self.document.reference = Some((name.to_owned(), origin));
        }
        Ok(())
    }

    /// Looks for unknown keys in the tables of a list.
    fn items(&mut self, value: &DeValue<'_>, path: &KeyPath, written: &KeyPath) {
        let (Some(known), DeValue::Array(items)) = (schema::item_keys(path), value) else { return };
        for (index, item) in items.iter().enumerate() {
            let DeValue::Table(item) = item.get_ref() else { continue };
            for (key, _) in item.iter().filter(|(key, _)| !known.contains(&key.get_ref().as_ref())) {
                let error = ProfileError::UnknownKey {
                    origin: self.source.at(self.text, key.span().start),
                    key: format!("{written}[{index}].{}", key.get_ref()),
                    name: key.get_ref().to_string(),
                    known: known.iter().map(|key| (*key).to_owned()).collect(),
                };
                self.note(key.span(), error);
            }
        }
    }

    fn unknown(&mut self, span: Range<usize>, written: &KeyPath, path: &KeyPath) {
        let mut known = schema::keys_in(&path.parent());
        if path.parts().len() == 1 {
            known.retain(|key| key != EXTENDS);
            known.extend(ALIASES.iter().map(|(alias, _)| (*alias).to_owned()));
            known.extend(self.role.reference().map(str::to_owned));
            known.sort();
        }
        let origin = self.source.at(self.text, span.start);
        let (key, name) = (written.to_string(), path.last().to_owned());
        self.note(span, ProfileError::UnknownKey { origin, key, name, known });
    }

    fn note(&mut self, span: Range<usize>, error: ProfileError) {
        if self.unknown.as_ref().is_none_or(|(start, _)| span.start < *start) {
            self.unknown = Some((span.start, error));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_file(text: &str) -> Result<Document, ProfileError> {
        read(text, &Source::File(Path::new("lab.toml").into()), Role::Profile)
    }

    fn error_of(text: &str) -> ProfileError {
        read_file(text).expect_err("must be refused")
    }

    #[test]
    fn an_unknown_key_names_file_place_path_and_nearest() {
        let error = error_of("[engines]\ncount = 2\ntimeuot = 3\nzzz = 1\n");
        assert_eq!(error.to_string(), "lab.toml:3:1: unknown key `engines.timeuot`");
        assert!(
            error.hint().starts_with("did you mean `timeout`? keys known here: agent, bind, capture_output, count, "),
            "{}",
            error.hint()
        );
        let error = error_of("[enginse]\ncount = 2\n");
        assert_eq!(error.to_string(), "lab.toml:1:2: unknown key `enginse`");
        assert_eq!(
            error.hint(),
            "did you mean `engines`? keys known here: batch, controller, engines, extends, logs, mpiexec, queue, slurm, ssh"
        );
        let error = error_of("[ssh]\nhosts = [{ host = \"a\", engines = 1 },\n  { host = \"b\", engine = 2 }]\n");
        assert_eq!(error.to_string(), "lab.toml:3:17: unknown key `ssh.hosts[1].engine`");
        assert!(error.hint().starts_with("did you mean `engines`?"), "{}", error.hint());
        let error = error_of("[slurm]\nblocks = { mni = 1 }\n");
        assert_eq!(error.to_string(), "lab.toml:2:12: unknown key `slurm.blocks.mni`");
    }

    #[test]
    fn a_key_of_another_table_is_shown_the_way() {
        let error = error_of("[engines]\npartition = \"gpu\"\n");
        assert!(error.hint().starts_with("did you mean `batch.partition`?"), "{}", error.hint());
    }

    #[test]
    fn broken_toml_names_the_line() {
        let error = error_of("[engines]\ncount = \n");
        assert!(error.to_string().starts_with("lab.toml:2:"), "{error}");
    }

    #[test]
    fn slurm_is_another_name_of_batch_but_not_of_both_at_once() {
        let document = read_file("[slurm]\npartition = \"gpu\"\nblocks.max = 3\n").expect("good");
        let table = document.entries.to_table();
        assert_eq!(table["batch"]["partition"].as_str(), Some("gpu"));
        assert_eq!(table["batch"]["blocks"]["max"].as_integer(), Some(3));
        let error = error_of("[batch]\nqos = \"a\"\n[slurm]\nqos = \"b\"\n");
        assert!(error.to_string().starts_with("lab.toml:3:2: `slurm`: [slurm] is another name of [batch]"), "{error}");
    }

    #[test]
    fn a_table_must_be_a_table_and_a_reference_a_name() {
        let error = error_of("engines = 3\n");
        assert_eq!(error.to_string(), "lab.toml:1:11: `engines`: 3 is not a table");
        let error = error_of("extends = 3\n");
        assert!(error.to_string().starts_with("lab.toml:1:11: `extends`: 3 is not the name"), "{error}");
        assert!(read_file("extends = \"\"\n").expect("good").reference.is_none());
        let project = read("extends = \"a\"\n", &Source::Option("x"), Role::Project).expect_err("refused");
        assert!(project.hint().contains("profile"), "{}", project.hint());
    }

    #[test]
    fn open_tables_take_any_key() {
        let document = read_file("[engines.env]\nOMP_NUM_THREADS = \"1\"\n[queue.reasons]\n\"a b\" = \"c\"\n");
        let table = document.expect("good").entries.to_table();
        assert_eq!(table["engines"]["env"]["OMP_NUM_THREADS"].as_str(), Some("1"));
        assert_eq!(table["queue"]["reasons"]["a b"].as_str(), Some("c"));
    }
}
