//! Writes a merged profile back as TOML: complete, in the order of the default profile.

use crate::entries::Entries;
use crate::key_path::{KeyPath, quoted};
use crate::schema::{self, Kind};
use std::fmt::Write;

/// Returns the text. With `origins`, each line ends in a comment that says where its value came from.
pub fn write(entries: &Entries, origins: bool) -> String {
    let mut text = String::new();
    let mut section = String::new();
    for (path, kind) in schema::in_order() {
        let Some((table, below)) = path.parts().split_first() else { continue };
        if *table != section {
            let gap = if section.is_empty() { "" } else { "\n" };
            let _ = writeln!(text, "{gap}[{table}]");
            section.clone_from(table);
        }
        let lines: Vec<_> = match kind {
            Kind::OpenTable => entries.iter().filter(|(key, _)| key.starts_with(path)).collect(),
            _ => entries.get(path).map(|entry| (path, entry)).into_iter().collect(),
        };
        if lines.is_empty() && *kind == Kind::OpenTable {
            let key = KeyPath::from_parts(below.to_vec());
            let comment = if origins { "  # default" } else { "" };
            let _ = writeln!(text, "{key} = {{}}{comment}");
        }
        for (path, entry) in lines {
            let key = KeyPath::from_parts(path.parts()[1..].to_vec());
            let comment = if origins { format!("  # {}", entry.origin) } else { String::new() };
            let _ = writeln!(text, "{key} = {}{comment}", one_line(&entry.value));
        }
    }
    text
}

/// A value on one line. The library would write a text with line breaks over several lines.
pub(crate) fn one_line(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => quoted(text),
        toml::Value::Array(items) => format!("[{}]", items.iter().map(one_line).collect::<Vec<_>>().join(", ")),
        toml::Value::Table(table) => {
            let fields = table
                .iter()
                .map(|(key, value)| format!("{} = {}", KeyPath::from_parts(vec![key.clone()]), one_line(value)));
            format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}
