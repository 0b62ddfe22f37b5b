//! A timeline of events in the [Trace Event Format], which Perfetto and Chrome's `about:tracing` show.
//!
//! Each host is a process there, and each engine a thread of it, with a slice for each task. Each session is a thread of the
//! process `clients`. Arrows lead from a submission to the beginning of its tasks, and from their ends to the answers. What
//! engines use are counters; epochs of MPI programs are slices of a process of their own.
//!
//! [Trace Event Format]: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU

use crate::wire::message::{Happened, Seen, SessionBegan, Submission, TaskEnded, TaskName};
use ipclusterz_base::ids::{EngineId, PeerId, RequestId};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};

/// The numbers of what is no host.
const CLIENTS: u64 = 1;
const WORLDS: u64 = 2;
const FIRST_HOST: u64 = 10;

/// How long a moment is drawn that has no length, microseconds.
const MOMENT: f64 = 1.0;

struct Open {
    name: String,
    submitted: f64,
    left: u32,
}

/// Writes a timeline as the events come.
pub struct Timeline<W> {
    out: W,
    /// Something was written.
    begun: bool,
    /// When the first event was: times are from there on.
    began: Option<f64>,
    /// Nothing before this is drawn.
    since: f64,
    last: f64,
    hosts: BTreeMap<String, u64>,
    engines: HashMap<EngineId, u64>,
    sessions: HashMap<PeerId, String>,
    open: HashMap<(PeerId, RequestId), Open>,
    given: HashMap<TaskName, (EngineId, f64)>,
    worlds: BTreeMap<String, (u64, f64, usize)>,
    /// The number of the last arrow.
    arrows: u64,
}

impl<W: Write> Timeline<W> {
    /// Of what has happened from `since` on, seconds since 1970.
    ///
    /// # Errors
    /// What `out` refuses.
    pub fn new(mut out: W, since: f64) -> io::Result<Self> {
        out.write_all(b"{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n")?;
        let (hosts, engines, sessions, open, given, worlds) = Default::default();
        let (began, last, arrows) = (None, 0.0, 0);
        let mut line =
            Timeline { out, begun: false, began, since, last, hosts, engines, sessions, open, given, worlds, arrows };
        line.name_process(CLIENTS, "clients")?;
        line.name_process(WORLDS, "MPI programs")?;
        Ok(line)
    }

    /// Adds an event.
    ///
    /// # Errors
    /// What the writer refuses.
    pub fn add(&mut self, seen: &Seen) -> io::Result<()> {
        let at = seen.at;
        self.last = at;
        match &seen.what {
            Happened::SessionBegan(session) => self.session_began(session),
            Happened::EngineJoined(joined) => self.engine_joined(joined.engine, &joined.host, joined.pid),
            Happened::EngineLeft { engine, reason, .. } => self.moment(at, *engine, "left", reason),
            Happened::EngineAway { engine } => self.moment(at, *engine, "away", "it has no connection"),
            Happened::EngineBack { engine } => self.moment(at, *engine, "back", "it has its connections again"),
            Happened::EngineUsage { engine, usage } => {
                let mebibytes = usage.resident_bytes >> 20;
                self.counter(at, *engine, &json!({"cpus": usage.cpus}), "cpus")?;
                self.counter(at, *engine, &json!({"MiB": mebibytes}), "memory")
            }
            Happened::Submitted(submission) => self.submitted(submission, at),
            Happened::Given { task, engine } => {
                self.given.insert(*task, (*engine, at));
                Ok(())
            }
            Happened::Returned { task } => {
                self.given.remove(task);
                Ok(())
            }
            Happened::Ended(ended) => self.ended(ended, at),
            Happened::EpochBegan { world, epoch, engines } => {
                self.worlds.insert(world.clone(), (*epoch, at, engines.len()));
                Ok(())
            }
            Happened::EpochEnded { world, reason, .. } => self.epoch_ended(world, reason, at),
            Happened::SessionParted { .. } | Happened::SessionEnded { .. } => Ok(()),
        }
    }

