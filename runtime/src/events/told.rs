//! Events as users are told of them: each an object of JSON that says everything by names, so that no other is needed to
//! understand it. `docs/how-to/see.md` has the fields; [`VERSION`] is theirs.

use crate::wire::message::{
    Bytes, EngineJoined, Happened, Op, PartOfMap, Seen, SessionBegan, Submission, TaskEnded, TaskName,
};
use ipclusterz_base::ids::{PeerId, RequestId};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// The version of the fields. It grows when one goes or means something else; new ones may come.
pub const VERSION: u32 = 1;

/// Digits of a session's id that begin the ids of its tasks.
const DIGITS: usize = 8;

/// What a session is called, and what the ids of its tasks begin with.
#[derive(Debug)]
struct Session {
    name: String,
    begins: String,
    user: Option<String>,
    host: String,
}

/// A request that has not ended.
#[derive(Debug)]
struct Open {
    name: String,
    submitted: f64,
    left: u32,
}

/// Tells events, one after the other.
#[derive(Debug, Default)]
pub struct Teller {
    sessions: HashMap<PeerId, Session>,
    open: HashMap<(PeerId, RequestId), Open>,
}

/// What is done, for people, where no function has a name.
fn op_name(op: Op) -> String {
    op.name().to_owned()
}

impl Teller {
    /// A scene follows: what was told before is void. So many events in between are not kept any more.
    pub fn anew(&mut self, missed: u64) -> Value {
        *self = Teller::default();
        json!({"v": VERSION, "event": "scene", "missed": missed})
    }

    /// An event as users are told of it.
    pub fn tell(&mut self, seen: &Seen) -> Value {
        let mut told = Map::new();
        told.insert("v".to_owned(), VERSION.into());
        told.insert("at".to_owned(), seen.at.into());
        if let Value::Object(fields) = self.fields(seen) {
            told.extend(fields);
        }
        Value::Object(told)
    }

    fn fields(&mut self, seen: &Seen) -> Value {
        match &seen.what {
            Happened::SessionBegan(session) => self.session_began(session),
            Happened::SessionParted { client } => json!({"event": "session_parted", "session": self.session(*client)}),
            Happened::SessionEnded { client } => json!({"event": "session_ended", "session": self.session(*client)}),
            Happened::Submitted(submission) => self.submitted(submission, seen.at),
            Happened::Given { task, engine } => self.of_task("given", *task, json!({"engine": engine})),
            Happened::Returned { task } => self.of_task("returned", *task, json!({})),
            Happened::Ended(ended) => self.ended(ended),
            Happened::EngineJoined(joined) => engine_joined(joined),
            Happened::EngineAway { engine } => json!({"event": "engine_away", "engine": engine}),
            Happened::EngineBack { engine } => json!({"event": "engine_back", "engine": engine}),
            Happened::EngineLeft { engine, reason, died } => {
                json!({"event": "engine_left", "engine": engine, "reason": reason, "died": died})
            }
            Happened::EngineUsage { engine, usage } => json!({
                "event": "engine_usage",
                "engine": engine,
                "resident_bytes": usage.resident_bytes,
                "cpu_seconds": usage.cpu_seconds,
                "cpus": usage.cpus,
            }),
            Happened::EpochBegan { world, epoch, engines } => {
                json!({"event": "epoch_began", "world": world, "epoch": epoch, "engines": engines})
            }
            Happened::EpochEnded { world, epoch, reason } => {
                json!({"event": "epoch_ended", "world": world, "epoch": epoch, "reason": reason})
            }
        }
    }

    fn session_began(&mut self, began: &SessionBegan) -> Value {
        let SessionBegan { client, name, id, host, pid, user, launcher } = began.clone();
        let told = json!({
            "event": "session_began", "session": name, "host": host, "pid": pid, "user": user, "launcher": launcher,
        });
        let begins = id.chars().take(DIGITS).collect();
        self.sessions.insert(client, Session { name, begins, user, host });
        told
    }

    fn submitted(&mut self, submission: &Submission, at: f64) -> Value {
        let Submission { client, request, count, op, bytes: Bytes { all, shared }, part, .. } = *submission;
        let name = submission.name.clone().unwrap_or_else(|| op_name(op));
        let map = part.map(|PartOfMap { head, elements, of }| {
            json!({"request": self.request(client, head), "elements": elements, "of": of})
        });
        let session = self.sessions.get(&client);
        let told = json!({
            "event": "submitted",
            "request": self.request(client, request),
            "session": self.session(client),
            "user": session.and_then(|session| session.user.clone()),
            "host": session.map(|session| session.host.clone()),
            "tasks": count,
            "ended": submission.ended,
            "name": name,
            "op": op.name(),
            "bytes": all,
            "shared_bytes": shared,
            "map": map,
        });
        self.open.insert((client, request), Open { name, submitted: at, left: submission.left() });
        told
    }

    fn ended(&mut self, ended: &TaskEnded) -> Value {
        let TaskEnded { task, engine, fate, why, started, completed, bytes: Bytes { all, shared } } = ended.clone();
        // No time where nothing ran.
        let time = |time: f64| (time > 0.0).then_some(time);
        let told = json!({
            "engine": engine,
            "state": fate.name(),
            "why": why,
            "started": time(started),
            "completed": time(completed),
            "bytes": all,
            "shared_bytes": shared,
        });
        let told = self.of_task("ended", task, told);
        if let Some(open) = self.open.get_mut(&(task.client, task.request)) {
            open.left = open.left.saturating_sub(1);
            if open.left == 0 {
                self.open.remove(&(task.client, task.request));
            }
        }
        told
    }

    /// Something about a task, with what is known of it.
    fn of_task(&self, event: &str, task: TaskName, more: Value) -> Value {
        let TaskName { client, request, position } = task;
        let open = self.open.get(&(client, request));
        let mut told = json!({
            "event": event,
            "task": format!("{}-{position}", self.request(client, request)),
            "session": self.session(client),
            "name": open.map(|open| open.name.as_str()),
            "submitted": open.map(|open| open.submitted),
        });
        if let (Value::Object(told), Value::Object(more)) = (&mut told, more) {
            told.extend(more);
        }
        told
    }

    fn session(&self, client: PeerId) -> Option<&str> {
        self.sessions.get(&client).map(|session| session.name.as_str())
    }

    fn request(&self, client: PeerId, request: RequestId) -> String {
        let begins = self.sessions.get(&client).map_or("", |session| session.begins.as_str());
        format!("{begins}-{request}")
    }
}

fn engine_joined(joined: &EngineJoined) -> Value {
    let EngineJoined { engine, uuid, host, pid, group, rank, offers, ends_in } = joined;
    let offers: HashMap<&str, f64> =
        offers.amounts.iter().map(|(name, amount)| (name.as_str(), amount.value())).collect();
    let (world, rank) = rank.clone().unzip();
    json!({
        "event": "engine_joined",
        "engine": engine,
        "uuid": uuid,
        "host": host,
        "pid": pid,
        "group": group,
        "world": world,
        "rank": rank,
        "offers": offers,
        "tags": joined.offers.tags,
        "ends_in": ends_in,
    })
}
