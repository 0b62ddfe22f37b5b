//! An archive, from a host that has it to others, over connections that only hosts of this start can open.
//!
//! # Format
//!
//! Records of [`Sealed`]. The host that wants it sends the hash; the other one answers with the length, eight bytes, big
//! end first, or with an empty record where it has not got it or gives it to many, and sends so many bytes.

use ipclusterz_host::addresses;
use ipclusterz_launchers::stage::order::Secret;
use ipclusterz_runtime::transport::bulk::sealed::{PLAIN_MAX, Sealed};
use ipclusterz_runtime::transport::bulk::secure::Ticket;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

/// Until a connection is made and both sides have proven that they know the secret.
const CONNECT_PATIENCE: Duration = Duration::from_secs(8);
/// Longest silence of the other side.
const SILENCE: Duration = Duration::from_secs(20);
/// Most connections at once, strangers among them.
const CONNECTIONS: usize = 16;
/// To how many hosts it is given at once: others ask another one, or again.
const GIVEN_AT_ONCE: usize = 3;
/// Bytes of a hash in hexadecimal.
const HASH: usize = 64;

/// The ticket that a secret stands for.
pub fn ticket(secret: &Secret) -> Option<Ticket> {
    Some(Ticket { id: bytes(&secret.id)?, key: bytes(&secret.key)? })
}

fn bytes<const BYTES: usize>(hex: &str) -> Option<[u8; BYTES]> {
    let digits: Vec<u8> = hex.chars().map(|digit| digit.to_digit(16)?.try_into().ok()).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    if digits.len() == 2 * BYTES { bytes.try_into().ok() } else { None }
}

/// A port at which an archive can be had.
pub struct Giver {
    listener: TcpListener,
    port: u16,
}

impl Giver {
    /// Takes a port of this host.
    pub fn new() -> io::Result<Self> {
        let listener = TcpListener::bind("[::]:0").or_else(|_| TcpListener::bind("0.0.0.0:0"))?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }

    /// How other hosts may reach it.
    pub fn addresses(&self) -> Vec<String> {
        addresses::of_this_host().into_iter().map(|host| format!("{host}:{}", self.port)).collect()
    }

    /// Gives the archive, in threads, to whoever asks and knows the secret, for as long as this process lives.
    pub fn give(self, ticket: Ticket, content: String, archive: PathBuf) -> io::Result<()> {
        let shared = Arc::new((ticket, content, archive, AtomicUsize::new(0)));
        let open = Arc::new(AtomicUsize::new(0));
        std::thread::Builder::new().name("giver".to_owned()).spawn(move || {
            for stream in self.listener.incoming() {
                let Ok(stream) = stream else {
                    // Without descriptors for a moment.
                    std::thread::sleep(Duration::from_millis(100));
                    continue;
                };
                if open.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS {
                    open.fetch_sub(1, Ordering::Relaxed);
                    continue;
                }
                let (shared, counted) = (Arc::clone(&shared), Arc::clone(&open));
                let given = std::thread::Builder::new().spawn(move || {
                    let (ticket, content, archive, busy) = &*shared;
                    // Who asked tries another host, and says why.
                    let _ = give_one(stream, ticket, content, archive, busy);
                    counted.fetch_sub(1, Ordering::Relaxed);
                });
                if given.is_err() {
                    open.fetch_sub(1, Ordering::Relaxed);
                }
            }
        })?;
        Ok(())
    }
}

fn give_one(stream: TcpStream, ticket: &Ticket, content: &str, archive: &Path, busy: &AtomicUsize) -> io::Result<()> {
    patient(&stream, CONNECT_PATIENCE)?;
    let quiet = stream.try_clone()?;
    let mut sealed = Sealed::accept(stream, ticket)?;
    patient(&quiet, SILENCE)?;
    let mut wanted = [0; HASH];
    let length = sealed.receive(&mut wanted)?;
    if wanted.get(..length) != Some(content.as_bytes()) {
        return sealed.send(&[]);
    }
    let others = busy.fetch_add(1, Ordering::Relaxed);
    let given = if others < GIVEN_AT_ONCE { send_all(&mut sealed, archive) } else { sealed.send(&[]) };
    busy.fetch_sub(1, Ordering::Relaxed);
    given
}

fn send_all(sealed: &mut Sealed<TcpStream>, archive: &Path) -> io::Result<()> {
    let file = File::open(archive)?;
    let mut left = file.metadata()?.len();
    sealed.send(&left.to_be_bytes())?;
    let mut file = BufReader::with_capacity(1 << 20, file);
    let mut buffer = vec![0; PLAIN_MAX];
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(PLAIN_MAX);
        let part = buffer.get_mut(..most).unwrap_or_default();
        file.read_exact(part)?;
        sealed.send(part)?;
        left = left.saturating_sub(most as u64);
    }
    Ok(())
}

fn patient(stream: &TcpStream, patience: Duration) -> io::Result<()> {
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))
}

/// What comes from another host.
pub struct Taken {
    sealed: Sealed<TcpStream>,
    /// Bytes that are still to come.
    pub left: u64,
}

/// Asks the host at any of these addresses for the archive of this hash.
pub fn take(addresses: &[String], ticket: &Ticket, content: &str) -> io::Result<Taken> {
    let mut sealed = reach(addresses, ticket)?;
    sealed.send(content.as_bytes())?;
    let mut length = [0; 8];
    if sealed.receive(&mut length)? != length.len() {
        return Err(io::Error::other("it has not got the environment, or gives it to many"));
    }
    Ok(Taken { sealed, left: u64::from_be_bytes(length) })
}

