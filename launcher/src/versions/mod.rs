//! What `ipclusterz --version --verbose` reports: versions of all that makes up an installation. In reading order:
//!
//! - [`built`]: this program and the libraries in it
//! - [`glibc`]: the C library that it needs
//! - [`beside`]: the Python of the engines, the package in it, and the MPI that it is loaded with

pub mod beside;
pub mod built;
pub mod glibc;
