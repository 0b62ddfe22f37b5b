//! How a peer is admitted, what its session counts, and how the session ends.

use super::engines::EngineInfo;
use super::resources::Resources;
use super::world::Rank;
use ipclusterz_base::connection::Role;
use ipclusterz_base::ids::{EngineId, PeerId, RequestId};
use ipclusterz_base::logs::LogLimit;
use ipclusterz_base::process::Birth;
use ipclusterz_base::release;
use serde::{Deserialize, Serialize};
use std::fmt;

/// See [`super::Message::Hello`]. [`greeting`](crate::wire::greeting) says which fields never change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The role in which it asks to be admitted; on TCP its key must be of the same role.
    pub role: Role,
    /// Identifies the process, also after it reconnects.
    pub uuid: String,
    /// Where it runs.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// The id that an engine asks for; granted if it is free.
    pub wanted_id: Option<EngineId>,
    /// It can reach the controller's shared memory folder.
    pub shared_memory: bool,
    /// The address through which it reached the controller.
    #[serde(default)]
    pub address: String,
    /// That address is the near end of a tunnel: a closed connection says nothing about the peer's process.
    #[serde(default)]
    pub forwarded: bool,
    /// Seconds until an engine is ended from outside, as a job is at its time limit.
    #[serde(default)]
    pub ends_in: Option<f64>,
    /// How many seconds before that it stops getting balanced tasks of unstated duration.
    #[serde(default)]
    pub drain_before: f64,
    /// A peer whose connections broke asks to resume its session.
    #[serde(default)]
    pub resume: Option<Resume>,
    /// For an engine that is a rank of an MPI program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub world: Option<Box<Rank>>,
    /// A client that tells how engines ended: the launcher.
    #[serde(default)]
    pub launcher: bool,
    /// The number of its release, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// What its pid means: for a controller that shares its process table, and can watch it there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub birth: Option<Birth>,
    /// A client asks for the session with this name: the one that there is, or a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Seconds that an engine without a connection goes on and tries to come back; 0: its session ends with its connections.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lease: f64,
    /// The how manieth hello of its process this is, from 1 on: one that comes late, from a connection that was given up, is
    /// known by that. 0: they are not counted.
    #[serde(default, skip_serializing_if = "is_uncounted")]
    pub attempt: u64,
    /// The group of the profile's that an engine is of, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Large frames may travel beside their messages, on bulk connections.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bulk: bool,
    /// This is the agent of a host: its connections are to be shared by engines there. It is no engine itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub agent: bool,
    /// The tunnel that it comes through is of SSH: on the way between the two hosts all is encrypted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub through_ssh: bool,
    /// What an engine offers to tasks.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    pub offers: Resources,
    /// The user that its process is of, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(seconds: &f64) -> bool {
    *seconds == 0.0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_uncounted(attempt: &u64) -> bool {
    *attempt == 0
}

impl Hello {
    /// Of a peer with no special wishes.
    pub fn new(role: Role, uuid: String, host: String, pid: u32) -> Self {
        let (wanted_id, shared_memory, address, forwarded, ends_in, drain_before) = Default::default();
        let (resume, world, launcher, birth, session, lease) = (None, None, false, None, None, 0.0);
        let release = Some(release::number().to_owned());
        Hello {
            role,
            uuid,
            host,
            pid,
            wanted_id,
            shared_memory,
            address,
            forwarded,
            ends_in,
            drain_before,
            resume,
            world,
            launcher,
            birth,
            release,
            session,
            lease,
            attempt: 0,
            group: None,
            bulk: false,
            agent: false,
            through_ssh: false,
            offers: Resources::default(),
            user: None,
        }
    }
}

/// See [`Hello::resume`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// From the session's `welcome`.
    pub peer: PeerId,
    /// From the session's `welcome`.
    pub token: String,
    /// What the peer has received; the rest is sent again.
    pub received: Counts,
}

/// See [`super::Message::Welcome`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// The controller's number for this peer; names its segments too.
    pub peer: PeerId,
    /// Repeated in `attach`: ties the two connections together. A secret that the session keeps, and, but for its first hello, a dot and
    /// a number.
    pub token: String,
    /// For an engine: what the user calls it.
    pub engine_id: Option<EngineId>,
    /// For a client: the engines there are.
    pub engines: Vec<EngineInfo>,
    /// What a client may have under way.
    pub window: Window,
    /// How many seconds a client's session outlives its connections; 0: it ends with them.
    pub grace: f64,
    /// The session is resumed, and the controller has received this much of it; the rest is sent again.
    pub resumed: Option<Counts>,
    /// Where a resumed session goes on counting what the peer has received: less than it has if the controller's host has lost
    /// power, and the end of the journal with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<Counts>,
    /// For a client: which session this is. A controller that lacks this answers no questions about work of the past.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<OfSession>,
    /// For an engine: how large its log may become.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogLimit>,
    /// How to open a bulk link, for a peer that came through TCP and asked for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bulk: Option<Bulk>,
    /// For a client: the controller knows the terms of requests. One that lacks this would pass over them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub terms: bool,
    /// For a client: the controller tells what happens.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub events: bool,
}

