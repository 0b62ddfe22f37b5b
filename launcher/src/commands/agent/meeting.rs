//! Where processes of a host meet that would each start an agent for the same engines, so that there is one.
//!
//! It is the name of a unix socket in the abstract namespace. The kernel gives a name to one process of a host at a time, and
//! takes it back when that ends. Whoever has it is the agent; whoever connects is sent the line that it has announced.

use ipclusterz_base::private::check_peer;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::{Duration, Instant};

/// Longer than any line.
const LINE_MAX: u64 = 1 << 16;
/// How long one that asks may take to be sent a line: longer than any takes that runs.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who is the agent.
pub enum Meeting {
    /// Another process, which has announced this.
    Theirs(String),
    /// This one. Others that ask wait until they are told.
    Ours(UnixListener),
}

/// Meets the others that come under this name; waits until the one that is the agent has announced where it is.
pub fn meet(name: &str, deadline: Instant) -> io::Result<Meeting> {
    let address = SocketAddr::from_abstract_name(name)?;
    loop {
        match UnixListener::bind_addr(&address) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            bound => return bound.map(Meeting::Ours),
        }
        if let Some(line) = ask(&address, deadline)? {
            return Ok(Meeting::Theirs(line));
        }
        // It has ended without a word, and its name is free.
    }
}

fn ask(address: &SocketAddr, deadline: Instant) -> io::Result<Option<String>> {
    let stream = match UnixStream::connect_addr(address) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Ok(None),
        connected => connected?,
    };
    check_peer(&stream)?;
    let left = deadline.saturating_duration_since(Instant::now());
    stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
    let mut line = String::new();
    match BufReader::new(stream).take(LINE_MAX).read_line(&mut line) {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(None),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err(ErrorKind::TimedOut.into()),
        read => read.map(|_| line.ends_with('\n').then_some(line)),
    }
}

/// Tells everybody who has asked so far.
pub fn tell_those_who_wait(listener: &UnixListener, line: &str) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    while let Ok((stream, _)) = listener.accept() {
        tell(stream, line);
    }
    Ok(())
}

/// Tells everybody who asks, for as long as this process runs.
pub fn tell_all(listener: UnixListener, line: String) -> io::Result<()> {
    let tell_all = move || listener.incoming().flatten().for_each(|stream| tell(stream, &line));
    std::thread::Builder::new().name("meeting".to_owned()).spawn(tell_all).map(drop)
}

fn tell(mut stream: UnixStream, line: &str) {
    let told = check_peer(&stream)
        .and_then(|()| stream.set_nonblocking(false))
        .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
        .and_then(|()| stream.write_all(line.as_bytes()));
    if let Err(error) = told {
        tracing::warn!("who asked for the agent was not told: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    fn name() -> String {
        format!("ipclusterz-test-{}", ipclusterz_base::places::random_hex(8))
    }

    #[test]
    fn one_is_the_agent_and_all_others_hear_of_it() {
        let name = name();
        let come = || {
            let name = name.clone();
            thread::spawn(move || match meet(&name, soon()).expect("met") {
                Meeting::Theirs(line) => line,
                Meeting::Ours(listener) => {
                    tell_all(listener, "here\n".to_owned()).expect("a thread");
                    "mine".to_owned()
                }
            })
        };
        let came: Vec<_> = (0..16).map(|_| come()).collect();
        let mut heard: Vec<String> = came.into_iter().map(|came| came.join().expect("no panic")).collect();
        heard.sort();
        assert_eq!(heard.iter().filter(|line| *line == "mine").count(), 1, "{heard:?}");
        assert!(heard[..15].iter().all(|line| line == "here\n"), "{heard:?}");
    }

    #[test]
    fn who_waits_for_one_that_fails_hears_why_and_one_that_dies_is_followed() {
        let name = name();
        let Meeting::Ours(first) = meet(&name, soon()).expect("met") else { panic!("nobody else came") };
        let waits = || {
            let name = name.clone();
            thread::spawn(move || meet(&name, soon()).expect("met"))
        };
        let second = waits();
        while !second.is_finished() {
            tell_those_who_wait(&first, "no controller\n").expect("told");
        }
        assert!(matches!(second.join().expect("no panic"), Meeting::Theirs(line) if line == "no controller\n"));
        let third = waits();
        drop(first);
        assert!(matches!(third.join().expect("no panic"), Meeting::Ours(_)));
    }

    #[test]
    fn nobody_is_waited_for_beyond_the_deadline() {
        let name = name();
        let Meeting::Ours(_silent) = meet(&name, soon()).expect("met") else { panic!("nobody else came") };
        let error = meet(&name, Instant::now() + Duration::from_millis(20)).map(drop).expect_err("it is silent");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
}
