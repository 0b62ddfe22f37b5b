//! Which folders belong to the environment of a Python: those of a virtual environment, of conda, or of an installation.
//!
//! They stay where they are: what names the original place, such as the first line of a script or a path in a library of
//! conda's, goes on to find it there.

use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use rustix::fs::statfs;
use std::io;
use std::path::{Path, PathBuf};

/// The folder of the environment in an archive.
pub const ENVIRONMENT: &str = "env";
/// The folder of the installation that a virtual environment is made from.
pub const BASE: &str = "base";
/// The file that makes a folder a virtual environment, and names what it is made from.
pub const VENV_FILE: &str = "pyvenv.cfg";

/// Kinds of file systems that hosts share, from `statfs(2)` and the sources of those that it does not name: NFS, SMB (two),
/// AFS, Ceph, 9P, FUSE, Lustre, GPFS, BeeGFS, PanFS, OCFS2, GFS2.
const SHARED_FILE_SYSTEMS: [u64; 13] = [
    0x6969,
    0xff53_4d42,
    0xfe53_4d42,
    0x5346_414f,
    0x00c3_6400,
    0x0102_1997,
    0x6573_5546,
    0x0bd0_0bd0,
    0x4750_4653,
    0x1983_0326,
    0xaad7_aaea,
    0x7461_636f,
    0x0116_1970,
];
/// Folders of conda's base environment that are not of it.
const OF_CONDA: [&str; 3] = ["pkgs", "envs", "conda-bld"];

/// A folder that goes into the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Its name there.
    pub name: &'static str,
    /// Where it is.
    pub source: PathBuf,
    /// What of it.
    pub parts: Parts,
}

/// Which files of a folder are needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parts {
    /// All but these folders.
    AllBut(&'static [&'static str]),
    /// What an interpreter is, with its library of this name, such as `python3.12`, but without packages, unless they are
    /// seen through the virtual environment.
    Interpreter {
        /// The name of the library's folder.
        library: String,
        /// Whether its packages are of the environment.
        packages: bool,
    },
}

/// What belongs to the environment of a Python.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The folders.
    pub roots: Vec<Root>,
    /// The Python, in the archive.
    pub python: String,
}

impl Layout {
    /// The environment of the Python at this path.
    pub fn of(python: &Path) -> Result<Self, Failure> {
        let Some((prefix, name)) = prefix_and_name(python) else { return Err(no_environment(python)) };
        // One that is not there, or that cannot be read, has a reason of the system's.
        python.metadata().map_err(Failure::io(format!("looking at engines.python, {}", python.display())))?;
        let layout = |roots| Ok(Self { roots, python: format!("{ENVIRONMENT}/bin/{name}") });
        let whole = |but| Root { name: ENVIRONMENT, source: prefix.to_path_buf(), parts: Parts::AllBut(but) };
        match std::fs::read_to_string(prefix.join(VENV_FILE)) {
            Ok(text) => layout([whole(&[])].into_iter().chain(base_of(&text)?).collect()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Failure::io(format!("reading {}", prefix.join(VENV_FILE).display()))(error))
            }
            Err(_) if prefix.join("conda-meta").is_dir() => layout(vec![whole(&OF_CONDA)]),
            Err(_) if !is_of_system(prefix) && library_of(prefix).is_some() => layout(vec![whole(&[])]),
            Err(_) => Err(no_environment(python)),
        }
    }
}

/// The folder that a Python's own `bin` is in, and its name there. A virtual environment's is a link to another one.
fn prefix_and_name(python: &Path) -> Option<(&Path, &str)> {
    let bin = python.parent().filter(|folder| python.is_absolute() && folder.ends_with("bin"))?;
    Some((bin.parent()?, python.file_name()?.to_str()?))
}

fn no_environment(python: &Path) -> Failure {
    let message = format!("engines.stage: engines.python, {python:?}, is not the Python of an environment");
    Failure::new(Exit::Usage, message).with_hint(
        "engines.python names PREFIX/bin/python of a virtual environment, of conda, or of an installation that is not the \
         system's; or engines.stage names an archive of the environment",
    )
}

/// Whether a prefix is the operating system's, of which Python is a small part.
fn is_of_system(prefix: &Path) -> bool {
    [Path::new("/"), Path::new("/usr"), Path::new("/usr/local")].contains(&prefix)
}

/// The installation that a virtual environment is made from, if it is where hosts share it.
fn base_of(venv_file: &str) -> Result<Option<Root>, Failure> {
    let Some(home) = value(venv_file, "home").map(PathBuf::from) else { return Ok(None) };
    let Some(prefix) = home.parent().filter(|prefix| !is_of_system(prefix)) else { return Ok(None) };
    if !is_shared(prefix).map_err(Failure::io(format!("looking at {}, in {VENV_FILE}", prefix.display())))? {
        return Ok(None);
    }
    let Some(library) = library_of(prefix) else { return Ok(None) };
    let packages = value(venv_file, "include-system-site-packages").is_some_and(|word| word == "true");
    Ok(Some(Root { name: BASE, source: prefix.to_path_buf(), parts: Parts::Interpreter { library, packages } }))
}

