//! This host: its processes, signals, folders, limits and programs, and how a command fails on it.
//!
//! The lowest of the launcher's crates: it knows no profile, no other host and no cluster. In reading order:
//!
//! - [`exit_code`], [`failure`], [`hints`]: what a command that fails reports to a shell and a user
//! - [`identity`]: a process that can be recognised later, and the owner of something on disk
//! - [`system`], [`signals`], [`spawn`], [`marked`]: system calls; signals as events; child processes; marked processes
//! - [`record_file`], [`owned`]: versioned records on disk, folders with an owner
//! - [`limits`], [`python`]: this host's limits, its Python
//! - [`memory_cgroup`], [`out_of_memory`]: cgroups that limit the memory of engines; whether the kernel killed a process for its memory
//! - [`units`], [`shell`], [`suggestion`]: times and sizes; quoting for a shell; "did you mean"
//! - [`stderr`]: a line for the user

pub mod exit_code;
pub mod failure;
pub mod hints;
pub mod identity;
pub mod limits;
pub mod marked;
pub mod memory_cgroup;
pub mod out_of_memory;
pub mod owned;
pub mod python;
pub mod record_file;
pub mod shell;
pub mod signals;
pub mod spawn;
pub mod stderr;
pub mod suggestion;
pub mod system;
pub mod units;
