//! The keys of a profile with their values and origins, and how layers of them are merged.
//!
//! A profile is kept flat, as a map from key path to value; the schema knows which paths are tables. So to merge two
//! layers, the entries of the stronger one overwrite those of the weaker one.

use crate::key_path::KeyPath;
use crate::origin::Origin;
use crate::schema;
use std::collections::BTreeMap;

/// One value and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The value.
    pub value: toml::Value,
    /// Where the value was set.
    pub origin: Origin,
}

/// The keys of one layer, or of several merged ones.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Entries(BTreeMap<KeyPath, Entry>);

impl Entries {
    /// Sets a key.
    pub fn set(&mut self, path: KeyPath, value: toml::Value, origin: Origin) {
        self.0.insert(path, Entry { value, origin });
    }

    /// Puts a stronger layer over this one.
    pub fn overlay(&mut self, stronger: Entries) {
        self.0.extend(stronger.0);
    }

    /// The entry of a key.
    pub fn get(&self, path: &KeyPath) -> Option<&Entry> {
        self.0.get(path)
    }

    /// All keys with their entries, sorted by path.
    pub fn iter(&self) -> impl Iterator<Item = (&KeyPath, &Entry)> {
        self.0.iter()
    }

    /// Where the value of `path` was set: the origin of the key itself, else of the value that contains it.
    pub fn origin(&self, path: &KeyPath) -> Option<&Origin> {
        let parts = path.parts();
        let around = (1..=parts.len()).rev().map(|length| KeyPath::from_parts(parts[..length].to_vec()));
        around.into_iter().find_map(|path| self.0.get(&path)).map(|entry| &entry.origin)
    }

    /// The entries as nested tables. Every open table of the schema is present, even if it is empty.
    pub fn to_table(&self) -> toml::Table {
        let mut root = toml::Table::new();
        for path in schema::open_tables() {
            table_at(&mut root, path.parts());
        }
        for (path, entry) in &self.0 {
            if let Some((last, parents)) = path.parts().split_last()
                && let Some(table) = table_at(&mut root, parents)
            {
                table.insert(last.clone(), entry.value.clone());
            }
        }
        root
    }
}

/// The table at `path`, which is made if it is missing; `None` if a value that is no table is in the way.
fn table_at<'a>(root: &'a mut toml::Table, path: &[String]) -> Option<&'a mut toml::Table> {
    path.iter().try_fold(root, |table, part| {
        table.entry(part.clone()).or_insert_with(|| toml::Value::Table(toml::Table::new())).as_table_mut()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stronger_layer_wins_key_by_key() {
        let (mut weak, mut strong) = (Entries::default(), Entries::default());
        weak.set(KeyPath::of("engines.env.A"), "1".into(), Origin::Option("--set"));
        weak.set(KeyPath::of("engines.env.B"), "1".into(), Origin::Option("--set"));
        strong.set(KeyPath::of("engines.env.B"), "2".into(), Origin::Variable("IPCLUSTERZ_X"));
        weak.overlay(strong);
        let table = weak.to_table();
        assert_eq!(table["engines"]["env"].to_string(), "{ A = \"1\", B = \"2\" }");
        assert_eq!(weak.origin(&KeyPath::of("engines.env.B.deeper")), Some(&Origin::Variable("IPCLUSTERZ_X")));
    }
}
