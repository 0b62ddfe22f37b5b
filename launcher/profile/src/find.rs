//! Finds profiles: in the user's folder, the site's folder and the program itself, and the project's file.

use crate::environment::{self, Variables};
use crate::error::{Asked, ProfileError};
use crate::read::{Document, Role, Source, read};
use crate::shipped::{self, DEFAULT_NAME};
use ipclusterz_base::error::PlacesError;
use ipclusterz_base::private::{self, Trust};
use std::io;
use std::path::{Path, PathBuf};

/// Name of a project's file.
pub const PROJECT_FILE: &str = "ipclusterz.toml";

/// Value of `IPCLUSTERZ_PROJECT` that stands for no file.
const NO_PROJECT: &str = "none";

/// Folders with profiles, and the project's file.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The user's profiles.
    pub user: Option<PathBuf>,
    /// The site's.
    pub site: Option<PathBuf>,
    /// The project's file.
    pub project: Option<PathBuf>,
}

/// A profile that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A file in the user's folder.
    User(PathBuf),
    /// A file in the site's folder.
    Site(PathBuf),
    /// A profile that is compiled in.
    Shipped(&'static str),
    /// A file that was named by its path.
    Path(PathBuf),
}

impl Places {
    /// The places of this process, by its variables, its home folder and its working folder.
    ///
    /// Fails if the project's file belongs to another user.
    pub fn of_this_process(variables: &Variables) -> Result<Self, ProfileError> {
        let user = variables
            .get("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .or_else(|| variables.get("HOME").map(|home| Path::new(home).join(".config")))
            .map(|config| config.join("ipclusterz/profiles"));
        let site = variables.get(environment::SITE_PROFILES).unwrap_or("/etc/ipclusterz/profiles");
        let project = match variables.get(environment::PROJECT) {
            Some(NO_PROJECT) => None,
            Some(path) => Some(PathBuf::from(path)),
            // Without a working folder there is no project. Whatever needs the folder reports the error.
            None => match std::env::current_dir() {
                Ok(folder) => project_file(&folder, variables.get("HOME").map(Path::new))?,
                Err(_) => None,
            },
        };
        Ok(Self { user, site: Some(PathBuf::from(site)), project })
    }

    /// All profiles called `name`, strongest first.
    pub fn candidates(&self, name: &str) -> Vec<Found> {
        let in_folder = |folder: &Option<PathBuf>| {
            let path = folder.as_ref()?.join(format!("{name}.toml"));
            // A file that cannot be examined (no permission) counts as present. Reading it reports the error.
            let absent = path.metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
            (!absent).then_some(path)
        };
        let user = in_folder(&self.user).map(Found::User);
        let site = in_folder(&self.site).map(Found::Site);
        let shipped = shipped::find(name).map(|(name, _)| Found::Shipped(name));
        user.into_iter().chain(site).chain(shipped).collect()
    }

    /// The names of all profiles, shipped ones first.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = shipped::names().map(str::to_owned).collect();
        let mut own: Vec<String> =
            [&self.user, &self.site].into_iter().flatten().flat_map(|path| stems(path)).collect();
        own.sort();
        own.dedup();
        own.retain(|name| !names.contains(name));
        names.extend(own);
        names
    }

    /// Finds the strongest profile called `name`. With `after`, which has that name too, finds the next weaker one.
    ///
    /// `asked` is the key that refers to the profile; errors name it.
    pub fn find(&self, name: &str, after: Option<&Found>, asked: Option<&Asked>) -> Result<Found, ProfileError> {
        let mut candidates = self.candidates(name).into_iter();
        if let Some(after) = after {
            candidates.by_ref().find(|candidate| candidate == after);
        }
        candidates.next().ok_or_else(|| ProfileError::NoSuchProfile {
            name: name.to_owned(),
            asked: asked.cloned().map(Box::new),
            folders: [&self.user, &self.site].into_iter().flatten().cloned().collect(),
            known: self.names(),
        })
    }
}

impl Found {
    /// Whether `name` is the path of a profile and not a name.
    pub fn is_path(name: &str) -> bool {
        name.contains('/') || name.ends_with(".toml")
    }

    /// The name by which it is looked up; `None` for a path.
    pub fn name(&self) -> Option<&str> {
        match self {
            Found::User(path) | Found::Site(path) => path.file_stem().and_then(|stem| stem.to_str()),
            Found::Shipped(name) => Some(name),
            Found::Path(_) => None,
        }
    }

