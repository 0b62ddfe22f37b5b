//! Whose a file or folder is, and who else could change it.

use rustix::fs::{FileType, Stat};
use std::ffi::CStr;

const STICKY: u32 = 0o1000;
const WRITABLE_BY_GROUP: u32 = 0o020;
const WRITABLE_BY_ALL: u32 = 0o002;
/// Whom a user namespace shows in place of users that it does not know (user_namespaces(7)).
const UNKNOWN_USER: u32 = 65_534;

/// Who may own and change what is along a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// This user and root alone.
    Ours,
    /// The same for the file. Its folders may be other users', who could put nothing but files of theirs there.
    OurFile,
    /// The user has named the file, and so trusts its owner and its group, but not everybody.
    Named,
}

impl Trust {
    /// What holds for the folders on the way to a file.
    pub(super) fn of_folders(self) -> Self {
        if self == Trust::OurFile { Trust::Named } else { self }
    }
}

/// What is wrong with a file or folder.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It belongs to the user with this number.
    Foreign(u32),
    /// This class of users could change it: `o` or `g`, as chmod names them.
    Writable(char),
}

/// Looks at what was `seen` in a folder that has been accepted. `has_list`: whether an access control list says who
/// else may write, which is asked for only if a group may.
pub(super) fn judge(seen: &Stat, folder: &Stat, trust: Trust, has_list: impl Fn() -> bool) -> Result<(), Fault> {
    let own = seen.st_uid == effective_user();
    let others = trust == Trust::Named || is_of_outside(seen.st_uid);
    // In /tmp anybody can make anything, under any name.
    if !own && seen.st_uid != 0 && (!others || is_open_to_all(folder)) {
        return Err(Fault::Foreign(seen.st_uid));
    }
    let kind = FileType::from_raw_mode(seen.st_mode);
    // In a sticky folder nobody can move what belongs to another; a device keeps nothing that is written to it.
    if (kind.is_dir() && seen.st_mode & STICKY != 0) || kind.is_char_device() {
        return Ok(());
    }
    if is_open_to_all(seen) {
        return Err(Fault::Writable('o'));
    }
    // Whom root lets write is for root to say.
    let group = own && trust != Trust::Named && seen.st_mode & WRITABLE_BY_GROUP != 0;
    if group && (!is_private_group(seen.st_gid) || has_list()) { Err(Fault::Writable('g')) } else { Ok(()) }
}

/// Whether everybody may make and change files there.
pub(super) fn is_open_to_all(seen: &Stat) -> bool {
    seen.st_mode & WRITABLE_BY_ALL != 0
}

/// The effective user id of this process.
pub fn effective_user() -> u32 {
    // SAFETY: geteuid cannot fail and touches no memory.
    unsafe { libc::geteuid() }
}

/// Whether the owner is one of those that this process' user namespace does not know, such as root of the host in a
/// container that a user has started.
fn is_of_outside(uid: u32) -> bool {
    let maps = |line: &str| {
        let mut numbers = line.split_ascii_whitespace().map(|number| number.parse::<u64>().unwrap_or(0));
        let (first, _, count) = (numbers.next(), numbers.next(), numbers.next());
        let unknown = u64::from(UNKNOWN_USER);
        first.zip(count).is_some_and(|(first, count)| unknown >= first && unknown - first < count)
    };
    uid == UNKNOWN_USER && std::fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| !map.lines().any(maps))
}

/// Whether the group is this user's own, which systems with an umask of 002 give to each user: the user's first group,
/// which has the user's name and nobody else in it.
fn is_private_group(gid: u32) -> bool {
    let Some((name, own)) = user(effective_user()) else { return false };
    own == gid && group(gid).is_some_and(|(group, members)| group == name && members.iter().all(|one| *one == name))
}

/// `anna (1000)`; the number alone if it has no name.
pub(super) fn user_name(uid: u32) -> String {
    login_name(uid).map_or_else(|| uid.to_string(), |name| format!("{name} ({uid})"))
}

/// `anna`; `None` if this host knows no such user.
pub fn login_name(uid: u32) -> Option<String> {
    user(uid).map(|(name, _)| name)
}

/// The name and the first group of a user.
fn user(uid: u32) -> Option<(String, u32)> {
    let mut buffer = vec![0_u8; 16 << 10];
    // SAFETY: passwd is plain data, for which all zeroes is a value.
    let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
    let mut found: *mut libc::passwd = std::ptr::null_mut();
    // SAFETY: all pointers are valid for writing, and the buffer has the length that is given.
    let result =
        unsafe { libc::getpwuid_r(uid, &raw mut entry, buffer.as_mut_ptr().cast(), buffer.len(), &raw mut found) };
    // SAFETY: the entry was filled in, and its name is a string in the buffer, which still lives.
    (result == 0 && !found.is_null()).then(|| (unsafe { text(entry.pw_name) }, entry.pw_gid))
}

