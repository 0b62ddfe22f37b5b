//! A new profile to start from: one that extends another, with every key explained and none set.

use crate::key_path::{KeyPath, quoted};
use crate::profile::Profile;
use crate::shipped::{self, DEFAULT_NAME};
use crate::tables::engines::LauncherKind;
use crate::write::one_line;
use std::fmt::Write;

/// The text of a new profile that extends `extends`.
///
/// It has every key that may matter, with its explanation and the value that `base`, the extended profile, gives it.
/// All keys are commented out, so nothing is set yet.
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
    // Comments that belong to the next key or table.
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
                // An inline table, whose fields are entries of their own.
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
