//! Python's buffers as MPI sees them: an address, a count and a datatype.

use crate::failure::{bad_type, bad_value};
use crate::names;
use mpi::ffi;
use pyo3::exceptions::PyBufferError;
use pyo3::ffi as py_ffi;
use pyo3::prelude::*;
use std::ffi::{CStr, c_int, c_void};

/// What stands in the message of an error.
const VALID: &str = "valid are bool, int8 to int64, uint8 to uint64, float16 to longdouble, complex64 to clongdouble, \
                     bytes, and pairs (value, int32) for minloc and maxloc; in the byte order of this machine";

/// What kinds of operators a type knows (MPI 3.1, section 5.9.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Whole numbers.
    Integer,
    /// Floating-point numbers.
    Float,
    /// Those of two bytes, which are moved as whole numbers.
    Half,
    /// Complex numbers.
    Complex,
    /// True or false.
    Logical,
    /// Pairs of a value and an index.
    Pair,
    /// Bytes without a meaning.
    Byte,
}

/// An MPI datatype, with what Python calls it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Datatype {
    /// The handle.
    pub handle: ffi::MPI_Datatype,
    /// Which operators it has.
    pub family: Family,
    /// Bytes of one element.
    pub size: usize,
}

/// A buffer that MPI may read or write, held until it is dropped.
pub struct View {
    view: Box<py_ffi::Py_buffer>,
    /// Its elements.
    pub datatype: Datatype,
    /// How many.
    pub count: usize,
}

// SAFETY: the memory is that of an exported buffer, which stays where it is while the view is held. Whoever hands one
// buffer to two operations at once is at fault, as MPI's own rules say.
unsafe impl Send for View {}
// SAFETY: as above; a view itself does not change.
unsafe impl Sync for View {}

impl View {
    /// Takes hold of `object`, for reading, or for writing too. `name` is the argument's.
    pub fn of(object: &Bound<'_, PyAny>, writable: bool, name: &str) -> PyResult<View> {
        // SAFETY: Py_buffer is plain data that PyObject_GetBuffer fills in.
        let mut view: Box<py_ffi::Py_buffer> = Box::new(unsafe { std::mem::zeroed() });
        let flags = py_ffi::PyBUF_FORMAT
            | py_ffi::PyBUF_C_CONTIGUOUS
            | if writable { py_ffi::PyBUF_WRITABLE } else { py_ffi::PyBUF_SIMPLE };
        // SAFETY: the object is alive and the view is ours.
        let result = unsafe { py_ffi::PyObject_GetBuffer(object.as_ptr(), &raw mut *view, flags) };
        if result != 0 {
            let error = PyErr::fetch(object.py());
            return Err(refusal(object, writable, name, &error));
        }
        // Released by `Drop`, also when the type is refused below.
        let mut held = View { view, datatype: BYTE, count: 0 };
        let format = match held.view.format.is_null() {
            true => "B",
            // SAFETY: a text with a NUL at its end that lives as long as the view.
            false => unsafe { CStr::from_ptr(held.view.format) }.to_str().unwrap_or("?"),
        };
        let size = usize::try_from(held.view.itemsize).unwrap_or(0);
        let datatype = datatype_of(format, size).ok_or_else(|| {
            bad_type(format!("{name}: MPI has no datatype for elements of format {format:?} ({size} bytes); {VALID}"))
        })?;
        held.count = usize::try_from(held.view.len).unwrap_or(0) / size.max(1);
        held.datatype = datatype;
        Ok(held)
    }

    /// Where it is.
    pub fn address(&self) -> *mut c_void {
        self.view.buf
    }

    /// Where element `index` is.
    pub fn at(&self, index: usize) -> *mut c_void {
        self.view.buf.cast::<u8>().wrapping_add(index * self.datatype.size).cast()
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // Python::attach would panic where the interpreter has ended, with which the memory goes as well.
        Python::try_attach(|_| {
            // SAFETY: filled in by PyObject_GetBuffer, released once, with the GIL held.
            unsafe { py_ffi::PyBuffer_Release(&raw mut *self.view) };
        });
    }
}

