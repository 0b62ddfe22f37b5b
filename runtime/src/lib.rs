//! The runtime of ipclusterz: everything that moves work between a client and engines, in Rust alone.
//!
//! Parts in reading order. Each uses only parts before it, and of the last four none uses another: `Cargo.toml` lists the
//! layers, and `make check` keeps them.
//!
//! 1. [`system`]: small questions to the operating system; [`recent`]: what is remembered, and for how long.
//! 2. [`wire`]: messages, frames and segments.
//! 3. [`inspections`]: what engines are doing, asked and answered.
//! 4. [`transport`]: ZeroMQ sockets, keys and heartbeats.
//! 5. [`journal`]: records on disk that outlive this process.
//! 6. [`controller`]: the process between clients and engines.
//! 7. [`engine`]: the side that executes work, as far as it is not Python.
//! 8. [`client`]: the side that submits it, as far as it is not Python.
//! 9. [`agent`]: what the engines of a host share to reach a controller elsewhere.

// Whatever comes from another process must not panic here. What cannot happen is allowed by name, with the reason.
#![cfg_attr(
    not(test),
    warn(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unreachable
    )
)]

pub mod agent;
pub mod client;
pub mod controller;
#[allow(clippy::arithmetic_side_effects, clippy::string_slice, reason = "of deadlines and of text in memory")]
pub mod engine;
pub mod events;
pub mod inspections;
pub mod journal;
pub mod recent;
pub mod system;
#[allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_wrap,
    clippy::indexing_slicing,
    reason = "its numbers are deadlines and places in lists of its own"
)]
pub mod transport;
pub mod wire;
