//! A peer as the controller knows it: what it said of itself, its connections, and what it has sent and received.

use super::load::Horizon;
use crate::transport::Route;
use crate::wire::message::{Counts, EngineInfo, Hello};
use crate::wire::resend::Sent;
use ipclusterz_base::ids::EngineId;
use ipclusterz_base::process::Table;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::num::Saturating;
use std::time::Duration;

/// A process that was let in.
#[derive(Debug, Serialize, Deserialize)]
pub struct Peer {
    /// What it said of itself.
    pub hello: Hello,
    /// For an engine: its id.
    pub engine_id: Option<EngineId>,
    /// What ties its `data` connection to its `control` connection, and a client that comes back to its session.
    pub token: Token,
    /// Its first connection.
    pub control: Route,
    /// Its second one, once it is attached.
    pub data: Option<Route>,
    /// When it said hello.
    pub since: Duration,
    /// Resident memory as it last told, bytes.
    pub resident_bytes: u64,
    /// Questions and interrupts that an engine was sent since it said something.
    pub unanswered: u32,
    /// It was asked to end, or has said goodbye.
    pub leaving: bool,
    /// How an engine's process ended, if the launcher knew before its connections broke.
    pub ended: Option<String>,
    /// Its process is watched.
    pub watched: bool,
    /// How its process ended, as the kernel says, while its connections stand.
    pub exited: Option<String>,
    /// For a client: which session it has.
    pub session: OwnSession,
    /// What was sent to it.
    pub sent: Sent,
    /// What it has sent.
    pub received: Counts,
    /// Bytes of it, and how much of it the client was told of: messages and bytes.
    pub received_bytes: Saturating<u64>,
    /// See `received_bytes`.
    pub told: (u64, u64),
    /// Whether it has its connections.
    pub presence: Presence,
    /// For an engine that has none, or is about to have them again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absence: Option<Absence>,
    /// It has had both connections.
    pub stood: bool,
    /// It has taken over a session that stood before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inherited: bool,
    /// It dials this host's unix socket, so that the kernel closes its connections when its process ends, and not before.
    pub beside: bool,
    /// How much it was sent, as the journal has it, before the controller was started again; until it comes back.
    pub replayed: Option<Counts>,
}

/// The session that a client has, or had last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnSession {
    /// What it is called.
    pub name: String,
    /// Begins the ids of its tasks: the uuid of its first client.
    pub id: String,
    /// Somebody has given it that name. It then outlives its clients.
    pub named: bool,
    /// Its client has said goodbye, and there is no other yet.
    pub closed: bool,
    /// How many pieces of output are in the history.
    pub written: u64,
    /// The uuids of the last clients from which it was taken over.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    pub former: VecDeque<String>,
}

impl OwnSession {
    /// Digits of a client's uuid that name its session, unless it has another name.
    const DIGITS: usize = 8;
    /// Most former clients that are remembered.
    const FORMER_MAX: usize = 16;

    /// That of a client which says hello. Somebody else may have given theirs the name that it would get.
    pub fn of(hello: &Hello, is_free: impl Fn(&str) -> bool) -> Self {
        let id = hello.uuid.clone();
        let begins = |digits| id.chars().take(digits).collect::<String>();
        let own = || (Self::DIGITS..id.len()).map(begins).find(|name| is_free(name)).unwrap_or_else(|| id.clone());
        let name = hello.session.clone().unwrap_or_else(own);
        OwnSession { name, id, named: hello.session.is_some(), ..OwnSession::default() }
    }

    /// The client with this uuid has it no longer.
    pub fn taken_from(&mut self, uuid: String) {
        self.former.push_back(uuid);
        if self.former.len() > Self::FORMER_MAX {
            self.former.pop_front();
        }
    }
}

/// An engine may notice a silence later than its controller, by the time between two signs of life and a part of it, and be let in while
/// it dials for the last time. So it is waited for a little longer than its lease: by this part of it, and at most so long.
const LATER_PART: u32 = 6;
/// See [`LATER_PART`].
const LATER_MAX: Duration = Duration::from_secs(10);

