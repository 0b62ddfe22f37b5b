//! Whether an environment is the one that was read before, without reading it: a hash of what changes when packages are
//! installed, upgraded or removed.
//!
//! That are the entries of its folders of packages, with their sizes and times, and the files that say what it is made
//! from. A file that is edited deep in a package is not noticed: whoever does that touches `pyvenv.cfg`, or
//! `conda-meta/history`, or the folder of packages.

use super::layout::{Layout, VENV_FILE};
use super::parallel;
use ipclusterz_host::failure::Failure;
use ring::digest::{Context, SHA256};
use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Changes with what an archive has of an environment, so that those of older releases are not taken for it.
const FORMAT: &str = "ipclusterz stage 1";

/// The fingerprint of an environment.
pub fn of_environment(layout: &Layout) -> Result<String, Failure> {
    let mut seen = Vec::new();
    for root in &layout.roots {
        let packages = folders_of_packages(&root.source);
        let listed = parallel::map(&packages, |folder| list(folder));
        let paths = [VENV_FILE, "conda-meta", "conda-meta/history", "bin"].map(|name| root.source.join(name));
        seen.extend(paths.into_iter().chain(packages));
        for list in listed {
            seen.extend(list?);
        }
    }
    if let Some(python) =
        layout.python.split_once('/').and_then(|(_, path)| Some(layout.roots.first()?.source.join(path)))
    {
        seen.push(python);
    }
    of_paths(seen)
}

/// The fingerprint of an archive.
pub fn of_archive(archive: &Path) -> Result<String, Failure> {
    of_paths(vec![archive.to_path_buf()])
}

fn of_paths(mut paths: Vec<PathBuf>) -> Result<String, Failure> {
    paths.sort_unstable();
    paths.dedup();
    let looked = parallel::map(&paths, |path| look(path));
    let mut context = Context::new(&SHA256);
    add(&mut context, FORMAT.as_bytes());
    for (path, looked) in paths.iter().zip(looked) {
        let looked = looked.map_err(Failure::io(format!("looking at {}", path.display())))?;
        add(&mut context, path.as_os_str().as_bytes());
        add(&mut context, looked.map(|metadata| words(&metadata)).unwrap_or_default().as_bytes());
    }
    Ok(hex(context.finish().as_ref()))
}

/// What is at a path, behind links; None if nothing is.
fn look(path: &Path) -> io::Result<Option<Metadata>> {
    match path.metadata() {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A folder's size says nothing.
fn words(metadata: &Metadata) -> String {
    let size = if metadata.is_dir() { 0 } else { metadata.size() };
    format!("{} {size} {} {}", metadata.mode(), metadata.mtime(), metadata.mtime_nsec())
}

/// With its length, so that no two lists are the same text.
fn add(context: &mut Context, part: &[u8]) {
    context.update(&(part.len() as u64).to_be_bytes());
    context.update(part);
}

fn folders_of_packages(prefix: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for library in ["lib", "lib64"].map(|name| prefix.join(name)) {
        if library.is_symlink() {
            continue;
        }
        let names = std::fs::read_dir(&library).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.file_name()));
        let pythons = names.filter(|name| name.to_str().is_some_and(|name| name.starts_with("python")));
        found.extend(pythons.map(|name: OsString| library.join(name).join("site-packages")));
    }
    found
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = || Failure::io(format!("reading {}", folder.display()));
    match std::fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry.map_err(failed())?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failed()(error)),
    }
}

/// Bytes as text.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::layout::{Parts, Root};
    use super::*;
    use std::fs;

    #[test]
    fn it_changes_with_packages_and_with_nothing_else() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let at = |path: &str| folder.path().join(path);
        for path in ["bin", "lib/python3.12/site-packages/numpy", "lib/python3.12/site-packages/numpy-1.dist-info"] {
            fs::create_dir_all(at(path)).expect("make");
        }
        for path in ["bin/python", VENV_FILE, "lib/python3.12/site-packages/numpy/x.py"] {
            fs::write(at(path), "x").expect("write");
        }
        let root = Root { name: "env", source: folder.path().into(), parts: Parts::AllBut(&[]) };
        let layout = Layout { roots: vec![root], python: "env/bin/python".to_owned() };
        let now = || of_environment(&layout).expect("readable");
        let mut seen = vec![now()];
        assert_eq!(seen[0], now());
        let packages = at("lib/python3.12/site-packages");
        let upgrade = || fs::rename(packages.join("numpy-1.dist-info"), packages.join("numpy-2.dist-info"));
        let changes: [&dyn Fn(); 4] = [
            &|| upgrade().expect("rename"),
            &|| fs::write(packages.join("six.py"), "").expect("write"),
            &|| fs::write(at(VENV_FILE), "another").expect("write"),
            &|| fs::write(at("bin/python"), "another").expect("write"),
        ];
        for change in changes {
            change();
            assert!(!seen.contains(&now()));
            seen.push(now());
        }
        fs::write(packages.join("numpy/x.py"), "edited").expect("write");
        assert_eq!(seen.last(), Some(&now()));
    }
}
