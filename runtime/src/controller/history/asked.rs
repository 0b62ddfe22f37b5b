//! What the history answers.

use super::store::{PURGED, Store, drop_results, number, places, stream};
use crate::wire::Frame;
use crate::wire::message::{Filter, Kept, Op, Reply, RequestRecord, Stream, TaskRecord};
use ipclusterz_base::ids::{EngineId, RequestId};
use rusqlite::types::Value;
use rusqlite::{Row, params, params_from_iter};

/// Digits of a session's id that begin the ids of its tasks.
const DIGITS: usize = 8;
/// Most tasks, or requests, of one answer: the latest. More would not fit into a message.
const FOUND_MAX: u64 = 150_000;

/// A condition, and its values.
struct Condition {
    parts: Vec<String>,
    values: Vec<Value>,
}

impl Condition {
    fn add(&mut self, part: &str, value: impl Into<Value>) {
        self.parts.push(part.to_owned());
        self.values.push(value.into());
    }

    fn one_of(&mut self, column: &str, values: Vec<Value>) {
        self.parts.push(format!("{column} IN ({})", places(&values)));
        self.values.extend(values);
    }

    fn text(&self) -> String {
        self.parts.join(" AND ")
    }
}

/// The tasks that a filter means; `session` is the id of its session, or how that begins.
fn condition(filter: &Filter, session: Option<&str>) -> Condition {
    let mut condition = Condition { parts: vec![format!("tasks.state != '{PURGED}'")], values: vec![] };
    if let Some(session) = session {
        condition.add("sessions.id GLOB ?", format!("{session}*"));
    }
    if let Some(requests) = &filter.requests {
        condition.one_of("tasks.request", requests.iter().map(|request| number(request.0).into()).collect());
    }
    if !filter.states.is_empty() {
        condition.one_of("tasks.state", filter.states.iter().cloned().map(Value::from).collect());
    }
    if let Some(since) = filter.since {
        condition.add("tasks.submitted >= ?", since);
    }
    if let Some(name) = &filter.name {
        condition.add("instr(names.name, ?) > 0", name.clone());
    }
    condition
}

impl Store {
    /// Tasks that have ended, the latest last. The session of each is its id.
    pub fn tasks(&self, filter: &Filter, session: Option<&str>) -> rusqlite::Result<Vec<TaskRecord>> {
        let Condition { parts, mut values } = condition(filter, session);
        let text = Condition { parts, values: vec![] }.text();
        let sql = format!(
            "SELECT sessions.id, tasks.request, tasks.position, names.name, tasks.state, tasks.engine, tasks.submitted,
                    tasks.started, tasks.completed, tasks.why, results.bytes, results.dropped
             FROM tasks JOIN sessions ON sessions.key = tasks.session JOIN names ON names.key = tasks.name
             LEFT JOIN results ON results.session = tasks.session AND results.request = tasks.request
                              AND results.position = tasks.position
             WHERE {text} ORDER BY tasks.submitted DESC, tasks.session DESC, tasks.request DESC, tasks.position DESC
             LIMIT ?"
        );
        values.push(number(filter.limit.unwrap_or(FOUND_MAX).min(FOUND_MAX)).into());
        let mut select = self.connection.prepare(&sql)?;
        let rows = select.query_map(params_from_iter(values), task)?;
        let mut tasks: Vec<TaskRecord> = rows.collect::<Result<_, _>>()?;
        tasks.reverse();
        Ok(tasks)
    }

    /// What was submitted in a session.
    pub fn requests(&self, session: &str) -> rusqlite::Result<Vec<RequestRecord>> {
        let mut select = self.connection.prepare_cached(
            "SELECT requests.request, requests.op, names.name, requests.about, requests.part, requests.submitted,
                    requests.targets,
                    (SELECT COUNT(*) FROM tasks
                     WHERE tasks.session = requests.session AND tasks.request = requests.request)
             FROM requests JOIN sessions ON sessions.key = requests.session JOIN names ON names.key = requests.name
             WHERE sessions.id = ? ORDER BY requests.request DESC LIMIT ?",
        )?;
        let rows = select.query_map(params![session, number(FOUND_MAX)], request)?;
        let mut requests: Vec<RequestRecord> = rows.collect::<Result<_, _>>()?;
        requests.reverse();
        Ok(requests)
    }

