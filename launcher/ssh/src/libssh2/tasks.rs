//! Commands and files of a session, as functions that let other work go on while they wait. [`super::engine`] polls
//! them.

use super::settle::{CallError, Line, YieldOnce};
use crate::ends::Endpoint;
use crate::error::SshError;
use crate::remote::RunOutput;
use ipclusterz_base::places;
use ssh2::{Channel, ErrorCode, FileStat, OpenFlags, OpenType, RenameFlags, Sftp};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// `SSH_FX_NO_SUCH_FILE` and `SSH_FX_NO_SUCH_PATH`.
const NO_SUCH: [ErrorCode; 2] = [ErrorCode::SFTP(2), ErrorCode::SFTP(10)];

/// Opens a channel to the address `to`, as seen from the host.
pub async fn open(line: &Line, to: &Endpoint) -> Result<Channel, ssh2::Error> {
    match to {
        Endpoint::Tcp { host, port } => {
            line.settle_opening(|| line.session.channel_direct_tcpip(host, *port, None)).await
        }
        Endpoint::Unix(path) => {
            let path = path.to_string_lossy();
            line.settle_opening(|| line.session.channel_direct_streamlocal(&path, None)).await
        }
    }
}

/// Runs a command; `None` when it has not exited by `deadline`.
pub async fn run(
    line: &Line,
    command: &str,
    input: &[u8],
    deadline: Instant,
) -> Result<Option<RunOutput>, std::io::Error> {
    let mut channel = line.settle_opening(|| line.session.channel_session()).await?;
    line.settle(|| channel.exec(command)).await?;
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut errors = channel.stderr();
    let mut buffer = vec![0; 64 * 1024];
    let (mut sent, mut end_sent) = (0, false);
    loop {
        let mut moved = false;
        if sent < input.len() {
            // An error means that the command has closed its input. What it made of that is in its exit status.
            match line.attempt(|| channel.write(&input[sent..])) {
                Ok(count) => {
                    sent += count.unwrap_or(0);
                    moved = count.is_some();
                }
                Err(_) => (sent, moved) = (input.len(), true),
            }
        } else if !end_sent {
            end_sent = line.attempt(|| channel.send_eof())?.is_some();
            moved = end_sent;
        }
        for (stream, text) in [(&mut channel as &mut dyn Read, &mut stdout), (&mut errors, &mut stderr)] {
            if let Some(count) = line.attempt(|| stream.read(&mut buffer))? {
                text.extend_from_slice(&buffer[..count]);
                moved |= count > 0;
            }
        }
        if !moved && channel.eof() {
            break;
        }
        if Instant::now() >= deadline {
            line.settle(|| channel.close()).await?;
            return Ok(None);
        }
        if !moved {
            YieldOnce(false).await;
        }
    }
    line.settle(|| channel.close()).await?;
    let signal = channel.exit_signal().is_ok_and(|signal| signal.exit_signal.is_some());
    let status = if signal { 255 } else { channel.exit_status()? };
    Ok(Some(RunOutput { status, stdout, stderr }))
}

/// Writes a file atomically: to a temporary file beside it, which is then renamed.
pub async fn upload(line: &Line, host: &str, path: &str, content: &[u8], mode: u32) -> Result<(), SshError> {
    let failed = |doing| {
        move |error: ssh2::Error| SshError::Transfer {
            host: host.to_owned(),
            path: path.to_owned(),
            doing,
            message: error.message().to_owned(),
        }
    };
    let mut sftp = line.settle_opening(|| line.session.sftp()).await.map_err(failed("opening SFTP for"))?;
    let result = async {
        let place = Path::new(path);
        make_folder(line, &sftp, place).await.map_err(failed("making the folder of"))?;
        let temporary = PathBuf::from(format!("{path}.{}", places::random_hex(4)));
        let written = write(line, &sftp, &temporary, content, mode).await;
        let moved = match written {
            Ok(()) => replace(line, &sftp, &temporary, place).await,
            Err(error) => Err(error),
        };
        if moved.is_err() {
            // The error to report is the one of the write.
            let _ = line.settle(|| sftp.unlink(&temporary)).await;
        }
        moved.map_err(failed("writing"))
    }
    .await;
    let _ = line.settle(|| sftp.shutdown()).await;
    result
}

