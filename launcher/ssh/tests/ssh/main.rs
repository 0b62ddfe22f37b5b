//! SSH with real servers. Each test starts its own in a temporary folder; the same tests run on both backends.

mod access;
mod commands;
mod forwards;
mod sshd;
mod tunnel;
