//! The real binary, as a shell sees it: exit codes, stdout, stderr, and what is left behind.
//!
//! Engines are shell scripts, for these tests need no Python; those with Python are in the tests of the package.

mod bad_input;
mod doctor;
mod life;
mod profiles;
mod queued;
mod start_failures;
mod support;
