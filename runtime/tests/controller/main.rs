//! The controller's core under random orders of events, against models of engines and clients.
//!
//! What must hold whatever happens: each target of each request gets exactly one final answer; nothing is sent to a
//! connection that is gone; an engine is never given what it gave back while it has it, nor a balanced task that may
//! not go to it, that it said it cannot do, that it would not finish before its end, or that was made after one that
//! waits for the same engines; one that is being retired is
//! given nothing, and told to end once it has done everything; what a client aborts is answered, or the client is told
//! that it has begun; what a client that was killed has at engines is taken back unless it has begun; nothing is held in the
//! end.
//!
//! 1. `model`: what an engine and a client know; `world`: a controller with these around it.
//! 2. `acting`: what they do; `received`: what they may be sent; `looking`: what those see who look on; `settle`: what must hold in the end.
//! 3. `steps`: what can happen; `any_order`: whatever happens, in any order.
//! 4. One situation a test: `balancing`, `terms`, `unmet`, `ending`, `exits`, `leaving`, `losses`, `answers`, `peers`, `bugs`.

mod acting;
mod answers;
mod any_order;
mod balancing;
mod bugs;
mod ending;
mod exits;
mod leaving;
mod looking;
mod losses;
mod model;
mod peers;
mod received;
mod settle;
mod steps;
mod terms;
mod unmet;
mod world;
