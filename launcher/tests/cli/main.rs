//! The real binary, as a shell sees it: exit codes, stdout, stderr, and what is left behind.
//!
//! Engines are shell scripts, because these tests need no Python. The tests with Python are those of the package.

mod bad_input;
mod crash_windows;
mod doctor;
mod journals;
mod life;
mod profiles;
mod queued;
mod restart;
mod start_failures;
mod support;
