//! Every address of a controller at once: the first that answers is taken, and the others are parted from.
//!
//! An address answers when somebody there has completed the handshake, keys included; that a port is open says little,
//! for the near end of a tunnel is. What the messages then mean is `session`'s business. Names are looked up and failures
//! explained by short-lived threads (`scout`): libzmq does the first in its only I/O thread and does not tell the second.

use super::dial::{DialError, LinkEvent, Wire, check_socket};
use super::scout::{Report, Scouts, Target};
use ipclusterz_base::connection::ConnectionFile;
use std::time::{Duration, Instant};

/// How long an explanation of a failure holds.
const EXPLAINED: Duration = Duration::from_secs(10);
/// The same where nobody listens: the cluster may have ended.
const EXPLAINED_SILENCE: Duration = Duration::from_secs(2);
/// The pause behind an attempt that failed.
pub(super) const AGAIN: Duration = Duration::from_secs(1);
/// How often something is said again that was not understood.
const SAID_AGAIN: u32 = 2;
/// The pause before that.
const AT_ONCE: Duration = Duration::from_millis(50);
/// Most numeric addresses that one name is dialled at.
const PER_NAME_MAX: usize = 8;

/// What came of a race, up to now.
pub enum RaceEvent {
    /// This one answered; the others are not wanted any more.
    Won(Wire, Vec<Wire>),
    /// Nobody will: at least one address has refused, and there is no connection to any other.
    Refused(String),
    /// Nobody will: the cluster has ended, and why that is known.
    Ended(String),
}

/// Where to dial, as it is decided once for a session.
#[derive(Debug, Clone)]
pub struct Course {
    /// What is dialled.
    pub(super) addresses: Vec<String>,
    /// The unix socket of a controller on this host.
    pub local: bool,
}

impl Course {
    /// What can be dialled from this host.
    pub fn of(file: &ConnectionFile) -> Result<Course, DialError> {
        let addresses: Vec<String> = file.reachable_addresses().into_iter().map(str::to_owned).collect();
        if addresses.is_empty() {
            if file.host == ipclusterz_base::places::host_name() {
                // Whoever has taken its folder says more than that the socket is not seen.
                file.addresses.iter().try_for_each(|address| check_socket(address))?;
            }
            return Err(DialError::NoAddress(unreachable_reason(file)));
        }
        if let (Some(tcp), None) = (addresses.iter().find(|address| address.starts_with("tcp://")), &file.curve) {
            return Err(DialError::NoKey(tcp.clone()));
        }
        Ok(Course { addresses, local: file.local_address().is_some() })
    }

    /// All of them, for people.
    pub fn names(&self) -> String {
        self.addresses.join(", ")
    }
}

/// One way to an offered address: a name may have several.
struct Way {
    offer: usize,
    target: Target,
    wire: Wire,
    /// What happened, if anything did.
    said: Option<String>,
    /// How often it was not understood.
    misunderstood: u32,
    /// There was a connection, whose handshake failed: there may be another.
    connected: bool,
    /// It will not be let in, whatever time passes.
    hopeless: bool,
    explained: Option<Instant>,
    /// The host answers, and nobody listens there.
    nobody_listens: bool,
    /// When to dial with a fresh socket: after some handshakes that failed libzmq does not dial again.
    again: Option<Instant>,
}

impl Way {
    /// There was a connection, and nothing came of it.
    fn failed(&mut self, event: &LinkEvent) {
        let (reason, again) = match event {
            _ if self.hopeless => return,
            LinkEvent::Misunderstood(reason) if self.misunderstood < SAID_AGAIN => {
                self.misunderstood += 1;
                (*reason, AT_ONCE)
            }
            LinkEvent::Refused(reason) | LinkEvent::Misunderstood(reason) => {
                (self.said, self.hopeless, self.again) = (Some((*reason).to_owned()), true, None);
                return;
            }
            LinkEvent::Failed(reason) => (*reason, AGAIN),
            LinkEvent::Up | LinkEvent::Retrying => return,
            // What broke it was said before, if that is known.
            LinkEvent::Down if self.again.is_some() => return,
            LinkEvent::Down => ("the connection broke", AGAIN),
        };
        self.said = Some(reason.to_owned());
        self.nobody_listens = false;
        self.again = Some(Instant::now() + again);
        self.connected = true;
    }

