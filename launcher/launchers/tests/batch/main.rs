//! Jobs of real queues. Each test starts a queue in a folder of its own and ends it.
//!
//! A shell script stands in for Python: what an engine does is tested elsewhere.

mod gridengine;
mod jobs;
mod played;
mod player;
mod slurm;
