//! What of a shared place is taken and what is refused, with files of this user and, as root, of another one.

use ipclusterz_base::error::PlacesError;
use ipclusterz_base::private::{self, Folder, How, Trust};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

const STRANGER: u32 = 65_534;

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
}

fn is_root() -> bool {
    private::effective_user() == 0
}

fn not_private<T: std::fmt::Debug>(result: Result<T, PlacesError>) -> String {
    match result {
        Err(error @ PlacesError::NotPrivate { .. }) => error.to_string(),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_folder_open_to_others_is_refused() {
    let root = tempfile::tempdir().expect("temporary folder");
    let path = root.path().join("a/b");
    private::make_private_dir(&path).expect("fresh folders are private");
    for folder in [root.path().join("a"), path.clone()] {
        assert_eq!(fs::metadata(&folder).expect("made").mode() & 0o777, 0o700);
    }
    chmod(&path, 0o755);
    assert!(not_private(private::make_private_dir(&path)).contains("run: chmod 700 "));
    chmod(&path, 0o700);
    chmod(&root.path().join("a"), 0o777);
    assert!(not_private(Folder::open(&path)).ends_with(&format!("run: chmod o-w {}/a", root.path().display())));
    // As in /tmp: others can make something there, and not move what is ours.
    chmod(&root.path().join("a"), 0o1777);
    Folder::open(&path).expect("private in a sticky folder");
}

#[test]
fn links_are_followed_where_nobody_else_can_have_made_them() {
    let root = tempfile::tempdir().expect("temporary folder");
    let (real, open) = (root.path().join("real"), root.path().join("open"));
    private::make_private_dir(&real.join("in")).expect("make");
    fs::create_dir(&open).expect("create");
    for folder in [root.path(), &open] {
        symlink(&real, folder.join("absolute")).expect("symlink");
        symlink("absolute", folder.join("relative")).expect("symlink");
    }
    chmod(&open, 0o1777);
    for link in ["absolute", "relative"] {
        Folder::open(&root.path().join(link).join("in")).expect(link);
        assert!(not_private(Folder::open(&root.path().join(link))).contains("it is a link"));
        assert!(not_private(Folder::open(&open.join(link).join("in"))).contains("a link in a folder to which every"));
    }
    symlink("circle", root.path().join("circle")).expect("symlink");
    assert!(Folder::open(&root.path().join("circle/in")).is_err());
    Folder::open(&real.join("in/../in")).expect("the folder above is a folder like others");
}

#[test]
fn a_file_is_written_whole_read_back_and_refused_when_everybody_can_change_it() {
    let root = tempfile::tempdir().expect("temporary folder");
    let path = root.path().join("file");
    assert!(private::read(&path, Trust::Ours).expect_err("missing").is_missing());
    private::write_private(&path, b"one").expect("first write");
    private::write_private(&path, b"two").expect("second write");
    assert_eq!(private::read_text(&path, Trust::Ours).expect("read"), "two");
    assert_eq!(fs::metadata(&path).expect("stat").mode() & 0o777, 0o600);
    assert_eq!(private::names(root.path()).expect("list"), ["file"], "no temporary file stays");
    symlink("file", root.path().join("link")).expect("symlink");
    assert_eq!(private::read(&root.path().join("link"), Trust::Ours).expect("read"), b"two");
    for trust in [Trust::Ours, Trust::Named] {
        chmod(&path, 0o666);
        assert!(not_private(private::read(&path, trust)).contains("its mode is 666, so that every user"));
        chmod(&path, 0o644);
        chmod(root.path(), 0o777);
        assert!(not_private(private::read(&path, trust)).contains("its mode is 777"));
        chmod(root.path(), 0o700);
    }
    chmod(root.path(), 0o777);
    for write in [private::write_private(&path, b"x"), private::open_to_write(&path, How::Appending).map(drop)] {
        not_private(write);
    }
}

#[test]
fn what_was_given_as_a_descriptor_is_read() {
    use std::os::fd::AsRawFd;
    let (reader, mut writer) = std::io::pipe().expect("pipe");
    std::io::Write::write_all(&mut writer, b"piped").expect("write");
    drop(writer);
    for folder in ["/dev/fd", "/proc/self/fd"] {
        let path = format!("{folder}/{}", reader.as_raw_fd());
        let read = private::read(Path::new(&path), Trust::Ours).expect("given");
        assert_eq!(read, if folder == "/dev/fd" { &b"piped"[..] } else { b"" });
    }
    assert_eq!(private::read(Path::new("/dev/null"), Trust::Ours).expect("a device"), b"");
}

#[test]
fn a_folder_is_removed_with_all_in_it_and_nothing_that_a_link_leads_to() {
    let root = tempfile::tempdir().expect("temporary folder");
    let (gone, kept) = (root.path().join("gone"), root.path().join("kept"));
    private::make_private_dir(&gone.join("a/b")).expect("make");
    private::make_private_dir(&kept).expect("make");
    fs::write(kept.join("file"), "").expect("write");
    fs::write(gone.join("a/file"), "").expect("write");
    symlink(&kept, gone.join("a/link")).expect("symlink");
    symlink(&kept, root.path().join("link")).expect("symlink");
    for path in [&gone, &root.path().join("link"), &root.path().join("never/was"), &gone] {
        private::remove(path).expect("removed");
    }
    assert_eq!(private::names(root.path()).expect("list"), ["kept"]);
    private::make_private_dir(&kept.join("inside")).expect("make");
    assert!(private::remove(&kept.join("inside/..")).is_err(), "a name that goes up names nothing");
    assert!(kept.join("file").exists());
}

#[test]
fn how_a_file_is_opened_decides_what_becomes_of_it() {
    let root = tempfile::tempdir().expect("temporary folder");
    let path = root.path().join("file");
    let write = |how| {
        let mut file = private::open_to_write(&path, how)?;
        std::io::Write::write_all(&mut file, b"x").expect("write");
        Ok(fs::read_to_string(&path).expect("read").len())
    };
    let lengths = [How::New, How::Appending, How::Kept, How::Emptied].map(|how| write(how).expect("open"));
    assert_eq!(lengths, [1, 2, 2, 1]);
    assert!(matches!(write(How::New), Err(PlacesError::Io { .. })));
    private::open_to_write(&root.path().join("run"), How::NewProgram).expect("open");
    assert_eq!(fs::metadata(root.path().join("run")).expect("stat").mode() & 0o777, 0o700);
}

/// The attack on each kind of place, by a process that may give files away.
#[test]
fn nothing_of_another_user_is_taken_for_ours() {
    if !is_root() {
        return;
    }
    let root = tempfile::tempdir().expect("temporary folder");
    let (tmp, theirs) = (root.path().join("tmp"), root.path().join("tmp/base"));
    private::make_private_dir(&theirs.join("run")).expect("make");
    fs::write(theirs.join("run/file"), "x").expect("write");
    chmod(root.path(), 0o755);
    chmod(&tmp, 0o1777);
    for mode in [0o777, 0o755, 0o700] {
        chmod(&theirs, mode);
        chown(&theirs, Some(STRANGER), None).expect("chown");
        let foreign = |result: Result<(), PlacesError>| {
            let error = result.expect_err("foreign");
            assert!(matches!(&error, PlacesError::Foreign { path, .. } if *path == theirs), "{error}");
        };
        foreign(private::make_private_dir(&theirs.join("run")));
        foreign(private::make_private_dir(&theirs.join("other")));
        foreign(private::read(&theirs.join("run/file"), Trust::Ours).map(drop));
        foreign(private::read(&theirs.join("run/file"), Trust::Named).map(drop));
        foreign(private::write_private(&theirs.join("run/file"), b""));
        foreign(private::names(&theirs).map(drop));
        private::remove(&theirs).expect("not ours, so nothing is left of ours");
        private::remove(&theirs.join("run")).expect("the same");
        assert!(theirs.join("run/file").exists());
    }
    fs::rename(&theirs, root.path().join("real")).expect("rename");
    symlink(root.path().join("real"), &theirs).expect("symlink");
    std::os::unix::fs::lchown(&theirs, Some(STRANGER), None).expect("chown");
    assert!(private::make_private_dir(&theirs.join("run")).is_err());
    assert!(private::make_private_dir(&theirs).is_err());
}

#[test]
fn what_is_found_in_a_private_folder_has_to_be_ours_and_no_link() {
    let root = tempfile::tempdir().expect("temporary folder");
    chmod(root.path(), 0o700);
    let folder = Folder::open(root.path()).expect("private");
    folder.file("file", How::New).expect("made");
    symlink("file", root.path().join("link")).expect("symlink");
    fs::create_dir(root.path().join("folder")).expect("create");
    folder.file("file", How::Read).expect("ours");
    assert!(folder.file("link", How::Read).is_err() && folder.file("folder", How::Read).is_err());
    if is_root() {
        chown(root.path().join("file"), Some(STRANGER), None).expect("chown");
        assert!(folder.file("file", How::Read).is_err());
    }
}