    /// Whether this leads nowhere, as far as can be known now.
    fn is_closed(&self) -> bool {
        self.hopeless || (self.said.is_some() && !self.connected)
    }
}

/// Addresses being dialled.
pub struct Race {
    context: zmq::Context,
    file: ConnectionFile,
    course: Course,
    /// There has been a session.
    returning: bool,
    ways: Vec<Way>,
    /// What became of each offered address before there was a way to it: a name that nobody knows.
    unknown: Vec<Option<String>>,
    scouts: Scouts,
    told: bool,
    /// A connection has not come about, or has come to nothing.
    failed: bool,
}

impl Race {
    /// Starts to dial; `returning`: there has been a session.
    pub fn start(
        context: &zmq::Context,
        file: &ConnectionFile,
        course: &Course,
        returning: bool,
    ) -> Result<Race, DialError> {
        let scouts = Scouts::new().map_err(DialError::of_io)?;
        let unknown = vec![None; course.addresses.len()];
        let (file, course) = (file.clone(), course.clone());
        let context = context.clone();
        let mut race =
            Race { context, file, course, returning, ways: Vec::new(), unknown, scouts, told: false, failed: false };
        for offer in 0..race.course.addresses.len() {
            match Target::parse(&race.course.addresses[offer]) {
                Some(target) => race.dial(offer, target)?,
                None => race.scouts.look_up(offer, &race.course.addresses[offer]),
            }
        }
        Ok(race)
    }

    fn dial(&mut self, offer: usize, target: Target) -> Result<(), DialError> {
        let address = &self.course.addresses[offer];
        let wire = Wire::dial(&self.context, address, &target.endpoint(), &self.file, !self.course.local)?;
        self.ways.push(Way {
            offer,
            target,
            wire,
            said: None,
            misunderstood: 0,
            connected: false,
            hopeless: false,
            explained: None,
            nobody_listens: false,
            again: None,
        });
        Ok(())
    }

    /// Whether there was no connection at the first attempt.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// What is dialled, for people.
    pub fn names(&self) -> String {
        self.course.names()
    }