/// What a line `KEY = VALUE` of the file says.
fn value<'a>(venv_file: &'a str, key: &str) -> Option<&'a str> {
    let pairs = venv_file.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.trim(), value.trim())).find(|(name, _)| *name == key).map(|(_, value)| value)
}

fn is_shared(path: &Path) -> io::Result<bool> {
    let kind = statfs(path)?.f_type;
    // The field has another width and sign on other machines; the number has 32 bits.
    #[expect(clippy::cast_sign_loss, reason = "the number is a pattern of bits")]
    let kind = kind as u64 & 0xffff_ffff;
    Ok(SHARED_FILE_SYSTEMS.contains(&kind))
}

/// The name of the folder with Python's library, such as `python3.12`; the newest, if there are several.
fn library_of(prefix: &Path) -> Option<String> {
    let names =
        std::fs::read_dir(prefix.join("lib")).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names
        .filter_map(|name| Some((name.strip_prefix("python3.")?.parse::<u32>().ok()?, name.clone())))
        .filter(|(_, name)| prefix.join("lib").join(name).join("os.py").is_file())
        .max()
        .map(|(_, name)| name)
}

impl Parts {
    /// Whether a path in the folder, relative to it, is needed. What is in a folder that is not is not asked for.
    pub fn has(&self, path: &Path) -> bool {
        match self {
            Parts::AllBut(folders) => !folders.iter().any(|folder| path == Path::new(folder)),
            Parts::Interpreter { library, packages } => {
                let words: Vec<&str> = path.iter().filter_map(|word| word.to_str()).collect();
                match words.as_slice() {
                    ["bin" | "lib"] => true,
                    ["bin", name] => name.starts_with("python"),
                    ["lib", name] if !name.contains(".so") => name == library,
                    ["lib", _] => true,
                    // Packages, what tests Python, and what links other programs with it.
                    ["lib", name, inner] if name == library => match *inner {
                        "site-packages" => *packages,
                        inner => inner != "test" && !inner.starts_with("config-"),
                    },
                    ["lib", name, ..] => name == library,
                    _ => false,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn prefix(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("temporary folder");
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("make");
            fs::write(path, "").expect("write");
        }
        folder
    }

    #[test]
    fn what_an_environment_is() {
        let whole = |folder: &Path, but| vec![Root { name: "env", source: folder.into(), parts: Parts::AllBut(but) }];
        for (file, but) in [("pyvenv.cfg", &[][..]), ("conda-meta/history", &OF_CONDA), ("lib/python3.9/os.py", &[])] {
            let folder = prefix(&["bin/python3", file]);
            let layout = Layout::of(&folder.path().join("bin/python3")).expect(file);
            assert_eq!(layout, Layout { roots: whole(folder.path(), but), python: "env/bin/python3".to_owned() });
        }
        let bare = prefix(&["bin/python3"]);
        for python in ["python3".into(), bare.path().join("bin/python3"), PathBuf::from("/usr/bin/env")] {
            let failure = Layout::of(&python).expect_err("no environment");
            assert!(failure.message.contains(&format!("{python:?}")) && failure.hint.is_some(), "{failure:?}");
        }
        let failure = Layout::of(&bare.path().join("bin/python4")).expect_err("no file");
        assert!(failure.message.contains("bin/python4: No such file"), "{failure:?}");
    }

    #[test]
    fn the_interpreter_of_a_virtual_environment_that_is_here_stays_here() {
        let base = prefix(&["bin/python3.12", "lib/python3.12/os.py", "lib/python3.9/x.py"]);
        let text = format!("home = {}/bin\ninclude-system-site-packages = true\n", base.path().display());
        assert_eq!(base_of(&text), Ok(None));
        assert_eq!((base_of("home = /usr/bin"), base_of("version = 3.12")), (Ok(None), Ok(None)));
        assert_eq!(value(&text, "include-system-site-packages"), Some("true"));
        assert_eq!(library_of(base.path()).as_deref(), Some("python3.12"));
        assert!(base_of("home = /nope/bin").is_err());
    }

    #[test]
    fn of_an_installation_what_runs_python_is_needed() {
        let parts = |packages| Parts::Interpreter { library: "python3.12".to_owned(), packages };
        let has = |path: &str| parts(false).has(Path::new(path));
        for path in ["bin", "bin/python3", "lib/libpython3.12.so.1.0", "lib/python3.12/json/decoder.py"] {
            assert!(has(path), "{path}");
        }
        for path in ["share", "bin/pip", "lib/python3.11", "lib/python3.12/test", "lib/python3.12/site-packages"] {
            assert!(!has(path), "{path}");
        }
        assert!(parts(true).has(Path::new("lib/python3.12/site-packages")));
        let conda = Parts::AllBut(&OF_CONDA);
        assert!(!conda.has(Path::new("pkgs")) && conda.has(Path::new("lib/pkgs")));
    }
}
