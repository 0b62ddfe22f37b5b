//! What belongs to the process that made it.
//!
//! A fork copies memory, but only the thread that forks: a lock that another thread holds at that moment is never
//! released in the child. So whatever has locks is reached through [`OfProcess`] alone.

use crate::errors;
use ipclusterz_runtime::client::ClientError;
use ipclusterz_runtime::system::process_id;
use pyo3::prelude::*;
use std::mem::ManuallyDrop;

/// A value for the process that made it.
pub struct OfProcess<T> {
    value: ManuallyDrop<T>,
    owner: u32,
}

impl<T> OfProcess<T> {
    /// Belongs to this process.
    pub fn new(value: T) -> Self {
        OfProcess { value: ManuallyDrop::new(value), owner: process_id() }
    }

    /// The process that made it, if this one is a fork of that.
    pub fn forked_from(&self) -> Option<u32> {
        (process_id() != self.owner).then_some(self.owner)
    }

    /// The value, unless this process is a fork.
    pub fn here(&self) -> Option<&T> {
        self.forked_from().is_none().then_some(&*self.value)
    }

    /// The value. `ClientClosed` in a fork.
    pub fn get(&self) -> PyResult<&T> {
        let error = ClientError::Forked(self.owner);
        self.here().ok_or_else(|| Python::attach(|py| errors::of_client(py, &error)))
    }
}

impl<T> Drop for OfProcess<T> {
    /// Does nothing in a fork: sockets and threads are those of the process that made it.
    fn drop(&mut self) {
        if self.forked_from().is_none() {
            // SAFETY: dropped here alone, and not used afterwards.
            unsafe { ManuallyDrop::drop(&mut self.value) };
        }
    }
}
