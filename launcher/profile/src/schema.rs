//! Which keys exist: those of the embedded default profile.
//!
//! So every documented key is accepted, and every accepted key is documented. The types of values are those of
//! [`crate::tables`]; the default's values only tell how to parse the text of a variable.

use crate::key_path::KeyPath;
use crate::shipped::{self, DEFAULT_NAME};
use crate::tables::batch::GROUP_KEYS;
use std::sync::LazyLock;
use toml::de::{DeTable, DeValue};

/// Tables whose keys are the user's own, and what each of these has.
const OPEN_TABLES: [(&str, Kind); 5] = [
    ("engines.env", Kind::Text),
    ("engines.resources", Kind::Text),
    ("queue.reasons", Kind::Text),
    ("queue.endings", Kind::Text),
    ("queue.causes", Kind::List),
];

/// Keys of the tables in a list.
const ITEM_KEYS: [(&str, &[&str]); 3] = [
    ("ssh.hosts", &["directory", "engines", "host", "python"]),
    ("queue.refusals", &["about", "hint", "pattern", "valid"]),
    ("batch.groups", &GROUP_KEYS),
];

/// Aliases of tables, and the names under which these are kept.
pub const ALIASES: [(&str, &str); 1] = [("slurm", "batch")];

/// The key of a profile's file that is no setting.
pub const EXTENDS: &str = "extends";

/// What is at one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A table with fixed keys.
    Table,
    /// A table with any keys.
    OpenTable,
    /// Text.
    Text,
    /// A number.
    Number,
    /// True or false.
    Flag,
    /// A list.
    List,
}

/// All paths except the keys of open tables, in the order of the default profile.
static KEYS: LazyLock<Vec<(KeyPath, Kind)>> = LazyLock::new(|| {
    let mut keys = Vec::new();
    // A test checks that the default profile can be parsed, and every use of it as a layer checks that again.
    if let Some(text) = shipped::text(DEFAULT_NAME)
        && let Ok(table) = DeTable::parse(text)
    {
        collect(table.get_ref(), &KeyPath::default(), &mut keys);
    }
    keys
});

fn collect(table: &DeTable<'_>, path: &KeyPath, keys: &mut Vec<(KeyPath, Kind)>) {
    let mut in_order: Vec<_> = table.iter().collect();
    in_order.sort_by_key(|(key, _)| key.span().start);
    for (key, value) in in_order {
        let path = path.join(key.get_ref());
        let open = open_tables().any(|open| open == path);
        let kind = match value.get_ref() {
            DeValue::Table(_) if open => Kind::OpenTable,
            DeValue::Table(_) => Kind::Table,
            DeValue::Integer(_) | DeValue::Float(_) => Kind::Number,
            DeValue::Boolean(_) => Kind::Flag,
            DeValue::Array(_) => Kind::List,
            DeValue::String(_) | DeValue::Datetime(_) => Kind::Text,
        };
        keys.push((path.clone(), kind));
        if let (DeValue::Table(inner), Kind::Table) = (value.get_ref(), kind) {
            collect(inner, &path, keys);
        }
    }
}

/// What is at `path`; `None` for an unknown key.
pub fn kind(path: &KeyPath) -> Option<Kind> {
    if let Some((_, kind)) = OPEN_TABLES.iter().find(|(open, _)| KeyPath::of(open) == path.parent()) {
        return Some(*kind);
    }
    KEYS.iter().find(|(known, _)| known == path).map(|(_, kind)| *kind)
}

/// Names of the keys in the table at `path`, sorted.
pub fn keys_in(path: &KeyPath) -> Vec<String> {
    let mut names: Vec<String> =
        KEYS.iter().filter(|(known, _)| known.parent() == *path).map(|(known, _)| known.last().to_owned()).collect();
    names.sort();
    names
}

/// Keys of the tables in the list at `path`, if they are fixed.
pub fn item_keys(path: &KeyPath) -> Option<&'static [&'static str]> {
    ITEM_KEYS.iter().find(|(list, _)| KeyPath::of(list) == *path).map(|(_, keys)| *keys)
}

/// Tables whose keys are the user's own.
pub fn open_tables() -> impl Iterator<Item = KeyPath> {
    OPEN_TABLES.iter().map(|(path, _)| KeyPath::of(path))
}

/// Paths of all values and open tables, in the order of the default profile.
pub fn in_order() -> impl Iterator<Item = &'static (KeyPath, Kind)> {
    KEYS.iter().filter(|(path, kind)| *kind != Kind::Table && path.parts() != [EXTENDS])
}

/// The paths of all keys that are called `name`, wherever they are.
pub fn named(name: &str) -> Vec<&'static KeyPath> {
    KEYS.iter().filter(|(path, _)| path.last() == name).map(|(path, _)| path).collect()
}
