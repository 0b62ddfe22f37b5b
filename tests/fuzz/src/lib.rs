//! The fuzz targets: functions that take any bytes, feed them to a part of ipclusterz that reads what others wrote, and
//! panic when it does wrong.
//!
//! `scripts/fuzz` builds each as a program of libFuzzer's and runs it; `corpus/` keeps the inputs that reach most. The
//! tests of this crate feed these to the plain functions, so that what was found once stays mended.
//!
//! 1. [`decode`]: a header from the wire.
//! 2. [`handshake`]: what peers may say to a controller, from their first byte on.
//! 3. [`connection_file`]: the file by which a peer finds a controller.
//! 4. [`profile`]: a project's file and `--set` options, with all checks.
//! 5. [`answers`]: what the commands of queues print.
//! 6. [`records`]: `cluster.json`, and what launchers elsewhere report.
//! 7. [`hosts`]: what scripts, `ssh` and shells on other hosts print.

mod answers;
mod connection_file;
mod decode;
mod handshake;
mod hosts;
mod profile;
mod records;

pub use answers::answers;
pub use connection_file::connection_file;
pub use decode::decode;
pub use handshake::handshake;
pub use hosts::hosts;
pub use profile::profile;
pub use records::records;

/// A target.
pub type Target = fn(&[u8]);

/// Every target, by the name of its folder in the corpus.
pub const TARGETS: [(&str, Target); 7] = [
    ("decode", decode),
    ("handshake", handshake),
    ("connection_file", connection_file),
    ("profile", profile),
    ("answers", answers),
    ("records", records),
    ("hosts", hosts),
];