    /// Its file.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Found::User(path) | Found::Site(path) | Found::Path(path) => Some(path),
            Found::Shipped(_) => None,
        }
    }

    /// Whether it is the embedded default, which ends every chain.
    pub fn is_embedded_default(&self) -> bool {
        *self == Found::Shipped(DEFAULT_NAME)
    }

    /// Where it comes from, in one word.
    pub fn from_where(&self) -> &'static str {
        match self {
            Found::User(_) => "user",
            Found::Site(_) => "site",
            Found::Shipped(_) => "shipped",
            Found::Path(_) => "path",
        }
    }

    /// Its text. `asked` is the key that refers to it; errors name it.
    pub fn text(&self, asked: Option<&Asked>) -> Result<String, ProfileError> {
        match self {
            Found::Shipped(name) => Ok(shipped::text(name).unwrap_or_default().to_owned()),
            Found::User(path) => text_of(path, Trust::OurFile, asked),
            // Who names the site's folder trusts those who fill it, who need not be root.
            Found::Site(path) | Found::Path(path) => text_of(path, Trust::Named, asked),
        }
    }

    /// Reads and parses it. `asked` is the key that refers to it; errors name it.
    pub fn read(&self, asked: Option<&Asked>) -> Result<Document, ProfileError> {
        let source = match self {
            Found::Shipped(name) => Source::Shipped(name),
            Found::User(path) | Found::Site(path) | Found::Path(path) => Source::File(path.as_path().into()),
        };
        read(&self.text(asked)?, &source, Role::Profile)
    }
}

/// The text of a profile, unless somebody who is not trusted could have changed it: it says which programs to run.
pub(crate) fn text_of(path: &Path, trust: Trust, asked: Option<&Asked>) -> Result<String, ProfileError> {
    private::read_text(path, trust).map_err(|error| {
        let (path, asked) = (path.to_path_buf(), asked.cloned().map(Box::new));
        match error {
            PlacesError::Io { source, .. } => ProfileError::Unreadable { path, asked, source },
            source => ProfileError::Untrusted { path, asked, source: Box::new(source) },
        }
    })
}

/// For messages: the file, or the shipped profile's.
impl std::fmt::Display for Found {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Found::User(path) | Found::Site(path) | Found::Path(path) => write!(formatter, "{}", path.display()),
            Found::Shipped(name) => write!(formatter, "profiles/{name}.toml"),
        }
    }
}

/// The nearest `ipclusterz.toml` in `folder` or above it, up to the root of its repository or the home folder,
/// whichever comes first. If neither is above `folder`, only `folder` is searched, so that a file in `/tmp` is not
/// found from everywhere.
///
/// A file of another user (except root), or one that others could change, is refused: it says which programs to run.
fn project_file(folder: &Path, home: Option<&Path>) -> Result<Option<PathBuf>, ProfileError> {
    let is_boundary = |folder: &Path| folder.join(".git").exists() || home == Some(folder);
    let last = folder.ancestors().position(is_boundary).unwrap_or(0);
    for folder in folder.ancestors().take(last + 1) {
        let path = folder.join(PROJECT_FILE);
        if path.metadata().is_ok() {
            return match private::open(&path, Trust::OurFile) {
                Ok(_) => Ok(Some(path)),
                Err(source) => Err(ProfileError::UntrustedProject { path, source: Box::new(source) }),
            };
        }
    }
    Ok(None)
}

/// The names of the profiles in a folder; none if the folder cannot be listed.
fn stems(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let profiles = paths.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    profiles.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_projects_file_is_looked_for_up_to_a_boundary() {
        let root = tempfile::tempdir().expect("folder");
        let deep = root.path().join("home/me/work/deep");
        std::fs::create_dir_all(&deep).expect("create");
        let write = |folder: &str| std::fs::write(root.path().join(folder).join(PROJECT_FILE), "").expect("write");
        let find = |home: &str| project_file(&deep, Some(&root.path().join(home))).expect("own files");
        write("home");
        assert_eq!(find("home/me"), None, "above the home folder");
        assert_eq!(find("elsewhere"), None, "no boundary, so nothing above");
        write("home/me");
        assert_eq!(find("home/me"), Some(root.path().join("home/me").join(PROJECT_FILE)));
        std::fs::write(root.path().join("home/me/work/.git"), "gitdir: elsewhere").expect("write");
        assert_eq!(find("home/me"), None, "above the repository");
        write("home/me/work/deep");
        assert_eq!(find("home/me"), Some(deep.join(PROJECT_FILE)));
    }
}
