//! A merged profile back as TOML, complete, in the order of the default profile; and a new one to start from.

use super::entries::{Entries, KeyPath};
use super::schema::{self, Kind};
use super::{DEFAULT_NAME, Profile, shipped};
use crate::tables::engines::LauncherKind;
use std::fmt::Write;

/// The text. With `origins`, each line ends in a comment that says where its value came from.
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

/// A value on one line: the library writes a text with line breaks over several.
fn one_line(value: &toml::Value) -> String {
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

/// A text in quotes: in single ones, where nothing is escaped, when it has backslashes or double quotes.
pub(super) fn quoted(text: &str) -> String {
    let plain = !text.contains(|letter: char| letter == '\'' || letter.is_control());
    if plain && text.contains(['\\', '"']) {
        return format!("'{text}'");
    }
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(letter);
            }
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            letter if letter.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", letter as u32);
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// A profile to start from: it extends `extends`, and has every key that may matter to it with its explanation and the
/// value that `base`, the profile it extends, gives it; as comments, so that nothing is set yet.
pub fn starter(name: &str, extends: &str, base: &Profile) -> String {
    let mut text = format!(
        "# {name}: say here what it is for; `ipclusterz profile list` prints this line.\n\
         #\n\
         # Take away the # before a key to set it; what stays as it is comes from the profile that this one extends.\n\
         # See what comes of it with `ipclusterz profile show {name} --origin`, and whether it works with\n\
         # `ipclusterz profile check {name}`.\n\n\
         extends = {}\n",
        quoted(extends)
    );
    let own_table = match base.tables.engines.launcher {
        LauncherKind::Local => None,
        LauncherKind::Ssh => Some("ssh"),
        LauncherKind::Mpiexec => Some("mpiexec"),
        LauncherKind::Batch => Some("batch"),
    };
    let wanted = |table: &str| ["engines", "controller"].contains(&table) || own_table == Some(table);
    let mut section = KeyPath::default();
    // Comments that wait for what they are about.
    let mut comments = String::new();
    for line in shipped::text(DEFAULT_NAME).unwrap_or_default().lines() {
        let table = section.parts().first().map_or("", String::as_str);
        if let Some(header) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = KeyPath::of(header);
            if wanted(section.parts().first().map_or("", String::as_str)) {
                let _ = write!(text, "\n{comments}{line}\n");
            }
            comments.clear();
        } else if line.starts_with('#') {
            let _ = writeln!(comments, "{line}");
        } else if let Some((key, _)) = line.split_once(" = ") {
            if wanted(table)
                && let Some(entry) = base.entries.get(&section.join(key))
            {
                let _ = write!(text, "{comments}#{key} = {}\n\n", one_line(&entry.value));
            } else if wanted(table) {
                // A table on one line.
                let path = section.join(key);
                let below = base.entries.iter().filter(|(inner, _)| inner.starts_with(&path));
                let fields: Vec<_> =
                    below.map(|(inner, entry)| format!("{} = {}", inner.last(), one_line(&entry.value))).collect();
                let _ = write!(text, "{comments}#{key} = {{ {} }}\n\n", fields.join(", "));
            }
            comments.clear();
        } else {
            comments.clear();
        }
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}