/// Whether a peer has its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Presence {
    /// It has, or is about to for the first time.
    Here,
    /// It has none, and is waited for until then.
    Away(Duration),
    /// It has said hello again, and had received so much.
    Returning(Counts),
}

/// How an engine has lost its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absence {
    /// When.
    pub since: Duration,
    /// Nothing was heard of it any more: it may live and hold all it has. Otherwise its kernel has closed them.
    pub silent: bool,
    /// Clients were told.
    pub told: bool,
}

/// A secret, and the number of the hello that it answers.
///
/// A late hello, from a connection that the client has given up, is answered too. Then the answer to the hello before it
/// must not admit a `data` connection any more: the counts that the late one gave are older than what the client has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    secret: String,
    hello: u32,
}

impl Token {
    /// That of the first hello of a session.
    pub fn new(secret: String) -> Self {
        Self { secret, hello: 0 }
    }

    /// The one for another hello of the same session. Those before it admit no connection any more.
    pub fn renew(&mut self) {
        self.hello = self.hello.wrapping_add(1);
    }

    /// What the peer is given: the secret, for a later hello with its number behind it.
    pub fn text(&self) -> String {
        if self.hello == 0 { self.secret.clone() } else { format!("{}.{}", self.secret, self.hello) }
    }

    /// Whether `text` is that of any hello of this session.
    pub fn is_of_same_session(&self, text: &str) -> bool {
        let number = |rest: &str| rest.strip_prefix('.').is_some_and(|number| number.parse::<u32>().is_ok());
        text.strip_prefix(self.secret.as_str()).is_some_and(|rest| rest.is_empty() || number(rest))
    }
}

impl Peer {
    /// Whether it is connected, and has not said goodbye.
    pub fn is_here(&self) -> bool {
        self.presence == Presence::Here && !self.session.closed
    }

    /// Until when an engine takes what.
    pub fn horizon(&self) -> Horizon {
        let end = self.hello.ends_in.map(|seconds| self.since.saturating_add(length(seconds)));
        Horizon { end, drain_before: length(self.hello.drain_before), retiring: false }
    }

    /// Whether its session outlives its connections.
    pub fn is_kept(&self) -> bool {
        self.sent.keeps() && !self.leaving
    }

    /// Whether its session is waited for when its connections break.
    pub fn goes_on(&self) -> bool {
        self.is_kept() && (self.stood || self.inherited)
    }

    /// Whether it is an engine whose broken connection shows that its process has ended.
    pub fn ends_with_connection(&self) -> bool {
        self.beside && self.engine_id.is_some()
    }

    /// How long it is waited for: an engine as long as it tries to come back, whenever it has noticed that it has no connection.
    pub fn grace(&self, of_clients: Duration) -> Duration {
        match self.engine_id {
            Some(_) => {
                let lease = length(self.hello.lease);
                let part = lease.checked_div(LATER_PART).unwrap_or_default();
                lease.saturating_add(part.min(LATER_MAX))
            }
            None if self.session.named => Duration::MAX,
            None => of_clients,
        }
    }

    /// The process table in which its pid means something.
    pub fn birth_table(&self) -> Option<Table> {
        self.hello.birth.map(|birth| birth.table)
    }

    /// For the log.
    pub fn name(&self) -> String {
        match self.engine_id {
            Some(engine) => format!("engine {engine}"),
            None => format!("client {}", self.hello.uuid),
        }
    }

    /// What clients are told of an engine.
    pub fn engine_info(&self) -> Option<EngineInfo> {
        let id = self.engine_id?;
        let Hello { uuid, host, pid, address, birth, .. } = self.hello.clone();
        Some(EngineInfo { id, uuid, host, pid, address, birth })
    }
}

/// What is not a length of time counts as longer than any.
fn length(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}
