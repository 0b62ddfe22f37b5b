//! The runtime of ipclusterz: everything that moves work between a client and engines, in Rust alone.
//!
//! Parts in reading order. Each uses only parts before it, and of the last three none uses another: `Cargo.toml` lists the
//! layers, and `make check` keeps them.
//!
//! 1. [`system`]: small questions to the operating system.
//! 2. [`wire`]: messages, frames and segments.
//! 3. [`inspections`]: what engines are doing, asked and answered.
//! 4. [`transport`]: ZeroMQ sockets, keys and heartbeats.
//! 5. [`controller`]: the process between clients and engines.
//! 6. [`engine`]: the side that executes work, as far as it is not Python.
//! 7. [`client`]: the side that submits it, as far as it is not Python.

pub mod client;
pub mod controller;
pub mod engine;
pub mod inspections;
pub mod system;
pub mod transport;
pub mod wire;
