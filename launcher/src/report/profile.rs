//! Results of the commands about profiles, and of `doctor`.

use super::text::table;
use crate::output::Report;
use crate::report::finding::{self, Finding};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;

/// One line of `profile list`.
#[derive(Debug, Clone, Serialize)]
pub struct ListedProfile {
    /// Its name.
    pub name: String,
    /// `user`, `site` or `shipped`.
    pub from: &'static str,
    /// Its file, unless it is shipped.
    pub path: Option<PathBuf>,
    /// Its first line of comment.
    pub description: String,
    /// Whether a stronger profile has the same name. Then only `extends` in that one can refer to it.
    pub shadowed: bool,
}

/// Result of `profile list`.
#[derive(Debug, Clone, Serialize)]
pub struct ProfileListReport {
    /// Shipped names first. Of equal names, the strongest profile is first.
    pub profiles: Vec<ListedProfile>,
    /// The user's folder.
    pub user_folder: Option<PathBuf>,
    /// The site's.
    pub site_folder: Option<PathBuf>,
    /// The project's file.
    pub project: Option<PathBuf>,
}

impl Report for ProfileListReport {
    fn to_text(&self) -> String {
        let row = |profile: &ListedProfile| {
            let from = format!("{}{}", profile.from, if profile.shadowed { " (shadowed)" } else { "" });
            vec![profile.name.clone(), from, profile.description.clone()]
        };
        table(&["profile", "from", "description"], &self.profiles.iter().map(row).collect::<Vec<_>>())
    }
}

/// Result of `profile show`.
#[derive(Debug, Clone, Serialize)]
pub struct ShowReport {
    /// What was asked for.
    pub profile: String,
    /// The files it came from, strongest first.
    pub chain: Vec<String>,
    /// The project's file.
    pub project: Option<PathBuf>,
    /// All values.
    pub settings: toml::Table,
    /// Where each came from.
    pub origins: BTreeMap<String, String>,
    /// The text for people.
    #[serde(skip)]
    pub text: String,
}

impl Report for ShowReport {
    fn to_text(&self) -> String {
        self.text.clone()
    }
}

/// Result of `profile init`.
#[derive(Debug, Clone, Serialize)]
pub struct InitReport {
    /// Its name.
    pub profile: String,
    /// What it extends.
    pub extends: String,
    /// The new file.
    pub path: PathBuf,
}

impl Report for InitReport {
    fn to_talk(&self) -> String {
        let Self { profile, extends, path } = self;
        format!(
            "wrote {}, which extends {extends}; edit it, then: ipclusterz profile check {profile}\n",
            path.display()
        )
    }
}

/// Result of `profile check` and `doctor`.
#[derive(Debug, Clone, Serialize)]
pub struct CheckReport {
    /// The profile that was checked.
    pub profile: String,
    /// Whether nothing failed.
    pub ok: bool,
    /// What was found, in order.
    pub checks: Vec<Finding>,
}

impl CheckReport {
    /// From what was found.
    pub fn new(profile: String, checks: Vec<Finding>) -> Self {
        Self { profile, ok: finding::all_well(&checks), checks }
    }
}

impl Report for CheckReport {
    fn to_text(&self) -> String {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        finding::table(&self.checks, !plain && std::io::stdout().is_terminal())
    }
}
