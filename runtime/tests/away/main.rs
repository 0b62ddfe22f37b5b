//! Engines of other hosts of which nothing is heard any more: how long they are waited for, what becomes of their tasks, and who
//! may say that they have ended.
//!
//! `net`: a controller, and its peers at the other end of a network. One situation a test: `waiting`, `elsewhere`, `limits`, `followed`;
//! and `claimed`: what a client does itself.

mod claimed;
mod elsewhere;
mod followed;
mod limits;
mod net;
mod waiting;