    /// What came of these requests: each answer with its payload.
    pub fn results(
        &self,
        session: &str,
        requests: &[RequestId],
        question: u64,
        mut give: impl FnMut(Kept, Vec<Frame>),
    ) -> rusqlite::Result<()> {
        let mut select = self.connection.prepare_cached(
            "SELECT reply, uuid, frames, dropped, results.session FROM results
             JOIN sessions ON sessions.key = results.session WHERE sessions.id = ? AND request = ? ORDER BY position",
        )?;
        for request in requests {
            let mut rows = select.query(params![session, number(request.0)])?;
            while let Some(row) = rows.next()? {
                let (reply, frames): (Vec<u8>, Option<Vec<u8>>) = (row.get(0)?, row.get(2)?);
                let Ok(reply) = rmp_serde::from_slice::<Reply>(&reply) else { continue };
                let output = self.output(row.get(4)?, request.0, reply.position)?;
                let payload = frames.and_then(|frames| rmp_serde::from_slice(&frames).ok()).unwrap_or_default();
                let (engine_uuid, dropped) = (row.get(1)?, row.get(3)?);
                let reply = Reply { segments: vec![], ..reply };
                give(Kept { number: question, reply, engine_uuid, output, dropped }, payload);
            }
        }
        Ok(())
    }

    fn output(&self, session: i64, request: u64, position: u32) -> rusqlite::Result<Vec<(EngineId, Stream, String)>> {
        let mut select = self.connection.prepare_cached(
            "SELECT engine, stream, text FROM outputs WHERE session = ? AND request = ? AND position = ? ORDER BY number",
        )?;
        let rows = select.query_map(params![session, number(request), position], |row| {
            Ok((EngineId(row.get(0)?), stream(row.get_ref(1)?.as_str()?), row.get(2)?))
        })?;
        rows.collect()
    }

    /// Forgets the tasks that a filter means, and drops their results. Returns how many there were. `now`: seconds since 1970.
    /// That a task was purged stays: it comes once more when the log is replayed.
    pub fn purge(&self, filter: &Filter, session: Option<&str>, now: f64) -> rusqlite::Result<u64> {
        let condition = condition(filter, session);
        let meant = format!(
            "(session, request, position) IN (
                SELECT tasks.session, tasks.request, tasks.position FROM tasks
                JOIN sessions ON sessions.key = tasks.session JOIN names ON names.key = tasks.name WHERE {})",
            condition.text()
        );
        let meant_values = || params_from_iter(condition.values.clone());
        let transaction = self.connection.unchecked_transaction()?;
        let drop = drop_results("purged", "it was asked for", now);
        self.connection.execute(&format!("{drop} WHERE dropped IS NULL AND {meant}"), meant_values())?;
        self.connection.execute(&format!("DELETE FROM outputs WHERE {meant}"), meant_values())?;
        let forget = format!("UPDATE tasks SET state = '{PURGED}', why = NULL WHERE {meant}");
        let purged = self.connection.execute(&forget, meant_values())?;
        transaction.commit()?;
        Ok(purged as u64)
    }
}

fn task(row: &Row<'_>) -> rusqlite::Result<TaskRecord> {
    let (session, request, position): (String, u64, u32) = (row.get(0)?, unsigned(row, 1)?, row.get(2)?);
    let (why, dropped): (Option<String>, Option<String>) = (row.get(9)?, row.get(11)?);
    let bytes: Option<i64> = row.get(10)?;
    Ok(TaskRecord {
        id: format!("{}-{request}-{position}", begins(&session)),
        session,
        name: row.get(3)?,
        state: row.get(4)?,
        engine: row.get::<_, Option<u32>>(5)?.map(EngineId),
        submitted: row.get(6)?,
        started: row.get(7)?,
        completed: row.get(8)?,
        kept_bytes: bytes.filter(|_| dropped.is_none()).and_then(|bytes| u64::try_from(bytes).ok()),
        why: why.or(dropped),
        waits: Vec::new(),
        fits: false,
    })
}

/// What begins the ids of a session's tasks.
pub(crate) fn begins(session: &str) -> &str {
    session.get(..DIGITS).unwrap_or(session)
}

/// Numbers in SQLite have a sign.
fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|value| u64::try_from(value).unwrap_or_default())
}

fn request(row: &Row<'_>) -> rusqlite::Result<RequestRecord> {
    let targets: Option<String> = row.get(6)?;
    let targets: Option<Vec<EngineId>> = targets.and_then(|targets| serde_json::from_str(&targets).ok());
    let about: Option<Vec<u8>> = row.get(3)?;
    Ok(RequestRecord {
        request: RequestId(unsigned(row, 0)?),
        count: targets.as_ref().map_or(1, |targets| u32::try_from(targets.len()).unwrap_or(u32::MAX)),
        done: row.get(7)?,
        part: unsigned(row, 4)?,
        op: Op::from_name(row.get_ref(1)?.as_str()?).unwrap_or(Op::Apply),
        name: row.get(2)?,
        about: about.map(Into::into),
        submitted: row.get(5)?,
        targets,
    })
}
