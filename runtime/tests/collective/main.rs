//! The rule by which requests of groups are ordered, against a model of engines that block in collectives.
//!
//! Clients send requests for any groups at any time, engines are slow, busy, fail, die and come back. What must hold:
//! whoever is there is never left waiting for somebody who waits for it in turn, or who has left what it waits in; calls
//! of a communicator that meet are of one request; a request of one epoch is never done in another; each target gets
//! exactly one answer.

mod model;
mod orders;
