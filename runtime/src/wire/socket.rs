//! Access to libzmq's sockets that the zmq crate does not give.

use std::ffi::{CStr, CString, c_int, c_void};
use std::io;

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

/// Binds a socket. By libzmq itself: the zmq crate panics for errors that it has no name for, such as those of a full disk.
pub(crate) fn bind(socket: &zmq::Socket, endpoint: &str) -> io::Result<()> {
    let endpoint = CString::new(endpoint)?;
    // SAFETY: the text ends with a zero and lives through the call.
    if unsafe { zmq_sys::zmq_bind(socket_pointer(socket), endpoint.as_ptr()) } == 0 {
        return Ok(());
    }
    // SAFETY: reads this thread's errno; the text is a constant of libzmq or the C library's.
    let (number, text) = unsafe {
        let number = zmq_sys::zmq_errno();
        (number, CStr::from_ptr(zmq_sys::zmq_strerror(number)).to_string_lossy().into_owned())
    };
    // libzmq numbers its own errors from here on.
    Err(if number < zmq_sys::ZMQ_HAUSNUMERO.cast_signed() {
        io::Error::from_raw_os_error(number)
    } else {
        io::Error::other(text)
    })
}

/// Sets an option that the zmq crate has no method for.
pub(crate) fn set_int_option(socket: &zmq::Socket, option: c_int, value: c_int) -> Result<(), zmq::Error> {
    // SAFETY: the value is an int that lives through the call.
    let result = unsafe {
        zmq_sys::zmq_setsockopt(socket_pointer(socket), option, (&raw const value).cast::<c_void>(), size_of::<c_int>())
    };
    if result < 0 { Err(last_error()) } else { Ok(()) }
}
