//! `ipclusterz profile list`: every profile that a name can refer to.

use crate::report::{ListedProfile, ProfileListReport};
use ipclusterz_profile::{Found, Places};

/// Lists them.
pub fn run(places: &Places) -> ProfileListReport {
    let mut profiles = Vec::new();
    for name in places.names() {
        for (index, found) in places.candidates(&name).into_iter().enumerate() {
            profiles.push(ListedProfile {
                name: name.clone(),
                from: found.from_where(),
                path: found.path().map(Into::into),
                description: description(&found),
                shadowed: index > 0,
            });
        }
    }
    ProfileListReport {
        profiles,
        user_folder: places.user.clone(),
        site_folder: places.site.clone(),
        project: places.project.clone(),
    }
}

/// The first sentence of its first line, if that is a comment.
fn description(found: &Found) -> String {
    match found.text(None) {
        Ok(text) => text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix('#'))
            .map(|comment| comment.split_inclusive(". ").next().unwrap_or_default().trim().to_owned())
            .unwrap_or_default(),
        Err(error) => format!("({error})"),
    }
}
