//! libzmq's sources: those of the crate `zeromq-src`, changed by `patches/`.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

const PATCHES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/patches");

/// Names of the folder of the crate with the sources: in cargo's registry, and where `cargo vendor` puts it.
const CRATE: [&str; 2] = ["zeromq-src-0.3.6+4.3.5", "zeromq-src"];

/// Puts the changed sources into `target`, and returns it.
pub fn patched(target: &Path) -> PathBuf {
    // cargo does not remove what an earlier build left.
    let _ = fs::remove_dir_all(target);
    let original = original();
    for folder in ["src", "include"] {
        copy(&original.join(folder), &target.join(folder));
    }
    println!("cargo:rerun-if-changed={PATCHES}");
    for patch in files(Path::new(PATCHES), "patch") {
        apply(&patch, target);
    }
    target.to_owned()
}

/// All sources, but for those of WebSockets.
pub fn cpp(folder: &Path) -> Vec<PathBuf> {
    let mut sources = files(folder, "cpp");
    sources.retain(|path| !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ws")));
    sources
}

/// A crate that is built lies beside the crate that it is built for.
fn original() -> PathBuf {
    let user = std::env::var("CARGO_MANIFEST_DIR").expect("cargo says which crate is built");
    let beside = Path::new(&user).parent().expect("a folder of crates");
    let found = CRATE.iter().map(|name| beside.join(name).join("vendor")).find(|path| path.is_dir());
    found.unwrap_or_else(|| panic!("libzmq's sources are not in {}/{}", beside.display(), CRATE[0]))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap_or_else(|error| panic!("{}: {error}", to.display()));
    for entry in entries(from).into_iter().filter(|entry| entry.is_file()) {
        let name = entry.file_name().expect("the name of an entry");
        let bytes = fs::read(&entry).unwrap_or_else(|error| panic!("{}: {error}", entry.display()));
        fs::write(to.join(name), bytes).unwrap_or_else(|error| panic!("{}: {error}", to.display()));
    }
}

/// Applies a patch of several files: each part begins with `diff --git`, and what is before the first says why.
fn apply(patch: &Path, target: &Path) {
    let text = read(patch);
    for part in text.trim_end_matches('\n').split("\ndiff --git ").skip(1) {
        if let Err(error) = change(&format!("{part}\n"), target) {
            panic!("{} does not apply: {error}\n{part}", patch.display());
        }
    }
}

fn change(part: &str, target: &Path) -> Result<(), Box<dyn Error>> {
    let change = diffy::Patch::from_str(part)?;
    let file = target.join(change.modified().and_then(|name| name.strip_prefix("b/")).ok_or("it names no file")?);
    let before = if change.original() == Some("/dev/null") { String::new() } else { fs::read_to_string(&file)? };
    Ok(fs::write(&file, diffy::apply(&before, &change)?)?)
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Those with this extension, in the order of their names.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = entries(folder);
    found.retain(|path| path.extension().is_some_and(|found| found == extension));
    found.sort();
    found
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let read = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    read.map(|entry| entry.unwrap_or_else(|error| panic!("{}: {error}", folder.display())).path()).collect()
}
