//! What the runtime and the launcher both name: the numbers of engines and tasks, where a cluster keeps its files, and the
//! file by which a peer finds a controller; how many cores there are for them. Knows no socket and no profile.
//!
//! 1. [`ids`]: newtypes for the numbers that identify things.
//! 2. [`private`]: files and folders that nobody else can change, and the other ends of unix sockets.
//! 3. [`places`]: where a cluster keeps its files; [`error`]: why one cannot be used.
//! 4. [`cores`], [`random`], [`process`]: how many cores a process may use; random names; what the kernel tells of processes.
//! 5. [`words`]: text as people may be shown it; [`release`]: which release this is, and what it speaks.
//! 6. [`connection`]: the file by which a peer finds a controller and is admitted.
//! 7. [`addresses`]: by which other hosts reach this one.
//! 8. [`logs`]: lines in bounded files, whatever becomes of the disk.

pub mod addresses;
pub mod connection;
pub mod cores;
pub mod error;
pub mod ids;
pub mod logs;
pub mod places;
pub mod private;
pub mod process;
pub mod random;
pub mod release;
pub mod words;
