//! Payloads that go straight from engine to engine.

use crate::buffers::{Buffer, Sources};
use ipclusterz_guard::guarded;
use ipclusterz_runtime::transport::bulk::secure::Ticket;
use ipclusterz_runtime::transport::handover::{Giver, reach, receive_frames, send_frames};
use ipclusterz_runtime::wire::part::Part;
use pyo3::prelude::*;
use pyo3::types::PyList;
use std::io::{self, ErrorKind};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// After so many pieces of 64 KiB is looked whether a signal has come.
const LOOK: u32 = 256;

/// Gives frames to so many that have the ticket, within so many seconds. Where they can be had.
#[guarded]
#[pyfunction]
pub fn give(
    py: Python<'_>,
    frames: &Bound<'_, PyAny>,
    ticket: ([u8; 16], [u8; 32]),
    takers: u32,
    seconds: f64,
) -> PyResult<Vec<String>> {
    let copy = |slices: Vec<&[u8]>| slices.into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>();
    let frames = Sources::hold(frames)?.copy(py, copy);
    let (giver, left) = (Giver::new()?, AtomicU32::new(takers));
    let addresses = giver.addresses();
    let time = Duration::try_from_secs_f64(seconds).map_err(|_| io::Error::from(ErrorKind::InvalidInput))?;
    giver.give(of(ticket), Some(time), move |sealed| {
        send_frames(sealed, &frames)?;
        let is_last = left.fetch_sub(1, Ordering::Relaxed) <= 1;
        Ok(if is_last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(addresses)
}

/// Takes what is given at one of these addresses.
#[guarded]
#[pyfunction]
pub fn take(
    py: Python<'_>,
    addresses: Vec<String>,
    ticket: ([u8; 16], [u8; 32]),
    patience: f64,
) -> PyResult<Py<PyList>> {
    let patience = Duration::try_from_secs_f64(patience).map_err(|_| io::Error::from(ErrorKind::InvalidInput))?;
    let mut raised = None;
    let taken = py.detach(|| {
        let mut sealed = reach(&addresses, &of(ticket), patience)?;
        let mut looked = 0_u32;
        receive_frames(&mut sealed, || {
            looked = looked.wrapping_add(1);
            if !looked.is_multiple_of(LOOK) {
                return Ok(());
            }
            Python::attach(|py| py.check_signals()).map_err(|error| {
                raised = Some(error);
                ErrorKind::Interrupted.into()
            })
        })
    });
    if let Some(error) = raised {
        return Err(error);
    }
    Buffer::list(py, taken?.into_iter().map(Part::Frame).collect())
}

fn of((id, key): ([u8; 16], [u8; 32])) -> Ticket {
    Ticket { id, key }
}
