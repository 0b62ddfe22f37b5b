//! Looks names up and finds out why an address cannot be reached, in threads of its own.
//!
//! Either may take as long as a resolver or a silent network likes. Nobody waits for these threads: they end by
//! themselves, and what they report to a race that is over is dropped.

use super::context::Shortage;
use crate::system::block_all_signals;
use ipclusterz_base::connection::ConnectionFile;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

/// How long an address may take to show why it cannot be reached.
const PATIENCE: Duration = Duration::from_secs(4);
/// Between two attempts to look up a name: where a network comes back, so does its resolver.
const LOOK_UP_AGAIN: Duration = Duration::from_secs(2);

/// Where a connection is made to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A unix socket.
    Socket(PathBuf),
    /// A numeric address.
    Numeric(SocketAddr),
}

impl Target {
    /// None: it has a name that is to be looked up.
    pub fn parse(address: &str) -> Option<Target> {
        if let Some(path) = address.strip_prefix("ipc://") {
            return Some(Target::Socket(PathBuf::from(path)));
        }
        let (host, port) = host_and_port(address)?;
        Some(Target::Numeric(SocketAddr::new(host.parse::<IpAddr>().ok()?, port)))
    }

    /// What libzmq dials.
    pub fn endpoint(&self) -> String {
        match self {
            Target::Socket(path) => format!("ipc://{}", path.display()),
            Target::Numeric(address) => format!("tcp://{address}"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Socket(path) => write!(formatter, "{}", path.display()),
            Target::Numeric(address) => write!(formatter, "{}", address.ip()),
        }
    }
}

/// What a thread found out.
#[derive(Debug)]
pub enum Report {
    /// The numeric addresses of an offered one.
    Found(usize, Vec<Target>),
    /// Its name means nothing here.
    Unknown(usize, String),
    /// Why a connection fails, by the number that `explain` was given.
    Explained(usize, Problem),
}

/// Why a connection fails.
#[derive(Debug, Clone)]
pub struct Problem {
    /// For people.
    pub text: String,
    /// The host answers, and nobody listens there.
    pub nobody_listens: bool,
    /// The cluster has ended for good, and why that is known.
    pub ended: Option<String>,
}

/// Reports to one reader, with a descriptor to be polled.
pub struct Scouts {
    sender: Sender<Report>,
    receiver: Receiver<Report>,
    knocker: Arc<UnixStream>,
    knocks: UnixStream,
}

impl Scouts {
    /// Nobody is under way.
    pub fn new() -> io::Result<Scouts> {
        let (sender, receiver) = mpsc::channel();
        let (knocks, knocker) = UnixStream::pair()?;
        knocks.set_nonblocking(true)?;
        knocker.set_nonblocking(true)?;
        Ok(Scouts { sender, receiver, knocker: Arc::new(knocker), knocks })
    }

    /// To be polled for reading.
    pub fn fd(&self) -> RawFd {
        self.knocks.as_raw_fd()
    }

    /// What came since the last call.
    pub fn reports(&self) -> Vec<Report> {
        let mut bytes = [0; 64];
        while (&self.knocks).read(&mut bytes).is_ok_and(|count| count == bytes.len()) {}
        self.receiver.try_iter().collect()
    }

    /// Looks up the name in an address, again and again while nobody knows it.
    pub fn look_up(&self, offer: usize, address: &str) {
        let Some((host, port)) = host_and_port(address) else {
            return self.post(Report::Unknown(offer, "this is no address: tcp://host:port".to_owned()));
        };
        let host = host.to_owned();
        self.send_out(move |tell| {
            loop {
                let report = match (host.as_str(), port).to_socket_addrs() {
                    Ok(found) => Report::Found(offer, found.map(Target::Numeric).collect()),
                    Err(error) => Report::Unknown(offer, format!("the name is unknown: {error}")),
                };
                let found = matches!(&report, Report::Found(..));
                if !tell(report) || found {
                    return;
                }
                std::thread::sleep(LOOK_UP_AGAIN);
            }
        });
    }