fn refusal(object: &Bound<'_, PyAny>, writable: bool, name: &str, error: &PyErr) -> PyErr {
    let type_name = object.get_type().name().map(|name| name.to_string()).unwrap_or_default();
    if !error.is_instance_of::<PyBufferError>(object.py())
        && !error.is_instance_of::<pyo3::exceptions::PyValueError>(object.py())
    {
        return bad_type(format!(
            "{name}: a {type_name} is no buffer; give a numpy array, or use the method with a small letter for other objects"
        ));
    }
    let attribute = |path: &str| -> Option<bool> { object.getattr("flags").ok()?.getattr(path).ok()?.extract().ok() };
    if attribute("c_contiguous") == Some(false) {
        return bad_value(format!("{name}: the array is not C-contiguous; use numpy.ascontiguousarray(...)"));
    }
    if writable && (attribute("writeable") == Some(false) || type_name == "bytes") {
        return bad_value(format!("{name}: the buffer is read-only, and it is to be written to; give a copy of it"));
    }
    if let Ok(dtype) = object.getattr("dtype") {
        return bad_type(format!("{name}: MPI has no datatype for elements of dtype {dtype}; {VALID}"));
    }
    bad_value(format!("{name}: {error}"))
}

const BYTE: Datatype = Datatype { handle: unset(), family: Family::Byte, size: 1 };

/// A handle that is never given to MPI. Handles are integers in MPICH and pointers in Open MPI.
const fn unset() -> ffi::MPI_Datatype {
    // SAFETY: both kinds of handle may be all zeros.
    unsafe { std::mem::zeroed() }
}

/// The datatype for one element in the notation of Python's `struct` module, with numpy's additions.
fn datatype_of(format: &str, size: usize) -> Option<Datatype> {
    let (order, code) = match format.as_bytes() {
        [order @ (b'@' | b'=' | b'<' | b'>' | b'!' | b'|'), ..] => (*order, &format[1..]),
        _ => (b'@', format),
    };
    let foreign = if cfg!(target_endian = "little") { [b'>', b'!'] } else { [b'<', b'<'] };
    if foreign.contains(&order) && size > 1 {
        return None;
    }
    // SAFETY: constants of rsmpi and of the shim.
    let (handle, family) = unsafe {
        match (code, size) {
            ("?", 1) => (ffi::RSMPI_C_BOOL, Family::Logical),
            ("b", 1) => (ffi::RSMPI_INT8_T, Family::Integer),
            ("B", 1) => (ffi::RSMPI_UINT8_T, Family::Integer),
            ("c" | "s", 1) => (names::IPZ_BYTE, Family::Byte),
            ("h" | "i" | "l" | "q" | "n", 2) => (ffi::RSMPI_INT16_T, Family::Integer),
            ("h" | "i" | "l" | "q" | "n", 4) => (ffi::RSMPI_INT32_T, Family::Integer),
            ("h" | "i" | "l" | "q" | "n", 8) => (ffi::RSMPI_INT64_T, Family::Integer),
            ("H" | "I" | "L" | "Q" | "N", 2) => (ffi::RSMPI_UINT16_T, Family::Integer),
            ("H" | "I" | "L" | "Q" | "N", 4) => (ffi::RSMPI_UINT32_T, Family::Integer),
            ("H" | "I" | "L" | "Q" | "N", 8) => (ffi::RSMPI_UINT64_T, Family::Integer),
            // They can be moved. MPICH 4.0 aborts when it adds them, and Open MPI has no type for them.
            ("e", 2) => (ffi::RSMPI_UINT16_T, Family::Half),
            ("f", 4) => (ffi::RSMPI_FLOAT, Family::Float),
            ("d", 8) => (ffi::RSMPI_DOUBLE, Family::Float),
            ("g", 16) => (names::IPZ_LONG_DOUBLE, Family::Float),
            ("Zf", 8) => (ffi::RSMPI_FLOAT_COMPLEX, Family::Complex),
            ("Zd", 16) => (ffi::RSMPI_DOUBLE_COMPLEX, Family::Complex),
            ("Zg", 32) => (names::IPZ_C_LONG_DOUBLE_COMPLEX, Family::Complex),
            _ => return pair_of(code, size),
        }
    };
    Some(Datatype { handle, family, size })
}

