//! Frames as Python buffers, and Python buffers as bytes to be sent.

use ipclusterz_guard::guarded;
use ipclusterz_runtime::wire::part::Part;
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use std::ffi::c_int;

/// A received frame. Its memory belongs to it alone: views of it may be written to.
#[pyclass(frozen, module = "ipclusterz._core")]
pub struct Buffer {
    part: Box<Part>,
}

// SAFETY: a frame is read and written through Python buffers alone, which the GIL or the user's own locks order; its
// count of references is not touched after construction.
unsafe impl Sync for Buffer {}

#[guarded]
#[pymethods]
impl Buffer {
    fn __len__(&self) -> PyResult<usize> {
        Ok(self.part.len())
    }

    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("no view to fill in"));
        }
        let part = &slf.get().part;
        let length = isize::try_from(part.len()).map_err(|_| PyBufferError::new_err("too long"))?;
        // SAFETY: `view` is the caller's to fill; the memory lives as long as `slf`, to which the view holds a reference.
        let result = unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), part.as_mut_ptr().cast(), length, 0, flags) };
        if result == 0 { Ok(()) } else { Err(PyErr::fetch(slf.py())) }
    }
}

impl Buffer {
    /// One buffer.
    pub fn of(part: Part) -> Buffer {
        Buffer { part: Box::new(part) }
    }

    /// A list of buffers.
    pub fn list(py: Python<'_>, parts: Vec<Part>) -> PyResult<Py<PyList>> {
        let buffers: PyResult<Vec<Py<Buffer>>> = parts.into_iter().map(|part| Py::new(py, Buffer::of(part))).collect();
        Ok(PyList::new(py, buffers?)?.unbind())
    }
}

/// A Python object's bytes, held until they are copied.
enum Held<'py> {
    Bytes(Bound<'py, PyBytes>),
    View(Box<ffi::Py_buffer>),
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Held::View(view) = self {
            // SAFETY: filled in by PyObject_GetBuffer, released once, with the GIL held as long as 'py lasts.
            unsafe { ffi::PyBuffer_Release(&raw mut **view) };
        }
    }
}

/// The bytes of several Python objects.
pub struct Sources<'py>(Vec<Held<'py>>);

/// Above this it pays to let other threads run while bytes are copied.
const DETACH_MIN: usize = 64 << 10;

impl<'py> Sources<'py> {
    /// Takes hold of every object in a sequence of contiguous buffers.
    pub fn hold(frames: &Bound<'py, PyAny>) -> PyResult<Self> {
        let mut held = Vec::with_capacity(2);
        for frame in frames.try_iter()? {
            held.push(hold(frame?)?);
        }
        Ok(Sources(held))
    }

    /// The bytes.
    pub fn slices(&self) -> Vec<&[u8]> {
        self.0
            .iter()
            .map(|held| match held {
                Held::Bytes(bytes) => bytes.as_bytes(),
                Held::View(view) if view.len == 0 => &[],
                // SAFETY: the view is valid for `len` bytes until it is released.
                Held::View(view) => unsafe {
                    std::slice::from_raw_parts(view.buf.cast::<u8>(), view.len.unsigned_abs())
                },
            })
            .collect()
    }

    /// Copies the bytes with `copy`, without the GIL when there are many.
    pub fn copy<T: Send>(&self, py: Python<'_>, copy: impl FnOnce(Vec<&[u8]>) -> T + Send) -> T {
        let slices = self.slices();
        if slices.iter().map(|slice| slice.len()).sum::<usize>() < DETACH_MIN {
            copy(slices)
        } else {
            py.detach(|| copy(slices))
        }
    }
}

fn hold(object: Bound<'_, PyAny>) -> PyResult<Held<'_>> {
    let object = match object.cast_into::<PyBytes>() {
        Ok(bytes) => return Ok(Held::Bytes(bytes)),
        Err(error) => error.into_inner(),
    };
    // SAFETY: Py_buffer is plain data that PyObject_GetBuffer fills in.
    let mut view: Box<ffi::Py_buffer> = Box::new(unsafe { std::mem::zeroed() });
    // SAFETY: the object is alive, and PyBUF_SIMPLE asks for contiguous bytes.
    let result = unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), &raw mut *view, ffi::PyBUF_SIMPLE) };
    if result == 0 { Ok(Held::View(view)) } else { Err(PyErr::fetch(object.py())) }
}
