//! The whole cluster in one thread: the controller with its journal, clients and engines with their sessions, and the network
//! between them. Everything may die, break or lose power at any moment.
//!
//! The model knows what users were told, which tasks were begun, and nothing else. In the end all that live have come back, and
//! then: each target of each request has exactly one answer, and it is its own; nothing ran twice that may not; what was
//! `received` is known; engines have their ids; and nothing is kept for anybody.
//!
//! 1. `world`: all of it; `peers`: a client or an engine, with the state that its process has.
//! 2. `disk`: the journal as bytes; `process`: the controller's process: events are handled, recorded, written, and then what
//!    follows from them is done; `deaths`: it dies in the middle of that, and another one goes on.
//! 3. `links`: connections that come, carry messages and are cut; `hearing`: what arrives at a peer.
//! 4. `clients` and `engines`: what they do; `lives`: processes that end, and others that come.
//! 5. `truth`: what the model knows; `runs`: how often each task ran, and why it may have; `remembered`: what the history has.
//! 6. `steps`: what can happen, `history`: histories of that at random; `settle`: how they end; `verdict`: what must hold then.
//! 7. `found`: histories that have shown a fault; `recorded`: journals that were written once.
//!
//! `HISTORIES=1000000 cargo test --release --test durable` plays more of them.

mod clients;
mod deaths;
mod disk;
mod engines;
mod found;
mod hearing;
mod history;
mod links;
mod lives;
mod peers;
mod process;
mod recorded;
mod remembered;
mod runs;
mod settle;
mod steps;
mod truth;
mod verdict;
mod world;
