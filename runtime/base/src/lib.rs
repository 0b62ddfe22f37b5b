//! What the runtime and the launcher both name: the numbers of engines and tasks, where a cluster keeps its files, and the
//! file by which a peer finds a controller; how many cores there are for them. Knows no socket and no profile.
//!
//! 1. [`ids`]: newtypes for the numbers that identify things.
//! 2. [`places`]: where a cluster keeps its files, and how they are made private.
//! 3. [`cores`]: how many cores a process may use.
//! 4. [`process`]: what the kernel tells of processes.
//! 5. [`words`]: text as people may be shown it.
//! 6. [`connection`]: the file by which a peer finds a controller and is admitted.

pub mod connection;
pub mod cores;
pub mod ids;
pub mod places;
pub mod process;
pub mod words;
