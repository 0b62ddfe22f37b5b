//! A connection between two processes that know the same ticket, for calls that wait: what a bulk connection is to the
//! controller's threads, without them. The stream's own timeouts bound each wait.

use super::secure::{self, ANSWER, Channel, NotAuthentic, PREAMBLE, RECORD_MAX, TAG, Ticket};
use std::io::{self, Read, Write};

/// Most bytes of a record.
pub const PLAIN_MAX: usize = RECORD_MAX - TAG;

/// The connection. What is received was written by who has the ticket's key, in this order, for this connection.
pub struct Sealed<S> {
    stream: S,
    channel: Channel,
    record: Vec<u8>,
}

impl<S: Read + Write> Sealed<S> {
    /// Proves that this side has the key, and has the other side prove it.
    pub fn dial(mut stream: S, ticket: &Ticket) -> io::Result<Self> {
        let (dialled, preamble) = secure::dial(ticket).map_err(not_authentic)?;
        stream.write_all(&preamble)?;
        let mut answer = [0; ANSWER];
        stream.read_exact(&mut answer)?;
        let (channel, _) = dialled.finish(&answer).map_err(not_authentic)?;
        Ok(Self { stream, channel, record: Vec::new() })
    }

    /// The other side of [`Sealed::dial`]. Nothing is answered to who does not name the ticket, or has not its key.
    pub fn accept(mut stream: S, ticket: &Ticket) -> io::Result<Self> {
        let mut preamble = [0; PREAMBLE];
        stream.read_exact(&mut preamble)?;
        if secure::named(&preamble) != Some(ticket.id) {
            return Err(not_authentic(NotAuthentic));
        }
        let (channel, answer) = secure::answer(ticket, &preamble, false).map_err(not_authentic)?;
        stream.write_all(&answer)?;
        Ok(Self { stream, channel, record: Vec::new() })
    }

    /// Sends a record of at most [`PLAIN_MAX`] bytes.
    pub fn send(&mut self, plain: &[u8]) -> io::Result<()> {
        self.record.clear();
        self.channel.seal(plain, &mut self.record).map_err(not_authentic)?;
        self.stream.write_all(&self.record)
    }

    /// Receives the next record into the beginning of `plain`, and says how many bytes it has.
    pub fn receive(&mut self, plain: &mut [u8]) -> io::Result<usize> {
        let mut length = [0; 2];
        self.stream.read_exact(&mut length)?;
        self.record.resize(usize::from(u16::from_be_bytes(length)), 0);
        self.stream.read_exact(&mut self.record)?;
        self.channel.open(&self.record, plain).map_err(not_authentic)
    }
}

fn not_authentic(error: NotAuthentic) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    /// Both ends of a connection; each has its own ticket.
    fn joined(dialler: &Ticket, other: &Ticket) -> (io::Result<Sealed<UnixStream>>, io::Result<Sealed<UnixStream>>) {
        let (here, there) = UnixStream::pair().expect("a pair");
        std::thread::scope(|scope| {
            let dialled = scope.spawn(|| Sealed::dial(here, dialler));
            let accepted = Sealed::accept(there, other);
            (dialled.join().expect("no panic"), accepted)
        })
    }

    #[test]
    fn records_arrive_in_both_directions_as_they_were() {
        let ticket = Ticket::new().expect("chance");
        let (dialled, accepted) = joined(&ticket, &ticket);
        let (mut dialled, mut accepted) = (dialled.expect("let in"), accepted.expect("let in"));
        let (long, mut plain) = (vec![7; PLAIN_MAX], vec![0; PLAIN_MAX]);
        std::thread::scope(|scope| {
            scope.spawn(|| dialled.send(&long).and_then(|()| dialled.send(b"")));
            assert_eq!(accepted.receive(&mut plain).expect("a record"), PLAIN_MAX);
            assert_eq!(accepted.receive(&mut []).expect("an empty record"), 0);
        });
        assert_eq!(plain, long);
        accepted.send(b"back").expect("send");
        assert_eq!(dialled.receive(&mut plain).expect("a record"), 4);
        assert_eq!(&plain[..4], b"back");
    }

    #[test]
    fn who_has_not_the_key_is_not_let_in() {
        let (ticket, stranger) = (Ticket::new().expect("chance"), Ticket::new().expect("chance"));
        for wrong in [stranger.clone(), Ticket { id: ticket.id, ..stranger }] {
            let (dialled, accepted) = joined(&wrong, &ticket);
            assert!(dialled.is_err() && accepted.is_err());
        }
    }
}
