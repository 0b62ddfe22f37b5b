//! The agent of a host: the one connection that its engines share to a controller on another host.
//!
//! Each engine has its two connections to the agent, through a unix socket, as it would have them to a controller of its host.
//! What comes over them goes on over the agent's two connections, as strands of these (`wire::strand`), and large frames over
//! its one link (`transport::bulk`): what several engines are sent crosses the network once, and is mapped by each of them. The
//! agent decodes the first header of each connection, and nothing else.
//!
//! It holds nothing that would be lost with it: an engine that loses its connections dials again, without the agent if there is
//! none any more, and goes on where it was. An agent that has lost the controller ends the connections of its engines, and dials
//! again itself.
//!
//! 1. [`core`]: which strand is whose; pure.
//! 2. `reactor`: its sockets.
//! 3. [`run`]: the process, from its start to its end.

pub mod core;
mod reactor;
pub mod run;

pub use run::{AgentConfig, AgentError, Ready, run};
