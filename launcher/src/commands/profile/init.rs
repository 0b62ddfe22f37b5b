//! `ipclusterz profile init`: writes a profile to start from.

use crate::arguments::ProfileInitArguments;
use crate::report::InitReport;
use ipclusterz_base::places;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_profile::environment::Variables;
use ipclusterz_profile::{DEFAULT_NAME, Found, Options, Places, Profile, starter};
use std::path::{Path, PathBuf};

/// Writes the profile into the user's folder. Fails if it exists, unless `--force` is given.
pub fn run(arguments: &ProfileInitArguments, places: &Places) -> Result<InitReport, Failure> {
    let name = arguments.name.as_str();
    check_name(name)?;
    let folder = places.user.clone().ok_or_else(|| {
        Failure::new(Exit::Failure, "there is no folder for your profiles: neither XDG_CONFIG_HOME nor HOME is set")
    })?;
    let path = folder.join(format!("{name}.toml"));
    if !arguments.force && path.symlink_metadata().is_ok() {
        return Err(Failure::new(Exit::Usage, format!("there is a profile {name:?} already: {}", path.display()))
            .with_hint("edit it, choose another name, or replace it with --force"));
    }
    // What the profile is to extend is resolved without the file that is replaced, the project's file and the
    // variables.
    let below = Places { user: places.user.clone(), site: places.site.clone(), project: None };
    let extends = match &arguments.from {
        Some(from) if Found::is_path(from) => absolute(from)?,
        Some(from) => from.clone(),
        None => {
            let same_name = below.candidates(name).into_iter().any(|found| !matches!(found, Found::User(_)));
            if same_name { name.to_owned() } else { DEFAULT_NAME.to_owned() }
        }
    };
    let visible = if extends == name { Places { user: None, ..below } } else { below };
    let options = Options { profile: Some(extends.clone()), ..Options::default() };
    let base = Profile::load(&options, &Variables::default(), &visible)?;
    if base.chain.iter().any(|found| found.path() == Some(&path)) {
        return Err(Failure::new(
            Exit::Usage,
            format!("{extends:?} itself extends the profile {name:?} that is to be replaced"),
        )
        .with_hint("extend another profile with --from, or choose another name"));
    }
    make_folder(&folder)?;
    places::write_private(&path, starter(name, &extends, &base).as_bytes())?;
    Ok(InitReport { profile: name.to_owned(), extends, path })
}

/// Makes a path absolute, so that it means the same in the new file, which is in another folder.
fn absolute(path: &str) -> Result<String, Failure> {
    let path = std::path::absolute(path).map_err(Failure::io("finding the working folder"))?;
    Ok(path.display().to_string())
}

fn check_name(name: &str) -> Result<(), Failure> {
    // The same rule as for clusters, with a message of its own.
    places::check_name(name).map_err(|_| {
        let rule = "1 to 63 letters, digits, '_', '.' and '-', the first a letter or digit";
        Failure::new(Exit::Usage, format!("{name:?} is no name for a profile: {rule}"))
    })?;
    if name.ends_with(".toml") {
        let stem = name.trim_end_matches(".toml");
        return Err(Failure::new(Exit::Usage, format!("{name:?} would be taken for a path, not for a name"))
            .with_hint(format!("leave out the ending: `ipclusterz profile init {stem}`")));
    }
    Ok(())
}

/// Makes the folder and its missing parents, for the user alone. An existing folder is left as it is, because other
/// programs keep their settings there too.
fn make_folder(folder: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt;
    let path: PathBuf = folder.to_path_buf();
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&path)
        .map_err(Failure::io(format!("creating {}", path.display())))
}