/// A structure of a value and an int32 behind it, as C lays it out (MPI 3.1, section 5.9.4).
fn pair_of(code: &str, size: usize) -> Option<Datatype> {
    let fields = code.strip_prefix("T{")?.strip_suffix('}')?;
    // `d:value:i:index:4x`, each perhaps with a sign for the byte order.
    let mut parts = fields.split(':');
    let value = parts.next()?.trim_start_matches(['@', '=', '<', '|']);
    let _name = parts.next()?;
    let index = parts.next()?.trim_start_matches(['@', '=', '<', '|']);
    let padding = |text: &str| {
        let digits = text.trim_end_matches('x');
        match (digits.parse(), text.len() - digits.len()) {
            (Ok(count), 1) => Some(count),
            (Err(_), count) if digits.is_empty() => Some(count),
            _ => None,
        }
    };
    let before: usize = padding(index.strip_suffix('i')?)?;
    let (_name, after) = (parts.next()?, padding(parts.next()?)?);
    let width = match value {
        "h" => 2,
        "i" | "f" => 4,
        "l" | "q" | "d" => 8,
        _ => return None,
    };
    // Where C has the index, and how much it fills up behind it; numpy may leave both unsaid.
    let (place, rest) = (width.max(4), width.max(4) - 4);
    let said = [(before, place - width), (after, rest)].iter().all(|(said, is)| *said == 0 || said == is);
    let packed = before == 0 && place > width && after > 0;
    if parts.next().is_some() || !said || packed || size != place + 4 + rest {
        return None;
    }
    // SAFETY: constants of the shim.
    let handle = unsafe {
        match (value, size) {
            ("f", 8) => names::IPZ_FLOAT_INT,
            ("d", 16) => names::IPZ_DOUBLE_INT,
            ("l" | "q", 16) => names::IPZ_LONG_INT,
            ("i", 8) => names::IPZ_2INT,
            ("h", 8) => names::IPZ_SHORT_INT,
            _ => return None,
        }
    };
    Some(Datatype { handle, family: Family::Pair, size })
}

/// Operators by name, those of MPI 3.1 section 5.9.2.
pub const OPERATORS: [&str; 12] =
    ["sum", "prod", "min", "max", "land", "lor", "lxor", "band", "bor", "bxor", "minloc", "maxloc"];

/// MPI's operator, if it is one for that type.
pub fn operator(name: &str, datatype: Datatype) -> PyResult<ffi::MPI_Op> {
    use Family::{Complex, Float, Half, Integer, Logical, Pair};
    // SAFETY: constants of rsmpi and of the shim.
    let (op, families): (ffi::MPI_Op, &[Family]) = unsafe {
        match name {
            "sum" => (ffi::RSMPI_SUM, &[Integer, Float, Complex]),
            "prod" => (ffi::RSMPI_PROD, &[Integer, Float, Complex]),
            "min" => (ffi::RSMPI_MIN, &[Integer, Float]),
            "max" => (ffi::RSMPI_MAX, &[Integer, Float]),
            "land" => (ffi::RSMPI_LAND, &[Integer, Logical]),
            "lor" => (ffi::RSMPI_LOR, &[Integer, Logical]),
            "lxor" => (ffi::RSMPI_LXOR, &[Integer, Logical]),
            "band" => (ffi::RSMPI_BAND, &[Integer]),
            "bor" => (ffi::RSMPI_BOR, &[Integer]),
            "bxor" => (ffi::RSMPI_BXOR, &[Integer]),
            "minloc" => (names::IPZ_MINLOC, &[Pair]),
            "maxloc" => (names::IPZ_MAXLOC, &[Pair]),
            _ => {
                return Err(bad_value(format!(
                    "op: there is no operator {name:?}; there are {}",
                    OPERATORS.join(", ")
                )));
            }
        }
    };
    if families.contains(&datatype.family) {
        return Ok(op);
    }
    let hint = match datatype.family {
        Logical => "land, lor and lxor are for bool; count with astype(int)",
        Pair => "minloc and maxloc are for pairs",
        Complex => "sum and prod are for complex numbers",
        Half => "it cannot calculate with float16; astype(numpy.float32) first",
        Float => "sum, prod, min and max are for floating-point numbers",
        _ if name.ends_with("loc") => "it needs a structured dtype of a value and an int32",
        _ => "use a dtype of numbers",
    };
    Err(bad_value(format!("op: MPI does not define {name:?} for this dtype; {hint}")))
}

/// A count or a displacement as C has it.
pub fn int(value: usize) -> c_int {
    c_int::try_from(value).unwrap_or(c_int::MAX)
}
