//! SSH against real servers, which each test starts for itself in a temporary folder; the same tests on both backends.

mod access;
mod commands;
mod forwards;
mod sshd;
mod tunnel;
