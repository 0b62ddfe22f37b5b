//! What the runtime and the launcher both name: the numbers of engines and tasks, where a cluster keeps its files, and the
//! file by which a peer finds a controller. Knows no socket, no process and no profile.
//!
//! 1. [`ids`]: newtypes for the numbers that identify things.
//! 2. [`places`]: where a cluster keeps its files, and how they are made private.
//! 3. [`connection`]: the file by which a peer finds a controller and is admitted.
//! 4. [`words`]: errors of the operating system in messages.

pub mod connection;
pub mod ids;
pub mod places;
pub mod words;
