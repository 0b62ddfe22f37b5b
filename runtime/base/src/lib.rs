//! What the runtime and the launcher both name: the numbers of engines and tasks, where a cluster keeps its files, and the
//! file by which a peer finds a controller; how many cores there are for them. Knows no socket and no profile.
//!
//! 1. [`ids`]: newtypes for the numbers that identify things.
//! 2. [`places`]: where a cluster keeps its files, and how they are made private.
//! 3. [`cores`]: how many cores a process may use.
//! 4. [`words`]: errors of the operating system in messages.
//! 5. [`connection`]: the file by which a peer finds a controller and is admitted.
//! 6. [`logs`]: lines in bounded files, whatever becomes of the disk.

pub mod connection;
pub mod cores;
pub mod ids;
pub mod logs;
pub mod places;
pub mod words;