/// The name of a group, and its members other than those whose first group it is.
fn group(gid: u32) -> Option<(String, Vec<String>)> {
    let mut buffer = vec![0_u8; 64 << 10];
    // SAFETY: group is plain data, for which all zeroes is a value.
    let mut entry: libc::group = unsafe { std::mem::zeroed() };
    let mut found: *mut libc::group = std::ptr::null_mut();
    // SAFETY: all pointers are valid for writing, and the buffer has the length that is given.
    let result =
        unsafe { libc::getgrgid_r(gid, &raw mut entry, buffer.as_mut_ptr().cast(), buffer.len(), &raw mut found) };
    if result != 0 || found.is_null() {
        return None;
    }
    let mut members = Vec::new();
    let mut next = entry.gr_mem;
    // SAFETY: the entry was filled in: a list of strings that ends with a null, in the buffer, which still lives.
    unsafe {
        while !next.is_null() && !(*next).is_null() {
            members.push(text(*next));
            next = next.add(1);
        }
        Some((text(entry.gr_name), members))
    }
}

/// # Safety
/// `string` ends with a zero byte.
unsafe fn text(string: *const libc::c_char) -> String {
    // SAFETY: the caller's.
    unsafe { CStr::from_ptr(string) }.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRANGER: u32 = 54_321;

    fn seen(kind: u32, mode: u32, uid: u32, gid: u32) -> Stat {
        // SAFETY: stat is plain data, for which all zeroes is a value.
        let mut stat: Stat = unsafe { std::mem::zeroed() };
        (stat.st_mode, stat.st_uid, stat.st_gid) = (kind | mode, uid, gid);
        stat
    }

    fn own() -> (u32, u32) {
        let uid = effective_user();
        (uid, user(uid).map_or(0, |(_, gid)| gid))
    }

    #[test]
    fn whoever_else_could_change_it_is_named() {
        let (uid, gid) = own();
        let (folder, file) = (libc::S_IFDIR, libc::S_IFREG);
        let in_root = seen(folder, 0o755, 0, 0);
        let in_tmp = seen(folder, 0o1777, 0, 0);
        let ours = |seen: &Stat, inside: &Stat| judge(seen, inside, Trust::Ours, || false);
        for mode in [0o700, 0o755, 0o1777] {
            assert_eq!(ours(&seen(folder, mode, uid, gid), &in_root), Ok(()), "{mode:o}");
        }
        assert_eq!(ours(&seen(folder, 0o777, uid, gid), &in_root), Err(Fault::Writable('o')));
        assert_eq!(ours(&seen(folder, 0o777, 0, 0), &in_root), Err(Fault::Writable('o')));
        assert_eq!(ours(&seen(file, 0o666, uid, gid), &in_root), Err(Fault::Writable('o')));
        assert_eq!(ours(&seen(file, 0o664, uid, STRANGER), &in_root), Err(Fault::Writable('g')));
        assert_eq!(ours(&seen(folder, 0o700, STRANGER, gid), &in_root), Err(Fault::Foreign(STRANGER)));
        assert_eq!(ours(&seen(folder, 0o700, UNKNOWN_USER, gid), &in_tmp), Err(Fault::Foreign(UNKNOWN_USER)));
        assert_eq!(ours(&seen(libc::S_IFCHR, 0o666, 0, 0), &in_root), Ok(()));
    }

    #[test]
    fn a_named_file_may_be_somebody_elses_but_not_everybodys() {
        let in_root = seen(libc::S_IFDIR, 0o755, 0, 0);
        let in_tmp = seen(libc::S_IFDIR, 0o1777, 0, 0);
        let named = |seen: &Stat, inside: &Stat| judge(seen, inside, Trust::Named, || false);
        assert_eq!(named(&seen(libc::S_IFREG, 0o664, STRANGER, STRANGER), &in_root), Ok(()));
        assert_eq!(named(&seen(libc::S_IFREG, 0o644, STRANGER, STRANGER), &in_tmp), Err(Fault::Foreign(STRANGER)));
        assert_eq!(named(&seen(libc::S_IFREG, 0o666, STRANGER, STRANGER), &in_root), Err(Fault::Writable('o')));
    }

    #[test]
    fn a_group_of_ones_own_may_write_unless_a_list_lets_others() {
        let (uid, gid) = own();
        let in_root = seen(libc::S_IFDIR, 0o755, 0, 0);
        let folder = seen(libc::S_IFDIR, 0o775, uid, gid);
        if is_private_group(gid) {
            assert_eq!(judge(&folder, &in_root, Trust::Ours, || false), Ok(()));
        }
        assert_eq!(judge(&folder, &in_root, Trust::Ours, || true), Err(Fault::Writable('g')));
    }
}
