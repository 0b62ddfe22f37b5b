//! An archive, from a host that has it to others, over connections that only hosts of this start can open.
//!
//! # Format
//!
//! Records of [`Sealed`]. The host that wants it sends the hash; the other one answers with the length, eight bytes, big
//! end first, or with an empty record where it has not got it or gives it to many, and sends so many bytes.

use ipclusterz_launchers::stage::order::Secret;
use ipclusterz_runtime::transport::bulk::sealed::{PLAIN_MAX, Sealed};
use ipclusterz_runtime::transport::bulk::secure::Ticket;
use ipclusterz_runtime::transport::handover::{Giver, reach};
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Until a connection is made and both sides have proven that they know the secret.
const CONNECT_PATIENCE: Duration = Duration::from_secs(8);
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

/// Gives the archive, in threads, to whoever asks and knows the secret, for as long as this process lives.
pub fn give(giver: Giver, ticket: Ticket, content: String, archive: PathBuf) -> io::Result<()> {
    let busy = AtomicUsize::new(0);
    let give = move |sealed: &mut Sealed<TcpStream>| {
        give_one(sealed, &content, &archive, &busy).map(ControlFlow::<(), ()>::Continue)
    };
    giver.give(ticket, None, give)
}

fn give_one(sealed: &mut Sealed<TcpStream>, content: &str, archive: &Path, busy: &AtomicUsize) -> io::Result<()> {
    let mut wanted = [0; HASH];
    let length = sealed.receive(&mut wanted)?;
    if wanted.get(..length) != Some(content.as_bytes()) {
        return sealed.send(&[]);
    }
    let others = busy.fetch_add(1, Ordering::Relaxed);
    let given = if others < GIVEN_AT_ONCE { send_all(sealed, archive) } else { sealed.send(&[]) };
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

/// What comes from another host.
pub struct Taken {
    sealed: Sealed<TcpStream>,
    /// Bytes that are still to come.
    pub left: u64,
}

/// Asks the host at any of these addresses for the archive of this hash.
pub fn take(addresses: &[String], ticket: &Ticket, content: &str) -> io::Result<Taken> {
    let mut sealed = reach(addresses, ticket, CONNECT_PATIENCE)?;
    sealed.send(content.as_bytes())?;
    let mut length = [0; 8];
    if sealed.receive(&mut length)? != length.len() {
        return Err(io::Error::other("it has not got the environment, or gives it to many"));
    }
    Ok(Taken { sealed, left: u64::from_be_bytes(length) })
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
        let addresses = vec![format!("127.0.0.1:{}", giver.port())];
        let ticket = ticket(secret).expect("a ticket");
        give(giver, ticket, content.to_owned(), archive.to_path_buf()).expect("a thread");
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
