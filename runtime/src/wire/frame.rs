//! One frame of a message: bytes that libzmq owns and shares by reference.
//!
//! `zmq::Message` can neither be shared nor wrap memory that somebody else frees; both are what lets the
//! controller send one upload to a hundred engines, and a mapped segment to an engine far away, without a copy.

use super::sharing;
use super::socket::{last_error, socket_pointer};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cell::UnsafeCell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;
use zmq_sys::zmq_msg_t;

/// One frame. Cloning shares the bytes. Not for two threads at once, since libzmq counts references in the
/// message itself; it may move from one thread to another.
pub struct Frame(UnsafeCell<zmq_msg_t>);

// SAFETY: a message has no tie to a thread; its shared content is counted atomically by libzmq.
unsafe impl Send for Frame {}

impl Frame {
    /// An empty frame.
    pub fn new() -> Frame {
        // SAFETY: zmq_msg_t is plain bytes that zmq_msg_init fills in; it cannot fail.
        unsafe {
            let mut raw: zmq_msg_t = std::mem::zeroed();
            zmq_sys::zmq_msg_init(&mut raw);
            Frame(UnsafeCell::new(raw))
        }
    }

    /// A frame of `length` zero bytes, or none when there is no memory for it.
    pub fn zeroed(length: usize) -> Option<Frame> {
        let frame = Frame::allocate(length)?;
        // SAFETY: just allocated with `length` bytes and not shared.
        unsafe { std::ptr::write_bytes(frame.data(), 0, length) };
        Some(frame)
    }

    fn allocate(length: usize) -> Option<Frame> {
        // SAFETY: as in `new`; on failure nothing was allocated.
        unsafe {
            let mut raw: zmq_msg_t = std::mem::zeroed();
            (zmq_sys::zmq_msg_init_size(&mut raw, length) == 0).then(|| Frame(UnsafeCell::new(raw)))
        }
    }

    /// A copy of `bytes`, or none when there is no memory for it.
    pub fn copy_from(bytes: &[u8]) -> Option<Frame> {
        let frame = Frame::allocate(bytes.len())?;
        // SAFETY: both are valid for bytes.len() bytes and the new one overlaps nothing.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), frame.data(), bytes.len()) };
        Some(frame)
    }

    /// The bytes of these frames, `length` in all, or none when there is no memory for them. Each is let go as soon as it was
    /// copied.
    pub fn joined(frames: Vec<Frame>, length: usize) -> Option<Frame> {
        let whole = Frame::allocate(length)?;
        let mut end = 0_usize;
        for frame in frames {
            let bytes = frame.get(..length.saturating_sub(end)).unwrap_or(&frame);
            // SAFETY: both are valid for so many bytes, which end within `length`, and the new one overlaps nothing.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), whole.data().add(end), bytes.len()) };
            end = end.saturating_add(bytes.len());
        }
        Some(whole)
    }

    /// A frame over memory that `owner` keeps alive; `owner` is dropped, in any thread, when the last reference is.
    pub fn from_owner<T: AsRef<[u8]> + Send + 'static>(owner: T) -> Frame {
        unsafe extern "C" fn release<T>(_data: *mut c_void, hint: *mut c_void) {
            // SAFETY: `hint` is the box leaked below, and libzmq calls this once.
            drop(unsafe { Box::from_raw(hint.cast::<T>()) });
        }
        let owner = Box::new(owner);
        let bytes = (*owner).as_ref();
        let (data, length) = (bytes.as_ptr().cast_mut().cast::<c_void>(), bytes.len());
        let hint = Box::into_raw(owner).cast::<c_void>();
        // SAFETY: the memory stays valid until `release` is called. Nobody writes through a shared frame.
        unsafe {
            let mut raw: zmq_msg_t = std::mem::zeroed();
            if zmq_sys::zmq_msg_init_data(&mut raw, data, length, Some(release::<T>), hint) != 0 {
                // No memory for a few bytes: as where Rust has none.
                std::alloc::handle_alloc_error(std::alloc::Layout::new::<zmq_msg_t>());
            }
            Frame(UnsafeCell::new(raw))
        }
    }

    fn raw(&self) -> *mut zmq_msg_t {
        self.0.get()
    }

    fn data(&self) -> *mut u8 {
        // SAFETY: initialised message.
        unsafe { zmq_sys::zmq_msg_data(self.raw()).cast() }
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        // SAFETY: initialised message.
        unsafe { zmq_sys::zmq_msg_size(self.raw()) }
    }

    /// No bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Start of the bytes, for a holder that knows it is the only one to write through it.
    pub fn as_mut_ptr(&self) -> *mut u8 {
        self.data()
    }

    /// What the transport knows of the sender (`User-Id`, `Peer-Address`, …).
    pub fn property(&self, name: &CStr) -> Option<&str> {
        // SAFETY: initialised message; the string lives as long as the message.
        unsafe {
            let value: *const c_char = zmq_sys::zmq_msg_gets(self.raw(), name.as_ptr());
            if value.is_null() { None } else { CStr::from_ptr(value).to_str().ok() }
        }
    }

    /// Sends the frame; on failure it is dropped.
    pub fn send(self, socket: &zmq::Socket, flags: c_int) -> Result<(), zmq::Error> {
        // SAFETY: the socket is borrowed, so it is open and no other thread uses it; on success libzmq has
        // taken the content and left an empty message, which drop closes.
        let sent = unsafe { zmq_sys::zmq_msg_send(self.raw(), socket_pointer(socket), flags) };
        if sent < 0 { Err(last_error()) } else { Ok(()) }
    }

    /// Receives one frame, and whether another of the same message follows.
    pub fn receive(socket: &zmq::Socket, flags: c_int) -> Result<(Frame, bool), zmq::Error> {
        let frame = Frame::new();
        // SAFETY: as in `send`.
        unsafe {
            if zmq_sys::zmq_msg_recv(frame.raw(), socket_pointer(socket), flags) < 0 {
                return Err(last_error());
            }
            let more = zmq_sys::zmq_msg_more(frame.raw()) != 0;
            Ok((frame, more))
        }
    }
}

