//! `engines.stage`: the environment of the engines on a disk of each host, of which only one host has read it from where
//! it is installed.
//!
//! Responsible for what a launcher knows of that. What is done on a host is `ipclusterz stage`, in the command's crate.
//!
//! - [`order`]: what a host is told, and what it says
//! - [`words`]: the shell before it, and before engines in jobs
//! - [`board`]: which host reads the environment, and which have it from whom; pure

pub mod board;
pub mod order;
pub mod words;