/// The first connection that is made, of those to all addresses. One of them may be another host's, seen from here.
fn reach(addresses: &[String], ticket: &Ticket) -> io::Result<Sealed<TcpStream>> {
    let deadline = Instant::now() + CONNECT_PATIENCE;
    let (sender, made) = channel();
    for address in addresses {
        let (address, ticket, sender) = (address.clone(), ticket.clone(), sender.clone());
        std::thread::Builder::new().spawn(move || connect(&address, &ticket, &sender))?;
    }
    drop(sender);
    let mut reason = io::Error::other("it has no addresses");
    while let Ok(result) = made.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        match result {
            Ok(sealed) => return Ok(sealed),
            Err(error) => reason = error,
        }
    }
    Err(reason)
}

fn connect(address: &str, ticket: &Ticket, made: &Sender<io::Result<Sealed<TcpStream>>>) {
    let about = |error: io::Error| io::Error::new(error.kind(), format!("{address}: {error}"));
    let one = |socket| {
        let stream = TcpStream::connect_timeout(&socket, CONNECT_PATIENCE)?;
        patient(&stream, CONNECT_PATIENCE)?;
        stream.set_nodelay(true)?;
        let sealed = Sealed::dial(stream.try_clone()?, ticket)?;
        patient(&stream, SILENCE)?;
        Ok(sealed)
    };
    // Whoever asked may have another one, or have given up.
    match address.to_socket_addrs() {
        Err(error) => drop(made.send(Err(about(error)))),
        Ok(sockets) => sockets.for_each(|socket| drop(made.send(one(socket).map_err(about)))),
    }
}

impl Taken {
    /// Writes all that comes to `output`.
    pub fn write_to(mut self, output: &mut impl Write) -> io::Result<()> {
        let mut buffer = vec![0; PLAIN_MAX];
        while self.left > 0 {
            let length = self.sealed.receive(&mut buffer)?;
            if length == 0 || length as u64 > self.left {
                return Err(io::Error::other("it sent something else than it had said"));
            }
            output.write_all(buffer.get(..length).unwrap_or_default())?;
            self.left = self.left.saturating_sub(length as u64);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Secret {
        use ipclusterz_base::random::random_hex;
        Secret { id: random_hex(16), key: random_hex(32) }
    }

    fn giver(secret: &Secret, content: &str, archive: &Path) -> Vec<String> {
        let giver = Giver::new().expect("a port");
        // Tests run where names and interfaces may lead nowhere.
        let addresses = vec![format!("127.0.0.1:{}", giver.port)];
        giver.give(ticket(secret).expect("a ticket"), content.to_owned(), archive.to_path_buf()).expect("a thread");
        addresses
    }

    #[test]
    fn an_archive_arrives_as_it_is() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (archive, content) = (folder.path().join("archive"), "ab".repeat(32));
        let bytes: Vec<u8> = (0..300_000_u32).map(|number| number.to_le_bytes()[1]).collect();
        std::fs::write(&archive, &bytes).expect("write");
        let secret = secret();
        let addresses = giver(&secret, &content, &archive);
        let taken = take(&addresses, &ticket(&secret).expect("a ticket"), &content).expect("let in");
        assert_eq!(taken.left, bytes.len() as u64);
        let mut arrived = Vec::new();
        taken.write_to(&mut arrived).expect("all of it");
        assert!(arrived == bytes);
        let other = take(&addresses, &ticket(&secret).expect("a ticket"), &"cd".repeat(32));
        assert!(other.err().expect("not there").to_string().contains("has not got"));
    }

    #[test]
    fn strangers_get_nothing_and_keep_nobody_from_it() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (archive, content) = (folder.path().join("archive"), "ab".repeat(32));
        std::fs::write(&archive, b"x").expect("write");
        let own = secret();
        let addresses = giver(&own, &content, &archive);
        assert!(take(&addresses, &ticket(&secret()).expect("a ticket"), &content).is_err());
        let silent = TcpStream::connect(&addresses[0]).expect("a port");
        let mut written = TcpStream::connect(&addresses[0]).expect("a port");
        written.write_all(&[0; 200]).expect("write");
        let all = [&["127.0.0.1:1".to_owned()][..], &addresses].concat();
        assert_eq!(take(&all, &ticket(&own).expect("a ticket"), &content).expect("let in").left, 1);
        assert!(take(&all[..1], &ticket(&own).expect("a ticket"), &content).is_err());
        drop(silent);
    }

    #[test]
    fn an_archive_that_is_cut_off_is_noticed() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (archive, content, secret) = (folder.path().join("archive"), "ab".repeat(32), secret());
        let file = File::create(&archive).expect("make");
        file.set_len(64 << 20).expect("as long");
        let addresses = giver(&secret, &content, &archive);
        let taken = take(&addresses, &ticket(&secret).expect("a ticket"), &content).expect("let in");
        file.set_len(0).expect("cut off");
        assert!(taken.write_to(&mut io::sink()).is_err());
    }

    #[test]
    fn a_secret_is_hexadecimal_and_as_long_as_it_has_to_be() {
        assert!(ticket(&secret()).is_some());
        for (id, key) in
            [("", ""), ("zz", "00"), (&*"0".repeat(32), &*"0".repeat(63)), (&"é".repeat(16), &"0".repeat(64))]
        {
            assert!(ticket(&Secret { id: id.to_owned(), key: key.to_owned() }).is_none(), "{id} {key}");
        }
    }
}
