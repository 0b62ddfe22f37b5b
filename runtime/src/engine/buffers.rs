//! The buffers in which C and Fortran code gathers what it prints. They are written to the descriptors when a task ends, and C's
//! with each line, as on a terminal.

use std::ffi::{CStr, c_int, c_ulonglong, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

unsafe extern "C" {
    #[link_name = "stdout"]
    static STDOUT: *mut libc::FILE;
}

/// The libraries of gfortran, and their function that writes what is in the buffer of a unit.
const FORTRAN: [&CStr; 3] = [c"libgfortran.so.5", c"libgfortran.so.4", c"libgfortran.so.3"];
const FLUSH: &CStr = c"_gfortran_flush_i4";
/// Standard output and error.
const UNITS: [c_int; 2] = [6, 0];

/// What C code prints is seen line by line.
pub(super) fn line_by_line() {
    // SAFETY: the stream is the C library's, which makes the buffer itself.
    unsafe { libc::setvbuf(STDOUT, null_mut(), libc::_IOLBF, 0) };
}

/// Writes what is in the buffers.
pub(super) fn flush() {
    if let Some(flush) = of_fortran() {
        // SAFETY: the function reads the number of a unit, and locks what that has.
        UNITS.iter().for_each(|unit| unsafe { flush(unit) });
    }
    // SAFETY: the stream is the C library's, which locks it.
    unsafe { libc::fflush(STDOUT) };
}

/// The function of the Fortran library, if one is loaded. It is looked for when another library was loaded since.
fn of_fortran() -> Option<unsafe extern "C" fn(*const c_int)> {
    static LOADED: AtomicU64 = AtomicU64::new(0);
    static FOUND: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
    let loaded = loaded();
    if LOADED.swap(loaded, Ordering::Relaxed) != loaded {
        FOUND.store(find(), Ordering::Relaxed);
    }
    let found = FOUND.load(Ordering::Relaxed);
    // SAFETY: the library has a function of this type under that name, and is never unloaded: `find` holds it.
    (!found.is_null()).then(|| unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*const c_int)>(found) })
}

fn find() -> *mut c_void {
    for name in FORTRAN {
        // SAFETY: both names end in a null byte. Only a library that is there already is opened.
        let found = unsafe {
            let library = libc::dlopen(name.as_ptr(), libc::RTLD_NOLOAD | libc::RTLD_LAZY);
            if library.is_null() { null_mut() } else { libc::dlsym(library, FLUSH.as_ptr()) }
        };
        if !found.is_null() {
            return found;
        }
    }
    null_mut()
}

/// How many libraries were loaded until now.
fn loaded() -> u64 {
    unsafe extern "C" fn first(info: *mut libc::dl_phdr_info, _size: usize, count: *mut c_void) -> c_int {
        // SAFETY: the C library gives a valid `info`, and `count` is what it was given below.
        unsafe { *count.cast::<c_ulonglong>() = (*info).dlpi_adds };
        1
    }
    let mut count: c_ulonglong = 0;
    // SAFETY: the function writes one number, which is there as long as this runs.
    unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut count).cast()) };
    count
}