    /// Finds out why connections to `target` fail, which is one that `file` offers.
    pub fn explain(&self, number: usize, target: &Target, file: &ConnectionFile) {
        let (target, file) = (target.clone(), file.clone());
        self.send_out(move |tell| {
            let error = match &target {
                Target::Socket(path) => UnixStream::connect(path).err(),
                Target::Numeric(address) => TcpStream::connect_timeout(address, PATIENCE).err(),
            };
            if let Some(error) = error {
                let nobody = matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound);
                // A network may be down for a while.
                let ended = nobody.then(|| file.ended()).flatten();
                let problem = Problem { text: explanation(&error), nobody_listens: nobody, ended };
                tell(Report::Explained(number, problem));
            }
        });
    }

    fn post(&self, report: Report) {
        // Both ends are here.
        let _ = self.sender.send(report);
        let _ = (&*self.knocker).write(&[0]);
    }

    fn send_out(&self, errand: impl FnOnce(&dyn Fn(Report) -> bool) + Send + 'static) {
        let (sender, knocker) = (self.sender.clone(), Arc::clone(&self.knocker));
        let thread = std::thread::Builder::new().name("ipclusterz-scout".to_owned()).spawn(move || {
            block_all_signals();
            errand(&|report| {
                let heard = sender.send(report).is_ok();
                // When the pipe is full, somebody will look anyway.
                let _ = (&*knocker).write(&[0]);
                heard
            });
        });
        if let Err(error) = thread {
            tracing::warn!("no thread to look at an address: {error}");
        }
    }
}

fn host_and_port(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.strip_prefix("tcp://")?.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    Some((host, port.parse().ok()?))
}

/// In words that say what to look at.
fn explanation(error: &io::Error) -> String {
    if let Some(shortage @ Shortage::Descriptors(_)) = Shortage::of_io(error) {
        return shortage.to_string();
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused: nobody listens there".to_owned(),
        io::ErrorKind::NotFound => "there is no such socket".to_owned(),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            format!("no route from this host: {error}")
        }
        io::ErrorKind::TimedOut => "timed out: the host is down, or a firewall drops what is sent there".to_owned(),
        io::ErrorKind::PermissionDenied => format!("not allowed: {error}"),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn addresses_are_numeric_or_have_names() {
        let numeric = |text: &str| Some(Target::Numeric(text.parse().expect("an address")));
        assert_eq!(Target::parse("tcp://10.0.0.7:10101"), numeric("10.0.0.7:10101"));
        assert_eq!(Target::parse("tcp://[::1]:7"), numeric("[::1]:7"));
        assert_eq!(Target::parse("tcp://::1:7"), numeric("[::1]:7"));
        assert_eq!(Target::parse("tcp://n1:10101"), None);
        assert_eq!(Target::parse("ipc:///a/b"), Some(Target::Socket(PathBuf::from("/a/b"))));
        assert_eq!(numeric("[::1]:7").map(|target| target.endpoint()).as_deref(), Some("tcp://[::1]:7"));
    }

    #[test]
    fn a_name_is_looked_up_and_a_refusal_is_explained() {
        let scouts = Scouts::new().expect("pipe");
        let wait = || {
            let mut items = [zmq::PollItem::from_fd(scouts.fd(), zmq::POLLIN)];
            assert_eq!(zmq::poll(&mut items, 10_000), Ok(1), "a report");
            scouts.reports().pop().expect("a report")
        };
        scouts.look_up(3, "tcp://localhost:10101");
        assert!(matches!(wait(), Report::Found(3, targets) if !targets.is_empty()));
        scouts.look_up(4, "nonsense");
        assert!(matches!(wait(), Report::Unknown(4, _)));
        // Bound and not listened at, so that nobody else does meanwhile.
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = taken.local_addr().expect("its address");
        drop(taken);
        let text = r#"{"version": 1, "role": "client", "cluster": "a", "run_id": "b", "host": "h", "addresses": []}"#;
        let mut file = ConnectionFile::parse(text, Path::new("client.json")).expect("a file");
        scouts.explain(5, &Target::Numeric(address), &file);
        let refused = |why: &Problem| why.text.contains("refused") && why.nobody_listens && why.ended.is_none();
        assert!(matches!(wait(), Report::Explained(5, why) if refused(&why)));
        file.path = Some(PathBuf::from("/nowhere/client.json"));
        scouts.explain(6, &Target::Socket(PathBuf::from("/nowhere/controller.sock")), &file);
        let gone = |why: &Problem| why.text.contains("no such socket") && why.ended.is_some();
        assert!(matches!(wait(), Report::Explained(6, why) if gone(&why)));
    }
}
