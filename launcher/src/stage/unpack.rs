//! An archive as folders again, in which Python runs.

use super::layout::{BASE, ENVIRONMENT, VENV_FILE};
use ipclusterz_base::words::printable_lines;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_profile::tables::stage::{SQUASHFS, TAR};
use std::fs;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The folder of links to the libraries that a Python is in.
pub const LIBRARIES: &str = "libpython";
/// The most that is shown of what a program says.
const SHOWN_LINES: usize = 5;

/// What unpacks an archive of a user's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    Tar,
    Unsquashfs,
}

fn program_of(archive: &str) -> Result<Program, Failure> {
    let ends = |endings: &[&str]| endings.iter().any(|ending| archive.ends_with(ending));
    if ends(&TAR) {
        Ok(Program::Tar)
    } else if ends(&SQUASHFS) {
        Ok(Program::Unsquashfs)
    } else {
        let message = format!("engines.stage names {archive:?}, which is no archive that can be unpacked");
        let names: Vec<&str> = TAR.into_iter().chain(SQUASHFS).collect();
        Err(Failure::new(Exit::Usage, message).with_hint(format!("its name ends with one of: {}", names.join(", "))))
    }
}

/// Unpacks an archive that this program has made into the folder `to`.
pub fn tar(archive: impl Read, to: &Path) -> io::Result<()> {
    let mut archive = tar::Archive::new(BufReader::with_capacity(1 << 20, archive));
    archive.set_preserve_permissions(true);
    archive.set_preserve_mtime(true);
    archive.set_overwrite(false);
    archive.unpack(to)
}

/// Unpacks an archive of a user's with the program for it. `name` is the archive's own name, `archive` the copy here.
pub fn with_program(name: &str, archive: &Path, to: &Path) -> Result<(), Failure> {
    let to = to.join(ENVIRONMENT);
    fs::create_dir(&to).map_err(Failure::io(format!("making {}", to.display())))?;
    let (program, arguments) = match program_of(name)? {
        Program::Tar => ("tar", [&["--no-same-owner", "-xf"][..], &["-C"]]),
        Program::Unsquashfs => ("unsquashfs", [&["-no-progress", "-no-xattrs", "-f", "-d"][..], &[]]),
    };
    let mut command = Command::new(program);
    command.args(arguments[0]);
    if program == "tar" {
        command.arg(archive).args(arguments[1]).arg(&to)
    } else {
        command.arg(&to).arg(archive)
    };
    let failed = |why: String| {
        let hint = format!("{program} has to be installed on each host that has engines, with what unpacks {name}");
        Failure::new(Exit::StartFailed, format!("engines.stage: {program} cannot unpack {name}: {why}")).with_hint(hint)
    };
    let output = command.stdin(Stdio::null()).output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.trim().lines().collect();
    let last = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
    Err(failed(format!("{}\n{}", output.status, printable_lines(&last))))
}

/// The Python in what a user's archive had, relative to the folder it was unpacked into: the archive has an environment, or
/// one folder that is one.
pub fn python_in(tree: &Path) -> Result<String, Failure> {
    let has =
        |folder: &Path| ["bin/python", "bin/python3"].into_iter().find(|name| tree.join(folder).join(name).exists());
    let top = PathBuf::from(ENVIRONMENT);
    let names = fs::read_dir(tree.join(&top)).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.file_name()));
    let mut inner: Vec<PathBuf> = names.map(|name| top.join(name)).collect();
    inner.sort_unstable();
    let found = [top].into_iter().chain(inner).find_map(|folder| Some(folder.join(has(&folder)?)));
    let text = found.and_then(|path| path.to_str().map(str::to_owned));
    text.ok_or_else(|| {
        Failure::new(Exit::StartFailed, "engines.stage: there is no bin/python in the archive")
            .with_hint("pack the environment, or the folder that it is, as conda-pack and venv-pack do")
    })
}

/// Has a virtual environment know where the installation is that came with it: in `place`, which the tree is going to be.
pub fn join_base(tree: &Path, place: &Path) -> Result<(), Failure> {
    let file = tree.join(ENVIRONMENT).join(VENV_FILE);
    if !tree.join(BASE).is_dir() {
        return Ok(());
    }
    let text = fs::read_to_string(&file).map_err(Failure::io(format!("reading {}", file.display())))?;
    let home = place.join(BASE).join("bin");
    fs::write(&file, with_home(&text, &home)).map_err(Failure::io(format!("writing {}", file.display())))
}