    /// To be polled for reading: `next_event` may have something.
    pub fn poll_items(&self) -> impl Iterator<Item = zmq::PollItem<'_>> {
        let scouts = std::iter::once(zmq::PollItem::from_fd(self.scouts.fd(), zmq::POLLIN));
        scouts.chain(self.ways.iter().map(|way| way.wire.monitor().as_poll_item(zmq::POLLIN)))
    }

    /// When `next_event` is to be called at the latest.
    pub fn next_look(&self) -> Option<Instant> {
        self.ways.iter().filter_map(|way| way.again).min()
    }

    /// What came of it since the last call.
    pub fn next_event(&mut self) -> Result<Option<RaceEvent>, DialError> {
        if let Some(ended) = self.take_reports()?.filter(|_| !std::mem::replace(&mut self.told, true)) {
            return Ok(Some(RaceEvent::Ended(ended)));
        }
        self.dial_again()?;
        for index in 0..self.ways.len() {
            while let Some(event) = self.ways[index].wire.next_event()? {
                self.failed |= event != LinkEvent::Up;
                match event {
                    LinkEvent::Up => return Ok(Some(self.win(index))),
                    LinkEvent::Retrying => self.explain(index),
                    event => self.ways[index].failed(&event),
                }
            }
        }
        let refused = self.is_hopeless() && !std::mem::replace(&mut self.told, true);
        Ok(refused.then(|| RaceEvent::Refused(self.problem())))
    }

    /// Why the cluster has ended, if that is known now.
    fn take_reports(&mut self) -> Result<Option<String>, DialError> {
        let mut over = None;
        for report in self.scouts.reports() {
            match report {
                Report::Found(offer, targets) => {
                    self.unknown[offer] = None;
                    for target in targets.into_iter().take(PER_NAME_MAX) {
                        self.dial(offer, target)?;
                    }
                }
                Report::Unknown(offer, why) => self.unknown[offer] = Some(why),
                Report::Explained(way, why) => {
                    if let Some(way) = self.ways.get_mut(way)
                        && !way.hopeless
                    {
                        (way.said, way.nobody_listens) = (Some(why.text), why.nobody_listens);
                    }
                    // Before the first session the user has named a cluster that may be about to start.
                    over = why.ended.filter(|_| self.returning).or(over);
                }
            }
        }
        Ok(over)
    }

    /// Dials with fresh sockets where it is time to.
    fn dial_again(&mut self) -> Result<(), DialError> {
        for way in &mut self.ways {
            if way.again.take_if(|at| *at <= Instant::now()).is_some() {
                let (address, endpoint) = (&self.course.addresses[way.offer], way.target.endpoint());
                way.wire = Wire::dial(&self.context, address, &endpoint, &self.file, !self.course.local)?;
            }
        }
        Ok(())
    }

    /// Has somebody find out why there is no connection.
    fn explain(&mut self, index: usize) {
        let way = &mut self.ways[index];
        let holds = if way.nobody_listens { EXPLAINED_SILENCE } else { EXPLAINED };
        if !way.hopeless && way.explained.is_none_or(|at| at.elapsed() > holds) {
            way.explained = Some(Instant::now());
            self.scouts.explain(index, &way.target, &self.file);
        }
    }

    fn win(&mut self, index: usize) -> RaceEvent {
        let won = self.ways.swap_remove(index).wire;
        RaceEvent::Won(won, self.take_wires())
    }

    /// The race is over.
    pub fn take_wires(&mut self) -> Vec<Wire> {
        self.ways.drain(..).map(|way| way.wire).collect()
    }

    fn is_hopeless(&self) -> bool {
        let failed = |offer: usize| {
            let mut ways = self.ways.iter().filter(|way| way.offer == offer).peekable();
            match ways.peek() {
                Some(_) => ways.all(Way::is_closed),
                None => self.unknown[offer].is_some(),
            }
        };
        self.ways.iter().any(|way| way.hopeless) && (0..self.course.addresses.len()).all(failed)
    }

    /// Whether the host answers, and nobody listens there, at any address. Of a tunnel that may be the near end alone.
    pub fn nobody_listens(&self) -> bool {
        !self.file.forwarded && !self.ways.is_empty() && self.ways.iter().all(|way| way.nobody_listens)
    }

    /// What stands in the way at each address.
    pub fn problem(&self) -> String {
        let each = self.course.addresses.iter().enumerate().map(|(offer, address)| {
            let ways: Vec<&Way> = self.ways.iter().filter(|way| way.offer == offer).collect();
            format!("{address}: {}", said(&ways, self.unknown[offer].as_deref()))
        });
        let each: Vec<String> = each.collect();
        match &each[..] {
            [only] => only.clone(),
            several => format!("none of {} addresses answers: {}", several.len(), several.join("; ")),
        }
    }
}

/// What happened at one offered address.
fn said(ways: &[&Way], unknown: Option<&str>) -> String {
    const NOTHING: &str = "timed out: no answer yet";
    let of = |way: &Way| way.said.clone().unwrap_or_else(|| NOTHING.to_owned());
    match ways {
        [] => unknown.unwrap_or("the name is being looked up").to_owned(),
        [first, rest @ ..] if rest.iter().all(|way| way.said == first.said) => of(first),
        several => {
            let each: Vec<String> = several.iter().map(|way| format!("{} {}", way.target, of(way))).collect();
            each.join(", ")
        }
    }
}

fn unreachable_reason(file: &ConnectionFile) -> String {
    let offered = if file.addresses.is_empty() { "none".to_owned() } else { file.addresses.join(", ") };
    let here = ipclusterz_base::places::host_name();
    if file.host == here {
        format!("the controller is gone: its unix socket does not exist (addresses: {offered})")
    } else {
        format!(
            "the controller on {} listens on its own host only (addresses: {offered}); this host is {here}",
            file.host
        )
    }
}
