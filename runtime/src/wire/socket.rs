//! Access to libzmq's sockets that the zmq crate does not give.

use std::ffi::{CStr, CString, c_int, c_void};
use std::io;

/// Errors from here on are libzmq's own: ZMQ_HAUSNUMERO.
const LIBZMQ_ERRORS: c_int = 156_384_712;

/// The socket's handle. `as_mut_ptr` wants `&mut`, though a socket is used through `&` everywhere else.
pub(crate) fn socket_pointer(socket: &zmq::Socket) -> *mut c_void {
    // SAFETY: only the pointer is read, and no other reference is used meanwhile (a Socket is not Sync).
    unsafe { (*std::ptr::from_ref(socket).cast_mut()).as_mut_ptr() }
}

/// What the last libzmq call of this thread complained about.
pub(crate) fn last_error() -> zmq::Error {
    // SAFETY: reads this thread's errno.
    zmq::Error::from_raw(unsafe { zmq_sys::zmq_errno() })
}

/// Listens at an address. The zmq crate panics where the kernel has a reason that it does not know, as on a full disk.
pub(crate) fn bind(socket: &zmq::Socket, endpoint: &str) -> io::Result<()> {
    let endpoint = CString::new(endpoint)?;
    // SAFETY: the endpoint ends with a zero, and lives through the call.
    if unsafe { zmq_sys::zmq_bind(socket_pointer(socket), endpoint.as_ptr()) } == 0 {
        return Ok(());
    }
    // SAFETY: reads this thread's errno; the text of a number is static.
    unsafe {
        let errno = zmq_sys::zmq_errno();
        if errno < LIBZMQ_ERRORS {
            return Err(io::Error::from_raw_os_error(errno));
        }
        Err(io::Error::other(CStr::from_ptr(zmq_sys::zmq_strerror(errno)).to_string_lossy()))
    }
}

/// Sets an option that the zmq crate has no method for.
pub(crate) fn set_int_option(socket: &zmq::Socket, option: c_int, value: c_int) -> Result<(), zmq::Error> {
    // SAFETY: the value is an int that lives through the call.
    let result = unsafe {
        zmq_sys::zmq_setsockopt(socket_pointer(socket), option, (&raw const value).cast::<c_void>(), size_of::<c_int>())
    };
    if result < 0 { Err(last_error()) } else { Ok(()) }
}