    /// Adds what has not ended, and ends the timeline.
    ///
    /// # Errors
    /// What the writer refuses.
    pub fn finish(mut self) -> io::Result<W> {
        let mut first: BTreeMap<EngineId, (f64, TaskName)> = BTreeMap::new();
        for (task, (engine, at)) in &self.given {
            let earliest = first.entry(*engine).or_insert((*at, *task));
            if (*at, *task) < *earliest {
                *earliest = (*at, *task);
            }
        }
        for (engine, (at, task)) in first {
            let name = self.open.get(&(task.client, task.request)).map(|open| open.name.clone()).unwrap_or_default();
            let more = json!({"task": self.id(task), "state": "running"});
            self.slice((self.place(engine), engine.0.into()), &name, (at, self.last), &more)?;
        }
        for world in self.worlds.keys().cloned().collect::<Vec<_>>() {
            self.epoch_ended(&world, "", self.last)?;
        }
        self.out.write_all(b"\n]}\n")?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn session_began(&mut self, began: &SessionBegan) -> io::Result<()> {
        let SessionBegan { client, name, id, host, pid, .. } = began;
        self.sessions.insert(*client, id.chars().take(8).collect());
        let name = format!("{name} (pid {pid} on {host})");
        self.name_thread(CLIENTS, client.0, &name)
    }

    fn engine_joined(&mut self, engine: EngineId, host: &str, pid: u32) -> io::Result<()> {
        let next = FIRST_HOST.saturating_add(self.hosts.len() as u64);
        let (place, new) = match self.hosts.get(host) {
            Some(place) => (*place, false),
            None => (next, true),
        };
        if new {
            self.hosts.insert(host.to_owned(), place);
            self.name_process(place, host)?;
        }
        self.engines.insert(engine, place);
        self.name_thread(place, engine.0.into(), &format!("engine {engine} (pid {pid})"))
    }

    fn submitted(&mut self, submission: &Submission, at: f64) -> io::Result<()> {
        let Submission { client, request, count, .. } = *submission;
        let name = submission.name.clone().unwrap_or_else(|| submission.op.name().to_owned());
        let more = json!({
            "request": self.request(client, request),
            "tasks": count,
            "bytes": submission.bytes.all,
            "through shared memory": submission.bytes.shared,
        });
        self.open.insert((client, request), Open { name: name.clone(), submitted: at, left: submission.left() });
        self.slice((CLIENTS, client.0), &format!("submit {name}"), (at, at), &more)
    }

    fn ended(&mut self, ended: &TaskEnded, at: f64) -> io::Result<()> {
        let TaskEnded { task, engine, fate, why, started, completed, bytes } = ended;
        self.given.remove(task);
        let key = (task.client, task.request);
        let Some(open) = self.open.get_mut(&key) else { return Ok(()) };
        let (name, submitted) = (open.name.clone(), open.submitted);
        open.left = open.left.saturating_sub(1);
        if open.left == 0 {
            self.open.remove(&key);
        }
        let client = (CLIENTS, task.client.0);
        if let (Some(engine), true) = (*engine, *started > 0.0) {
            let own = (self.place(engine), engine.0.into());
            let more = json!({
                "task": self.id(*task),
                "state": fate.name(),
                "why": why,
                "waited (s)": (started - submitted).max(0.0),
                "bytes of the answer": bytes.all,
            });
            self.slice(own, &name, (*started, *completed), &more)?;
            self.arrow("submitted", (client, submitted), (own, *started))?;
            self.arrow("answered", (own, *completed), (client, at))?;
        }
        let more = json!({"task": self.id(*task), "state": fate.name(), "why": why});
        self.slice(client, &format!("answer {name}"), (at, at), &more)
    }

    fn epoch_ended(&mut self, world: &str, reason: &str, at: f64) -> io::Result<()> {
        let Some((epoch, began, ranks)) = self.worlds.remove(world) else { return Ok(()) };
        let more = json!({"program": world, "ranks": ranks, "why it ended": reason});
        self.slice((WORLDS, 0), &format!("epoch {epoch}"), (began, at), &more)
    }

    fn moment(&mut self, at: f64, engine: EngineId, name: &str, why: &str) -> io::Result<()> {
        let own = (self.place(engine), engine.0.into());
        self.slice(own, name, (at, at), &json!({"why": why}))
    }

    fn place(&self, engine: EngineId) -> u64 {
        self.engines.get(&engine).copied().unwrap_or(FIRST_HOST)
    }

    fn request(&self, client: PeerId, request: RequestId) -> String {
        format!("{}-{request}", self.sessions.get(&client).map_or("", String::as_str))
    }

    fn id(&self, task: TaskName) -> String {
        format!("{}-{}", self.request(task.client, task.request), task.position)
    }

    fn name_process(&mut self, process: u64, name: &str) -> io::Result<()> {
        self.write(&json!({"ph": "M", "name": "process_name", "pid": process, "tid": 0, "args": {"name": name}}))
    }

    fn name_thread(&mut self, process: u64, thread: u64, name: &str) -> io::Result<()> {
        self.write(&json!({"ph": "M", "name": "thread_name", "pid": process, "tid": thread, "args": {"name": name}}))
    }

    fn counter(&mut self, at: f64, engine: EngineId, values: &Value, name: &str) -> io::Result<()> {
        let Some(ts) = self.microseconds(at) else { return Ok(()) };
        let (process, name) = (self.place(engine), format!("engine {engine} {name}"));
        self.write(&json!({"ph": "C", "name": name, "pid": process, "tid": 0, "ts": ts, "args": values}))
    }

    /// What took its time in a thread of a process.
    fn slice(&mut self, own: (u64, u64), name: &str, times: (f64, f64), more: &Value) -> io::Result<()> {
        let Some(ts) = self.microseconds(times.0).filter(|_| times.1 >= self.since) else { return Ok(()) };
        let length = ((times.1 - times.0) * 1e6).max(MOMENT);
        let (pid, tid) = own;
        self.write(&json!({"ph": "X", "name": name, "pid": pid, "tid": tid, "ts": ts, "dur": length, "args": more}))
    }

    fn arrow(&mut self, name: &str, from: ((u64, u64), f64), to: ((u64, u64), f64)) -> io::Result<()> {
        self.arrows = self.arrows.saturating_add(1);
        let id = self.arrows;
        for (kind, ((pid, tid), at)) in [("s", from), ("f", to)] {
            let Some(ts) = self.microseconds(at) else { return Ok(()) };
            let mut point =
                json!({"ph": kind, "id": id, "cat": "task", "name": name, "pid": pid, "tid": tid, "ts": ts});
            if let (Value::Object(point), "f") = (&mut point, kind) {
                point.insert("bp".to_owned(), "e".into());
            }
            self.write(&point)?;
        }
        Ok(())
    }

    /// A time as it is drawn; none: it is before all that is.
    fn microseconds(&mut self, at: f64) -> Option<f64> {
        if at < self.since {
            return None;
        }
        let began = *self.began.get_or_insert(at);
        // Clocks of other hosts may be behind.
        Some(((at - began) * 1e6).max(0.0))
    }

    fn write(&mut self, value: &Value) -> io::Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            self.out.write_all(b",\n")?;
        }
        serde_json::to_writer(&mut self.out, value).map_err(io::Error::from)
    }
}
