//! The runtime of ipclusterz: everything that moves work between a client and engines, in Rust alone.
//!
//! Parts in reading order. Each uses only parts before it, and of the last three none uses another: `Cargo.toml` lists the
//! layers, and `make check` keeps them.
//!
//! 1. [`ids`]: newtypes for the numbers that identify things.
//! 2. [`places`]: where a cluster keeps its files, and how they are made private.
//! 3. [`system`]: small questions to the operating system.
//! 4. [`connection`]: the file by which a peer finds a controller and is admitted.
//! 5. [`wire`]: messages, frames and segments.
//! 6. [`inspections`]: what engines are doing, asked and answered.
//! 7. [`transport`]: ZeroMQ sockets, keys and heartbeats.
//! 8. [`controller`]: the process between clients and engines.
//! 9. [`engine`]: the side that executes work, as far as it is not Python.
//! 10. [`client`]: the side that submits it, as far as it is not Python.

pub mod client;
pub mod connection;
pub mod controller;
pub mod engine;
pub mod ids;
pub mod inspections;
pub mod places;
pub mod system;
pub mod transport;
pub mod wire;

pub use ids::EngineId;
