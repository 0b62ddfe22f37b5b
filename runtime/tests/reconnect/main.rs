//! A client's core and the controller's, with a network between them that is cut wherever it hurts.
//!
//! What must hold: each request runs once, each of its targets gets exactly one answer, what it wrote arrives once and in
//! order, and nothing is kept in the end.
//!
//! 1. `world`: both cores and two engines, and the network between client and controller.
//! 2. `network`: connections that come, carry messages and are cut; `acting`: what the client and the engines do.
//! 3. `steps`: what can happen; `settle`: what must hold in the end.
//! 4. `cuts`: cut wherever it hurts; `returning`: one situation a test.

mod acting;
mod cuts;
mod network;
mod returning;
mod settle;
mod steps;
mod world;
