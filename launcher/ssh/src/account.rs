//! The account of this process's user on this host, as ssh sees it: its name and home folder. Also expands `~`.

use std::ffi::CStr;
use std::path::{Path, PathBuf};

/// The account of this process's user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its login name.
    pub name: String,
    /// Its home folder by the account database. The system's `ssh` uses this one, whatever `HOME` says.
    pub home: PathBuf,
}

impl Account {
    /// Reads the account database; falls back to `USER` and `HOME` where that has no answer.
    pub fn of_this_process() -> Self {
        let (name, home) = database_entry().unwrap_or_default();
        let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        let name = Some(name).filter(|name| !name.is_empty()).or_else(|| variable("USER")).unwrap_or_default();
        let home = Some(home).filter(|home| !home.is_empty()).or_else(|| variable("HOME")).unwrap_or_default();
        Self { name, home: PathBuf::from(home) }
    }
}

/// The home folder that `~` stands for: `HOME`, else the account's home.
pub fn home(account: &Account) -> PathBuf {
    std::env::var_os("HOME").filter(|home| !home.is_empty()).map_or_else(|| account.home.clone(), PathBuf::from)
}

/// Replaces a leading `~` of `path` by `home`. `~user` is left alone.
pub fn expand(path: &str, home: &Path) -> PathBuf {
    match path.strip_prefix('~') {
        Some("") => home.to_path_buf(),
        Some(rest) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        _ => PathBuf::from(path),
    }
}

fn database_entry() -> Option<(String, String)> {
    let mut buffer = vec![0_u8; 16 * 1024];
    // SAFETY: passwd is plain data, for which all zeroes is a value.
    let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
    let mut found: *mut libc::passwd = std::ptr::null_mut();
    // SAFETY: all pointers are to live values of ours, and the length is the buffer's.
    let failed = unsafe {
        libc::getpwuid_r(libc::geteuid(), &raw mut entry, buffer.as_mut_ptr().cast(), buffer.len(), &raw mut found)
    };
    if failed != 0 || found.is_null() {
        return None;
    }
    // SAFETY: the call succeeded, so that both are strings in the buffer, which is still there.
    let text = |pointer| unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned();
    Some((text(entry.pw_name), text(entry.pw_dir)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_has_a_name_and_a_home() {
        let account = Account::of_this_process();
        assert!(!account.name.is_empty());
        assert!(account.home.is_absolute());
    }

    #[test]
    fn only_a_leading_tilde_is_the_home() {
        let home = Path::new("/home/me");
        assert_eq!(expand("~/.ssh/id", home), Path::new("/home/me/.ssh/id"));
        assert_eq!(expand("~", home), Path::new("/home/me"));
        assert_eq!(expand("~other/x", home), Path::new("~other/x"));
        assert_eq!(expand("/x/~", home), Path::new("/x/~"));
    }
}
