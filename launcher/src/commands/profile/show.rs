//! `ipclusterz profile show`: the complete profile that `start` would use.

use crate::arguments::ProfileShowArguments;
use crate::report::ShowReport;
use ipclusterz_host::failure::Failure;
use ipclusterz_profile::environment::Variables;
use ipclusterz_profile::settings::merged_profile;
use ipclusterz_profile::{Found, Options, Places, write};

/// Merges all layers. Values that make no sense together are shown, not refused, because here a user looks for the
/// reason.
pub fn run(arguments: &ProfileShowArguments, variables: &Variables, places: &Places) -> Result<ShowReport, Failure> {
    let options = Options { profile: arguments.profile.clone(), set: arguments.set.clone(), ..Options::default() };
    let profile = merged_profile(&options, variables, places)?;
    let chain: Vec<String> = profile.chain.iter().map(Found::to_string).collect();
    let mut text = format!("# Profile {}: {}.\n", profile.name, chain.join(" over "));
    if let Some(project) = &profile.project {
        text.push_str(&format!("# Changed by the project's {}.\n", project.display()));
    }
    text.push('\n');
    text.push_str(&write(&profile.entries, arguments.origin));
    let origins = profile.entries.iter().map(|(path, entry)| (path.to_string(), entry.origin.to_string()));
    Ok(ShowReport {
        origins: origins.collect(),
        settings: profile.entries.to_table(),
        project: profile.project,
        profile: profile.name,
        chain,
        text,
    })
}