impl Welcome {
    /// To a new session that ends with its connections, of a peer that is told nothing else.
    pub fn new(peer: PeerId, token: String, window: Window) -> Self {
        let (engine_id, engines, resumed, counted, session, log, bulk) = Default::default();
        let (grace, terms, events) = (0.0, false, false);
        Welcome { peer, token, engine_id, engines, window, grace, resumed, counted, session, log, bulk, terms, events }
    }

    /// Whether it is of the session that has this token. A client that has lost its session gets it again as another one would, by its
    /// name: then the peer is the same, and the session is another one.
    pub fn is_of_session(&self, token: &str) -> bool {
        let secret = |token: &str| token.split('.').next().map(str::to_owned);
        secret(&self.token) == secret(token)
    }

    /// How to come back to this session when the connection breaks before it stands: the controller may think already that it
    /// does. `asked`: what the hello asked for.
    pub fn resume(&self, asked: Option<&Resume>) -> Option<Resume> {
        let asked = asked.filter(|asked| self.resumed.is_some() && asked.peer == self.peer);
        let received = asked.map_or_else(Counts::default, |asked| asked.received);
        let received = self.counted.map_or(received, |counted| counted.least(received));
        (self.grace > 0.0).then(|| Resume { peer: self.peer, token: self.token.clone(), received })
    }
}

/// What opens a link of bulk connections, over which large frames travel.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bulk {
    /// The number of the link, 16 bytes, and its key, 32 bytes.
    ticket: serde_bytes::ByteBuf,
    /// Payloads are not encrypted: the profile says that the network is trusted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plain: bool,
    /// Payloads may be compressed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compress: bool,
}

impl Bulk {
    /// Of a link with this number and key.
    pub fn new(id: &[u8; 16], key: &[u8; 32], plain: bool, compress: bool) -> Self {
        Bulk { ticket: serde_bytes::ByteBuf::from([&id[..], &key[..]].concat()), plain, compress }
    }

    /// Number and key.
    pub fn parts(&self) -> Option<([u8; 16], [u8; 32])> {
        let (id, key) = self.ticket.split_first_chunk()?;
        Some((*id, key.try_into().ok()?))
    }
}

impl fmt::Debug for Bulk {
    /// Without the key.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Bulk")
            .field("plain", &self.plain)
            .field("compress", &self.compress)
            .finish_non_exhaustive()
    }
}

/// Which session a client has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfSession {
    /// What it is called.
    pub name: String,
    /// Begins the ids of its tasks: the uuid of its first client.
    pub id: String,
    /// Up to this number requests are those of clients before: others go on from there.
    pub last_request: RequestId,
    /// The client from which it was taken over, if one is connected: its pid and host, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_from: Option<String>,
}

/// What a client may have under way at the controller; it keeps the rest to itself until answers arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Answers expected, one for each target.
    pub replies: u64,
    /// Bytes of payload without an answer.
    pub bytes: u64,
    /// Bytes of one request.
    pub request_bytes: u64,
}

/// See [`super::Message::Refused`] and [`super::Message::Crowded`]. These fields never change: see
/// [`greeting`](crate::wire::greeting).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Why, for people.
    pub reason: String,
    /// What to do about it, if that is known here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Refused {
    /// Without advice.
    pub fn new(reason: impl Into<String>) -> Self {
        Refused { reason: reason.into(), hint: None }
    }
}

/// See [`super::Message::Attach`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    /// From `welcome`.
    pub peer: PeerId,
    /// From `welcome`.
    pub token: String,
}

/// How many messages of a session have arrived on each channel; see [`crate::wire::resend`] for which are counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// On `control`.
    pub control: u64,
    /// On `data`.
    pub data: u64,
}

/// See [`super::Message::Ack`]. Counts since `welcome`, so that a lost or late one does no harm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Replies received.
    pub replies: u64,
    /// Messages: the controller need not keep them any longer, nor count them as unread.
    pub messages: Counts,
    /// Its results keep so much text already that they would keep hardly any more.
    #[serde(default)]
    pub full: bool,
}

/// See [`super::Message::Goodbye`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goodbye {
    /// Why, for people.
    pub reason: String,
    /// From a controller: another client has the session now. This one is closed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub taken: bool,
}
