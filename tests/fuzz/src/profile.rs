//! A project's file and `--set` options, with all checks.

use ipclusterz_profile::environment::Variables;
use ipclusterz_profile::settings::{StartSettings, check_profile, merged_profile};
use ipclusterz_profile::{Options, Places, write};
use std::path::PathBuf;
use std::sync::OnceLock;
use tempfile::TempDir;

/// Up to the first zero byte it is a project's file, and each part behind another zero a `--set` option. Refused in words,
/// or a profile that reads back. One that is refused need not: no engines are a mistake in an option, and mean as many as
/// there are cores in a file.
pub fn profile(bytes: &[u8]) {
    let mut parts = bytes.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned());
    let project = parts.next().unwrap_or_default();
    // A file elsewhere is none of this target's business.
    if project.contains('/') {
        return;
    }
    let places = Places { project: Some(file("ipclusterz.toml", &project)), ..Places::default() };
    let options = Options { set: parts.take(8).collect(), ..Options::default() };
    let variables = Variables::default();
    match merged_profile(&options, &variables, &places) {
        Ok(profile) => {
            let text = write(&profile.entries, false);
            let _ = (profile.summary(), write(&profile.entries, true));
            if let Err(error) = check_profile(&profile).and_then(|()| StartSettings::of("fuzz".to_owned(), profile)) {
                assert!(!error.to_string().is_empty());
                return;
            }
            let whole = Places { project: Some(file("written.toml", &text)), ..Places::default() };
            let again = merged_profile(&Options::default(), &variables, &whole).expect("our own profile");
            assert_eq!(write(&again.entries, false), text);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A file in a private folder of this process.
fn file(name: &str, text: &str) -> PathBuf {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| tempfile::tempdir_in("/dev/shm").expect("a folder"));
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("written");
    path
}