/// Puts links to the libraries that a Python is in, if it is in one, into a folder of their own. Where they are looked for may
/// be written into the program, and be the original place: a loader looks into `LD_LIBRARY_PATH` before, and that must have
/// nothing else for the programs that engines start.
pub fn link_libraries(tree: &Path) -> io::Result<()> {
    for folder in [BASE, ENVIRONMENT].map(|name| Path::new(name).join("lib")) {
        for entry in fs::read_dir(tree.join(&folder)).into_iter().flatten() {
            let name = entry?.file_name();
            if name.to_str().is_some_and(|name| name.starts_with("libpython3") && name.contains(".so")) {
                fs::create_dir_all(tree.join(LIBRARIES))?;
                // The installation's own goes before.
                match std::os::unix::fs::symlink(
                    Path::new("..").join(&folder).join(&name),
                    tree.join(LIBRARIES).join(&name),
                ) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                    _ => {}
                }
            }
        }
    }
    Ok(())
}

fn with_home(venv_file: &str, home: &Path) -> String {
    let is_home = |line: &str| line.split_once('=').is_some_and(|(name, _)| name.trim() == "home");
    let others = venv_file.lines().filter(|line| !is_home(line)).map(str::to_owned);
    let lines: Vec<String> = [format!("home = {}", home.display())].into_iter().chain(others).collect();
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_known_by_their_names() {
        assert_eq!(program_of("/x/env.tar.zst").expect("tar"), Program::Tar);
        assert_eq!(program_of("/x/env.sqfs").expect("squashfs"), Program::Unsquashfs);
        let failure = program_of("/x/env.zip").expect_err("none");
        assert!(
            failure.message.contains("\"/x/env.zip\"") && failure.hint.is_some_and(|hint| hint.contains(".tar.zst"))
        );
    }

    #[test]
    fn an_archive_of_an_environment_or_of_its_folder_has_a_python() {
        for (inside, python) in [("bin", "env/bin/python3"), ("lab/bin", "env/lab/bin/python3")] {
            let folder = tempfile::tempdir().expect("temporary folder");
            let packed = folder.path().join("packed");
            fs::create_dir_all(packed.join(inside)).expect("make");
            fs::write(packed.join(inside).join("python3"), "").expect("write");
            let archive = folder.path().join("x");
            let made = Command::new("tar").arg("-czf").arg(&archive).arg("-C").arg(&packed).arg(".").status();
            assert!(made.expect("tar").success());
            let tree = folder.path().join("tree");
            fs::create_dir(&tree).expect("make");
            with_program("x.tar.gz", &archive, &tree).expect("unpacked");
            assert_eq!(python_in(&tree).expect("a Python"), python);
        }
        let empty = tempfile::tempdir().expect("temporary folder");
        assert!(python_in(empty.path()).is_err());
        let failure = with_program("x.tar", Path::new("/nope"), empty.path()).expect_err("no archive");
        assert!(
            failure.message.contains("tar cannot unpack x.tar") && failure.message.contains("/nope"),
            "{failure:?}"
        );
    }

    #[test]
    fn a_virtual_environment_is_told_where_its_installation_is() {
        let text = "home = /shared/bin\nversion = 3.12\n";
        let folder = tempfile::tempdir().expect("temporary folder");
        fs::create_dir_all(folder.path().join("env")).expect("make");
        let file = folder.path().join("env/pyvenv.cfg");
        fs::write(&file, text).expect("write");
        let now = || {
            join_base(folder.path(), Path::new("/tmp/place")).expect("joined");
            fs::read_to_string(&file).expect("there")
        };
        assert_eq!(now(), text);
        fs::create_dir(folder.path().join("base")).expect("make");
        assert_eq!(now(), "home = /tmp/place/base/bin\nversion = 3.12\n");
    }

    #[test]
    fn the_library_that_a_python_is_in_is_found_in_a_folder_without_others() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let tree = folder.path();
        link_libraries(tree).expect("nothing to do");
        assert!(!tree.join(LIBRARIES).exists());
        for (name, content) in [("base/lib/libpython3.12.so.1.0", "base"), ("env/lib/libpython3.12.so.1.0", "env")] {
            fs::create_dir_all(tree.join(name).parent().expect("a folder")).expect("make");
            fs::write(tree.join(name), content).expect("write");
        }
        fs::write(tree.join("base/lib/libssl.so"), "").expect("write");
        link_libraries(tree).expect("linked");
        let names: Vec<_> =
            fs::read_dir(tree.join(LIBRARIES)).expect("there").map(|entry| entry.expect("one").file_name()).collect();
        assert_eq!(names, ["libpython3.12.so.1.0"]);
        assert_eq!(fs::read(tree.join(LIBRARIES).join(&names[0])).expect("a link that leads there"), b"base");
    }

    #[test]
    fn nothing_is_written_outside_of_the_folder() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let to = folder.path().join("to");
        fs::create_dir(&to).expect("make");
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, "out", folder.path()).expect("a link");
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        builder.append_data(&mut header, "out/file", &b"x"[..]).expect("a file");
        assert!(tar(builder.into_inner().expect("bytes").as_slice(), &to).is_err());
        assert!(!folder.path().join("file").exists());
    }
}
