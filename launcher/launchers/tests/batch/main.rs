//! Jobs of real queues, started by the tests in folders of their own and gone when they end.
//!
//! The part of Python is played by a shell script: what an engine does is tested elsewhere.

mod gridengine;
mod jobs;
mod played;
mod player;
mod slurm;
