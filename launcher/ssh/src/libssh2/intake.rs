//! Lets libssh2 read what has arrived, even when there is no channel to read from.
//!
//! libssh2 reads from its socket only when some channel is read, and a session may have none. So one channel is kept
//! for this. It is opened and closed when the session begins but not freed, so that for the host, which counts open
//! sessions, it does not exist any more. `ssh2` answers reads of a closed channel without asking libssh2; hence the
//! direct calls of libssh2.

use libssh2_sys as raw;
use ssh2::{ErrorCode, Session};
use std::ptr::NonNull;

/// The channel that is kept.
pub struct Intake {
    session: Session,
    channel: NonNull<raw::LIBSSH2_CHANNEL>,
}

impl Intake {
    /// Opens and closes the channel. The session must be in blocking mode.
    pub fn open(session: &Session) -> Result<Self, ssh2::Error> {
        const KIND: &[u8] = b"session";
        let locked = session.raw();
        let session_pointer = std::ptr::from_ref(&*locked).cast_mut();
        // SAFETY: the session is alive and locked; the kind is as long as we say, and there is no message.
        let channel = unsafe {
            raw::libssh2_channel_open_ex(
                session_pointer,
                KIND.as_ptr().cast(),
                KIND.len() as u32,
                raw::LIBSSH2_CHANNEL_WINDOW_DEFAULT,
                raw::LIBSSH2_CHANNEL_PACKET_DEFAULT,
                std::ptr::null(),
                0,
            )
        };
        drop(locked);
        let failed = || ssh2::Error::last_session_error(session).unwrap_or_else(ssh2::Error::unknown);
        let intake = Self { session: session.clone(), channel: NonNull::new(channel).ok_or_else(failed)? };
        let locked = session.raw();
        // SAFETY: the channel belongs to this session, which is alive and locked.
        let code = unsafe { raw::libssh2_channel_close(intake.channel.as_ptr()) };
        drop(locked);
        if code == 0 { Ok(intake) } else { Err(ssh2::Error::from_errno(ErrorCode::Session(code))) }
    }

    /// Reads what has arrived. Fails with EAGAIN when libssh2 has to send an answer and cannot; then it must be called
    /// again.
    pub fn read_socket(&self) -> Result<(), ssh2::Error> {
        let mut buffer = [0_u8; 16];
        let locked = self.session.raw();
        // SAFETY: the channel belongs to this session, which is alive and locked; the buffer is as long as we say.
        let read =
            unsafe { raw::libssh2_channel_read_ex(self.channel.as_ptr(), 0, buffer.as_mut_ptr().cast(), buffer.len()) };
        drop(locked);
        match i32::try_from(read) {
            Ok(code) if code < 0 => Err(ssh2::Error::from_errno(ErrorCode::Session(code))),
            _ => Ok(()),
        }
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        let _locked = self.session.raw();
        // SAFETY: the channel belongs to this session, which is alive and locked, and is not used again.
        unsafe { raw::libssh2_channel_free(self.channel.as_ptr()) };
    }
}
