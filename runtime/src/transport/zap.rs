//! Decides which keys get in, by ZAP (ZeroMQ RFC 27): libzmq asks this socket about every CURVE handshake, and no byte
//! of a peer is looked at before it has the answer.
//!
//! # Format
//!
//! Request: `["1.0", request id, domain, address, identity, "CURVE", public key (32 bytes)]`.
//! Answer: `["1.0", request id, "200" | "400", text, user id, ""]`. The user id (`client` or `engine`) is attached by
//! libzmq to every message of that connection.

use super::multipart;
use ipclusterz_base::connection::Role;
use ipclusterz_base::words::printable;

const ENDPOINT: &str = "inproc://zeromq.zap.01";

/// Answers libzmq's questions.
pub struct Gate {
    socket: zmq::Socket,
    keys: Vec<(Vec<u8>, Role)>,
}

impl Gate {
    /// Lets in the holders of these public keys (32 bytes each), in those roles.
    pub fn new(context: &zmq::Context, keys: Vec<(Vec<u8>, Role)>) -> Result<Gate, zmq::Error> {
        let socket = context.socket(zmq::REP)?;
        socket.set_linger(0)?;
        socket.bind(ENDPOINT)?;
        Ok(Gate { socket, keys })
    }

    /// To be polled for reading.
    pub fn socket(&self) -> &zmq::Socket {
        &self.socket
    }

    /// Answers every question that waits.
    pub fn answer(&self) -> Result<(), zmq::Error> {
        while let Some(request) = multipart::receive(&self.socket)? {
            let field = |index: usize| request.get(index).map_or(&[][..], |frame| &**frame);
            let role =
                self.keys.iter().find(|(key, _)| field(5) == b"CURVE" && same(key, field(6))).map(|(_, role)| *role);
            let name = role.map(|role| role.to_string()).unwrap_or_default();
            let (code, text) = if role.is_some() { ("200", "OK") } else { ("400", "this key is not admitted") };
            if role.is_none() {
                let address = String::from_utf8_lossy(field(3));
                tracing::warn!("a peer at {} has no admitted key", printable(&address));
            }
            let id = field(1).to_vec();
            self.socket.send_multipart([b"1.0", &id[..], code.as_bytes(), text.as_bytes(), name.as_bytes(), b""], 0)?;
        }
        Ok(())
    }
}

/// Compares without telling by its time where two keys differ.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |different, (a, b)| different | (a ^ b)) == 0
}