async fn write(line: &Line, sftp: &Sftp, path: &Path, content: &[u8], mode: u32) -> Result<(), ssh2::Error> {
    let mode = i32::try_from(mode).unwrap_or(0o600);
    let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
    let mut file = line.settle(|| sftp.open_mode(path, flags, mode, OpenType::File)).await?;
    // The host's umask may clear bits of the mode above.
    let permissions =
        FileStat { perm: u32::try_from(mode).ok(), size: None, uid: None, gid: None, atime: None, mtime: None };
    line.settle(|| file.setstat(permissions.clone())).await?;
    let mut sent = 0;
    while sent < content.len() {
        let count = line.settle(|| file.write(&content[sent..])).await.map_err(|error| libssh2_error(line, &error))?;
        sent += count;
    }
    line.settle(|| file.close()).await
}

/// Renames and replaces the target. OpenSSH has an extension for that; with other servers the target is removed first.
async fn replace(line: &Line, sftp: &Sftp, from: &Path, to: &Path) -> Result<(), ssh2::Error> {
    let flags = RenameFlags::OVERWRITE | RenameFlags::ATOMIC | RenameFlags::NATIVE;
    if line.settle(|| sftp.rename(from, to, Some(flags))).await.is_ok() {
        return Ok(());
    }
    let _ = line.settle(|| sftp.unlink(to)).await;
    line.settle(|| sftp.rename(from, to, None)).await
}

/// Creates the folder of `path` and all that are missing above it.
async fn make_folder(line: &Line, sftp: &Sftp, path: &Path) -> Result<(), ssh2::Error> {
    let mut missing = Vec::new();
    let mut folder = path.parent();
    while let Some(path) = folder.filter(|path| !path.as_os_str().is_empty()) {
        match line.settle(|| sftp.stat(path)).await {
            Ok(_) => break,
            Err(error) if NO_SUCH.contains(&error.code()) => missing.push(path),
            Err(error) => return Err(error),
        }
        folder = path.parent();
    }
    for folder in missing.into_iter().rev() {
        line.settle(|| sftp.mkdir(folder, 0o700)).await?;
    }
    Ok(())
}

/// Reads a file.
pub async fn download(line: &Line, host: &str, path: &str) -> Result<Vec<u8>, SshError> {
    let failed = |error: ssh2::Error| {
        if NO_SUCH.contains(&error.code()) {
            return SshError::Missing { host: host.to_owned(), path: path.to_owned() };
        }
        let message = error.message().to_owned();
        SshError::Transfer { host: host.to_owned(), path: path.to_owned(), doing: "reading", message }
    };
    let mut sftp = line.settle_opening(|| line.session.sftp()).await.map_err(failed)?;
    let result = async {
        let place = Path::new(path);
        let mut file =
            line.settle(|| sftp.open_mode(place, OpenFlags::READ, 0, OpenType::File)).await.map_err(failed)?;
        let mut content = Vec::new();
        let mut buffer = vec![0; 128 * 1024];
        loop {
            let count =
                line.settle(|| file.read(&mut buffer)).await.map_err(|error| failed(libssh2_error(line, &error)))?;
            if count == 0 {
                break;
            }
            content.extend_from_slice(&buffer[..count]);
        }
        line.settle(|| file.close()).await.map_err(failed)?;
        Ok(content)
    }
    .await;
    let _ = line.settle(|| sftp.shutdown()).await;
    result
}

/// The error of libssh2 behind an error of the standard library, which has lost its code.
fn libssh2_error(line: &Line, error: &std::io::Error) -> ssh2::Error {
    debug_assert!(!error.would_block());
    ssh2::Error::last_session_error(&line.session).unwrap_or_else(ssh2::Error::unknown)
}
