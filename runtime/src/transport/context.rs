//! libzmq itself: what it was built with, and settings that hold for a whole process.

/// Why libzmq cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// Without it TCP would be open to everybody.
    #[error("libzmq was built without CURVE (libsodium): TCP connections could not be encrypted or refused")]
    NoCurve,
    /// Needed to know at once that an engine died.
    #[error("libzmq was built without its draft API: broken connections would go unnoticed")]
    NoDraft,
}

/// Refuses a libzmq that lacks what this project relies on.
pub fn check() -> Result<(), ContextError> {
    if zmq::has("curve") != Some(true) {
        return Err(ContextError::NoCurve);
    }
    if zmq::has("draft") != Some(true) {
        return Err(ContextError::NoDraft);
    }
    Ok(())
}

/// Its version.
pub fn version() -> String {
    let (major, minor, patch) = zmq::version();
    format!("{major}.{minor}.{patch}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_libzmq_that_is_built_in_has_what_is_needed() {
        super::check().expect("CURVE and draft API");
        assert!(zmq::has("ipc").is_some_and(|ipc| ipc));
    }
}
