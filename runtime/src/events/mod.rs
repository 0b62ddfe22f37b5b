//! What happens in a cluster, for those who look on.
//!
//! 1. `wire::message::happened`: the events.
//! 2. [`chunk`]: many of them as bytes, in which they are kept and sent.
//! 3. [`scene`]: the state that a series of events leads to, and the shortest series that leads there.
//! 4. [`ring`]: the last events, and a scene of what was before them.
//! 5. [`told`]: events as users are told of them; [`timeline`]: as a picture that other programs show.

pub mod chunk;
pub mod ring;
pub mod scene;
pub mod timeline;
pub mod told;

pub use ring::{Kept, Ring};
pub use scene::Scene;
pub use timeline::Timeline;
pub use told::Teller;
