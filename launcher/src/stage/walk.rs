//! The files of an environment, sorted, so that the archive of what has not changed is the same.

use super::layout::Root;
use super::parallel;
use ipclusterz_host::failure::Failure;
use std::io;
use std::path::{Path, PathBuf};

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A file.
    File,
    /// A link to this target.
    Link(PathBuf),
}

/// Something in an environment. The order of entries has a folder before what is in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its path in the archive.
    pub name: PathBuf,
    /// Where it is.
    pub source: PathBuf,
    /// What it is.
    pub kind: Kind,
}

/// All that the folders have. Sockets, pipes and devices are left out.
pub fn entries(roots: &[Root]) -> Result<Vec<Entry>, Failure> {
    let mut found = Vec::new();
    for root in roots {
        let mut folders = vec![PathBuf::new()];
        while !folders.is_empty() {
            let lists = parallel::map(&folders, |folder| list(root, folder));
            let mut inner = Vec::new();
            for (folder, list) in folders.iter().zip(lists) {
                let list = list.map_err(Failure::io(format!("reading {}", root.source.join(folder).display())))?;
                for (path, kind) in list {
                    if kind == Kind::Folder {
                        inner.push(path.clone());
                    }
                    let (name, source) = (Path::new(root.name).join(&path), root.source.join(&path));
                    found.push(Entry { name, source, kind });
                }
            }
            folders = inner;
        }
        found.push(Entry { name: root.name.into(), source: root.source.clone(), kind: Kind::Folder });
    }
    point_into_archive(roots, &mut found);
    found.sort_unstable();
    Ok(found)
}

/// What of a folder is needed, by its path in the root.
fn list(root: &Root, folder: &Path) -> io::Result<Vec<(PathBuf, Kind)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root.source.join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if !root.parts.has(&path) {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            found.push((path, Kind::Folder));
        } else if kind.is_file() {
            found.push((path, Kind::File));
        } else if kind.is_symlink() {
            found.push((path, Kind::Link(std::fs::read_link(entry.path())?)));
        }
    }
    Ok(found)
}

/// Links from one root into another, which are absolute, are made relative ones in the archive.
fn point_into_archive(roots: &[Root], entries: &mut [Entry]) {
    for entry in entries {
        let Kind::Link(target) = &mut entry.kind else { continue };
        let within = |root: &Root| {
            let path = target.strip_prefix(&root.source).ok()?;
            let mut above = path.ancestors().filter(|path| !path.as_os_str().is_empty());
            above.all(|path| root.parts.has(path)).then(|| Path::new(root.name).join(path))
        };
        if let Some(inside) = roots.iter().find_map(within) {
            let up: PathBuf = entry.name.iter().skip(1).map(|_| "..").collect();
            *target = up.join(inside);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::Parts;
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn folders_come_before_what_is_in_them_and_links_stay_links() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (venv, base) = (folder.path().join("venv"), folder.path().join("py"));
        for path in ["venv/lib/a", "venv/bin", "venv/pkgs/x", "py/bin"] {
            fs::create_dir_all(folder.path().join(path)).expect("make");
        }
        fs::write(venv.join("lib/a/b.py"), "").expect("write");
        fs::write(venv.join("lib/a.py"), "").expect("write");
        symlink(base.join("bin/python3"), venv.join("bin/python")).expect("link");
        symlink("lib", venv.join("lib64")).expect("link");
        symlink(venv.join("pkgs/x"), venv.join("share")).expect("link");
        drop(std::os::unix::net::UnixListener::bind(venv.join("lib/socket")).expect("a socket"));
        let roots = [
            Root { name: "env", source: venv, parts: Parts::AllBut(&["pkgs"]) },
            Root { name: "base", source: base, parts: Parts::AllBut(&[]) },
        ];
        let found = entries(&roots).expect("readable");
        let names: Vec<String> = found.iter().map(|entry| entry.name.display().to_string()).collect();
        let expected = ["base", "base/bin", "env", "env/bin", "env/bin/python", "env/lib", "env/lib/a"];
        let more = ["env/lib/a/b.py", "env/lib/a.py", "env/lib64", "env/share"];
        assert_eq!(names, [&expected[..], &more].concat());
        let kind = |name: &str| &found[names.iter().position(|other| other == name).expect(name)].kind;
        assert_eq!(kind("env/bin/python"), &Kind::Link("../../base/bin/python3".into()));
        assert_eq!(kind("env/lib64"), &Kind::Link("lib".into()));
        assert_eq!(kind("env/share"), &Kind::Link(folder.path().join("venv/pkgs/x")));
        assert_eq!(found, entries(&roots).expect("readable"));
    }

    #[test]
    fn a_folder_that_cannot_be_read_is_named() {
        let root = Root { name: "env", source: "/nope".into(), parts: Parts::AllBut(&[]) };
        assert!(entries(&[root]).expect_err("nothing there").message.starts_with("reading /nope"));
    }
}