impl Default for Frame {
    fn default() -> Self {
        Frame::new()
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        // SAFETY: initialised message, closed once. It fails only for an uninitialised one.
        unsafe { zmq_sys::zmq_msg_close(self.raw()) };
    }
}

impl Clone for Frame {
    fn clone(&self) -> Self {
        let copy = Frame::new();
        // SAFETY: both are initialised; `copy` gives up its empty content.
        unsafe { zmq_sys::zmq_msg_copy(copy.raw(), self.raw()) };
        copy
    }
}

impl Deref for Frame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self.len() {
            0 => &[],
            // SAFETY: libzmq's data is valid for its length as long as the message lives.
            length => unsafe { std::slice::from_raw_parts(self.data(), length) },
        }
    }
}

impl From<Vec<u8>> for Frame {
    /// Takes the vector's memory, or copies it where that is cheaper.
    fn from(bytes: Vec<u8>) -> Self {
        const CHEAP_TO_COPY: usize = 1024;
        if bytes.len() <= CHEAP_TO_COPY
            && let Some(frame) = Frame::copy_from(&bytes)
        {
            return frame;
        }
        Frame::from_owner(bytes)
    }
}

impl From<&[u8]> for Frame {
    fn from(bytes: &[u8]) -> Self {
        Frame::from(bytes.to_vec())
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Frame({} bytes)", self.len())
    }
}

impl PartialEq for Frame {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

/// Where a state is written down, only frames of so many bytes are written once: smaller ones are not shared in memory either.
const SHARED_MIN: usize = 64;

impl Serialize for Frame {
    /// The bytes, the number of a frame with the same memory, or where it is kept and its length: see [`sharing`].
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (address, size) = (self.data() as usize, self.len());
        if size < SHARED_MIN {
            return serializer.serialize_bytes(self);
        }
        if let Some(number) = sharing::number_of(address, size) {
            return serializer.serialize_u64(number);
        }
        let elsewhere = sharing::elsewhere().and_then(|elsewhere| elsewhere.number_of(self));
        let done = match elsewhere {
            Some(number) => (number, size as u64).serialize(serializer)?,
            None => serializer.serialize_bytes(self)?,
        };
        sharing::written(address, size);
        Ok(done)
    }
}

struct Bytes;

impl<'de> Visitor<'de> for Bytes {
    type Value = Frame;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the bytes of a frame, or the number of one that was there before")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Frame, E> {
        let frame = sharing::recall::<Frame>(number);
        frame.map(|frame| Frame::clone(&frame)).ok_or_else(|| E::custom(format!("there is no frame {number}")))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Frame, A::Error> {
        let (number, length) = (seq.next_element::<u64>()?, seq.next_element::<u64>()?);
        let found = number
            .zip(length.and_then(|length| usize::try_from(length).ok()))
            .and_then(|(number, length)| sharing::elsewhere()?.frame(number, length)?.downcast::<Frame>().ok());
        let frame = found.ok_or_else(|| A::Error::custom(format!("the frame {number:?} is not where it was kept")))?;
        sharing::remember(Rc::clone(&frame));
        Ok(Frame::clone(&frame))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Frame, E> {
        let frame = Frame::copy_from(bytes).ok_or_else(|| E::custom("there is no memory for a frame"))?;
        if bytes.len() >= SHARED_MIN {
            sharing::remember(Rc::new(frame.clone()));
        }
        Ok(frame)
    }
}

impl<'de> Deserialize<'de> for Frame {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn clones_share_and_the_owner_goes_with_the_last_one() {
        struct Owner(Arc<Vec<u8>>);
        impl AsRef<[u8]> for Owner {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        let bytes = Arc::new(vec![7_u8; 100_000]);
        let frame = Frame::from_owner(Owner(Arc::clone(&bytes)));
        let copy = frame.clone();
        assert_eq!(copy.as_ptr(), bytes.as_ptr());
        drop(frame);
        assert_eq!(Arc::strong_count(&bytes), 2);
        drop(copy);
        assert_eq!(Arc::strong_count(&bytes), 1);
    }

    #[test]
    fn small_and_large_frames_keep_their_bytes() {
        for length in [0, 1, 33, 34, 1024, 1025, 1 << 20] {
            let bytes: Vec<u8> = (0..length).map(|index| index as u8).collect();
            let frame = Frame::from(bytes.clone());
            assert_eq!(&*frame, &bytes[..]);
            assert_eq!(frame.clone(), frame);
        }
        assert!(Frame::zeroed(64).is_some_and(|frame| frame.iter().all(|byte| *byte == 0)));
    }
}
