//! The history in an SQLite database. One writer, no other reader.
//!
//! What stands here follows from the journal since its last image, so a commit need not reach the disk at once: `checkpoint`
//! brings it there before the journal begins anew.

use super::entry::{Done, Entry, Submitted};
use crate::wire::Frame;
use crate::wire::message::{Op, Reply, Stream};
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

/// The version of the tables: a database of another one is begun anew.
const VERSION: i64 = 1;

const TABLES: &str = "
CREATE TABLE sessions (key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE);
CREATE TABLE names (key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE tasks (
    session INTEGER, request INTEGER, position INTEGER, name INTEGER, state TEXT, engine INTEGER, submitted REAL,
    started REAL, completed REAL, why TEXT, PRIMARY KEY (session, request, position)) WITHOUT ROWID;
CREATE TABLE requests (
    session INTEGER, request INTEGER, op TEXT, name INTEGER, about BLOB, part INTEGER, submitted REAL, targets TEXT,
    PRIMARY KEY (session, request)) WITHOUT ROWID;
CREATE TABLE results (
    key INTEGER PRIMARY KEY, session INTEGER, request INTEGER, position INTEGER, reply BLOB, uuid TEXT, frames BLOB,
    bytes INTEGER, kept REAL, dropped TEXT, UNIQUE (session, request, position));
CREATE TABLE outputs (
    session INTEGER, request INTEGER, position INTEGER, number INTEGER, engine INTEGER, stream TEXT, text TEXT,
    PRIMARY KEY (session, request, position, number)) WITHOUT ROWID;
";

/// The state of a task that is none any more.
pub(super) const PURGED: &str = "purged";

/// Most bytes that one result may have to be kept.
const RESULT_MAX: u64 = 512 << 20;

/// For how long results are kept, and how many bytes of them.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Keep {
    /// As long.
    pub time: Duration,
    /// As many.
    pub bytes: u64,
    /// So many tasks are remembered.
    pub tasks: u64,
}

impl Default for Keep {
    fn default() -> Self {
        Keep { time: Duration::from_secs(24 * 3600), bytes: 1 << 30, tasks: 1_000_000 }
    }
}

/// A table that gives texts numbers.
struct Texts {
    table: &'static str,
    column: &'static str,
}

const SESSIONS: Texts = Texts { table: "sessions", column: "id" };
const NAMES: Texts = Texts { table: "names", column: "name" };

/// Most texts of a table whose numbers are remembered: almost all tasks have the same few.
const KNOWN_MAX: usize = 1024;

/// The database.
pub struct Store {
    /// The numbers of texts that were used lately, by their table.
    keys: RefCell<HashMap<&'static str, HashMap<String, i64>>>,
    pub(super) connection: Connection,
    /// When the core's clock began, seconds since 1970.
    began: f64,
}

impl Store {
    /// Opens the database at `path`, or makes it. `began`: when the core's clock began, seconds since 1970.
    pub fn open(path: &Path, began: f64) -> rusqlite::Result<Store> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version != VERSION {
            drop_all(&connection)?;
            connection.execute_batch(TABLES)?;
            connection.pragma_update(None, "user_version", VERSION)?;
        }
        connection.set_prepared_statement_cache_capacity(64);
        Ok(Store { keys: RefCell::default(), connection, began })
    }

    /// The database at `path` as it is; `None` if there is none.
    pub fn look(path: &Path) -> rusqlite::Result<Option<Store>> {
        if !path.exists() {
            return Ok(None);
        }
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        Ok((version == VERSION).then_some(Store { keys: RefCell::default(), connection, began: 0.0 }))
    }

    /// Writes entries, all or none.
    pub fn write(&self, entries: &[Entry], now: f64) -> rusqlite::Result<()> {
        let transaction = self.connection.unchecked_transaction()?;
        let written =
            entries.iter().try_for_each(|entry| self.write_one(entry, now)).and_then(|()| transaction.commit());
        if written.is_err() {
            // Those of these entries are not in the database.
            self.keys.borrow_mut().clear();
        }
        written
    }

    fn write_one(&self, entry: &Entry, now: f64) -> rusqlite::Result<()> {
        match entry {
            Entry::Request { session, request, what } => self.write_request(session, request.0, what),
            Entry::Done { session, done } => self.write_done(session, done),
            Entry::Answer { session, reply, payload, uuid, dropped } => {
                self.write_answer(session, reply, payload, (uuid.as_deref(), dropped.clone()), now)
            }
            Entry::Output { session, request, position, number: place, engine, stream, text } => {
                let key = self.key(&SESSIONS, session)?;
                let mut insert = self.connection.prepare_cached(
                    "INSERT OR REPLACE INTO outputs (session, request, position, number, engine, stream, text)
                     SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE NOT EXISTS (
                        SELECT 1 FROM tasks
                        WHERE session = ?1 AND request = ?2 AND position = ?3 AND state = 'purged')",
                )?;
                let row = params![key, number(request.0), position, number(*place), engine.0, stream.name(), text];
                insert.execute(row).map(drop)
            }
        }
    }

    fn write_request(&self, session: &str, request: u64, what: &Submitted) -> rusqlite::Result<()> {
        let session = self.key(&SESSIONS, session)?;
        let name = self.key(&NAMES, name_of(what.name.as_deref(), what.op))?;
        let targets = what.targets.as_ref().and_then(|targets| serde_json::to_string(targets).ok());
        let mut insert = self.connection.prepare_cached(
            "INSERT OR REPLACE INTO requests (session, request, op, name, about, part, submitted, targets)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )?;
        let (part, submitted) = (number(what.part), self.wall(what.submitted));
        insert
            .execute(params![session, number(request), what.op.name(), name, what.about, part, submitted, targets])
            .map(drop)
    }

    fn write_done(&self, session: &str, done: &Done) -> rusqlite::Result<()> {
        let session = self.key(&SESSIONS, session)?;
        let name = self.key(&NAMES, name_of(done.name.as_deref(), done.op))?;
        let mut insert = self.connection.prepare_cached(
            "INSERT OR IGNORE INTO tasks
             (session, request, position, name, state, engine, submitted, started, completed, why)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?;
        let (engine, submitted) = (done.engine.map(|engine| engine.0), self.wall(done.submitted));
        let (request, (started, completed)) = (number(done.request.0), done.times);
        insert
            .execute(params![
                session,
                request,
                done.position,
                name,
                done.state,
                engine,
                submitted,
                started,
                completed,
                done.why
            ])
            .map(drop)
    }

    fn write_answer(
        &self,
        session: &str,
        reply: &Reply,
        payload: &[Frame],
        (uuid, gone): (Option<&str>, Option<String>),
        now: f64,
    ) -> rusqlite::Result<()> {
        let session = self.key(&SESSIONS, session)?;
        let bytes = payload.iter().map(|frame| frame.len() as u64).fold(0, u64::saturating_add);
        let dropped = (bytes > RESULT_MAX)
            .then(|| format!("it was not kept: it has {bytes} bytes, and at most {RESULT_MAX} are kept of one result"));
        let dropped = gone.or(dropped);
        let frames = dropped.is_none().then(|| packed(&payload)).flatten();
        let mut insert = self.connection.prepare_cached(
            "INSERT OR IGNORE INTO results (session, request, position, reply, uuid, frames, bytes, kept, dropped)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?;
        let reply_bytes = packed(reply);
        let (request, bytes) = (number(reply.request.0), number(bytes));
        insert
            .execute(params![session, request, reply.position, reply_bytes, uuid, frames, bytes, now, dropped])
            .map(drop)
    }

    /// The number of a text in a table of texts.
    fn key(&self, texts: &Texts, text: &str) -> rusqlite::Result<i64> {
        let mut known = self.keys.borrow_mut();
        let known = known.entry(texts.table).or_default();
        if let Some(key) = known.get(text) {
            return Ok(*key);
        }
        let Texts { table, column } = texts;
        let find = format!("SELECT key FROM {table} WHERE {column} = ?");
        let found = self.connection.prepare_cached(&find)?.query_row([text], |row| row.get(0)).optional()?;
        let insert = format!("INSERT INTO {table} ({column}) VALUES (?)");
        let key = found.map_or_else(|| self.connection.prepare_cached(&insert)?.insert([text]), Ok)?;
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(text.to_owned(), key);
        Ok(key)
    }

    /// A time of the core's clock in seconds since 1970.
    fn wall(&self, time: Duration) -> f64 {
        self.began + time.as_secs_f64()
    }

    /// Everything is on disk when this returns.
    pub fn checkpoint(&self) -> rusqlite::Result<()> {
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }

    /// Drops results that are kept for too long, or are too many, and forgets tasks that are too many. Returns how many results
    /// were dropped.
    pub fn prune(&self, keep: Keep, now: f64) -> rusqlite::Result<usize> {
        let (seconds, oldest) = (keep.time.as_secs_f64(), now - keep.time.as_secs_f64());
        // Two digits are enough.
        let long =
            if seconds < 3600.0 { format!("{seconds} s") } else { format!("{} h", (seconds / 36.0).round() / 100.0) };
        let too_old = drop_results("dropped", &format!("results are kept for {long} (controller.keep_results)"), now);
        let old = self.connection.execute(&format!("{too_old} WHERE kept < ? AND dropped IS NULL"), [oldest])?;
        let why = format!("{} MiB of results are kept (controller.keep_results_bytes)", keep.bytes >> 20);
        let too_many = drop_results("dropped", &why, now);
        let surplus = "SELECT key FROM (
            SELECT key, SUM(bytes) OVER (ORDER BY key DESC) AS sum FROM results WHERE dropped IS NULL) WHERE sum > ?";
        let many = self.connection.execute(&format!("{too_many} WHERE key IN ({surplus})"), [number(keep.bytes)])?;
        // Why they were dropped is said for as long again.
        self.connection.execute("DELETE FROM results WHERE kept < ? AND dropped IS NOT NULL", [oldest - seconds])?;
        self.prune_tasks(keep.tasks)?;
        Ok(old.saturating_add(many))
    }

    /// How many results are kept, and how many there are with those that were dropped.
    pub fn count_results(&self, keep: Keep, now: f64) -> rusqlite::Result<(u64, u64)> {
        let sql = "SELECT COALESCE(SUM(dropped IS NULL AND kept >= ?), 0), COUNT(*) FROM results";
        let oldest = now - keep.time.as_secs_f64();
        let (kept, all): (i64, i64) = self.connection.query_row(sql, [oldest], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok((kept.unsigned_abs(), all.unsigned_abs()))
    }

    fn prune_tasks(&self, most: u64) -> rusqlite::Result<()> {
        let count: i64 = self.connection.query_row("SELECT COUNT(*) FROM tasks", [], |row| row.get(0))?;
        let surplus = count.saturating_sub(number(most));
        if surplus <= 0 {
            return Ok(());
        }
        let border: f64 = self.connection.query_row(
            "SELECT submitted FROM tasks ORDER BY submitted LIMIT 1 OFFSET ?",
            [surplus.saturating_sub(1)],
            |row| row.get(0),
        )?;
        let meant = "(session, request, position) IN
            (SELECT session, request, position FROM tasks WHERE submitted <= ?)";
        let transaction = self.connection.unchecked_transaction()?;
        for table in ["outputs", "results"] {
            self.connection.execute(&format!("DELETE FROM {table} WHERE {meant}"), [border])?;
        }
        let of_these = "(session, request) IN (SELECT session, request FROM tasks WHERE submitted <= ?)";
        self.connection.execute(&format!("DELETE FROM requests WHERE {of_these}"), [border])?;
        self.connection.execute("DELETE FROM tasks WHERE submitted <= ?", [border])?;
        transaction.commit()
    }
}

/// The beginning of a statement that drops the values of results, and says when and why.
pub(super) fn drop_results(how: &str, why: &str, now: f64) -> String {
    format!(
        "UPDATE results SET frames = NULL, dropped =
         'it was {how} at ' || strftime('%Y-%m-%d %H:%M:%S', {now}, 'unixepoch') || ' UTC: {why}'"
    )
}

fn drop_all(connection: &Connection) -> rusqlite::Result<()> {
    let mut tables = connection.prepare("SELECT name FROM sqlite_master WHERE type = 'table'")?;
    let names: Vec<String> = tables.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    names.iter().try_for_each(|name| connection.execute_batch(&format!("DROP TABLE \"{name}\"")))
}

/// What a task is called: its function, or its operation.
pub(crate) fn name_of(name: Option<&str>, op: Op) -> &str {
    name.unwrap_or(op.name())
}

/// Numbers in SQLite have a sign.
pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Writing to memory fails for no value of these types.
fn packed<T: serde::Serialize + ?Sized>(value: &T) -> Option<Vec<u8>> {
    rmp_serde::to_vec_named(value).ok()
}

/// The stream that is called so.
pub(super) fn stream(name: &str) -> Stream {
    Stream::from_name(name).unwrap_or(Stream::Stdout)
}

/// For a list of values in a condition.
pub(super) fn places(values: &[Value]) -> String {
    vec!["?"; values.len()].join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::{Filter, Outcome};
    use ipclusterz_base::ids::{EngineId, RequestId};

    const SESSION: &str = "0f3c9a1e";

    /// A task that was submitted and answered at `time`, seconds since 1970, with so many bytes.
    fn remember(store: &Store, request: u64, time: f64, bytes: usize) {
        let (session, request) = (SESSION.to_owned(), RequestId(request));
        let submitted = Duration::from_secs_f64(time);
        let (op, name, about, part, targets) = (Op::Apply, None, None, 0, None);
        let what = Box::new(Submitted { op, name, about, part, submitted, targets });
        let (position, why, engine, times) = (0, None, Some(EngineId(0)), (time, time));
        let name = None;
        let done = Box::new(Done { request, position, op, name, submitted, state: "ok", why, engine, times });
        let (outcome, segments) = (Outcome::Ok, vec![]);
        let reply = Reply { request, position, outcome, engine, segments, started: time, completed: time };
        let payload = vec![Frame::from(vec![0; bytes])];
        let entries = [
            Entry::Request { session: session.clone(), request, what },
            Entry::Done { session: session.clone(), done },
            Entry::Answer { session, reply, payload, uuid: None, dropped: None },
        ];
        store.write(&entries, time).expect("an entry");
    }

    /// What is said of the result of a request, and whether its value is there; none: nothing is known of it.
    fn kept(store: &Store, request: u64) -> Option<(Option<String>, bool)> {
        let mut found = None;
        let give = |kept: crate::wire::message::Kept, payload: Vec<Frame>| {
            found = Some((kept.dropped, !payload.is_empty()));
        };
        store.results(SESSION, &[RequestId(request)], 1, give).expect("results");
        found
    }

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().expect("temporary folder");
        let store = Store::open(&folder.path().join("history"), 0.0).expect("a database");
        (folder, store)
    }

    const KEEP: Keep = Keep { time: Duration::from_secs(3600), bytes: 1000, tasks: 3 };

    #[test]
    fn what_is_too_old_or_too_much_is_dropped_and_says_when_and_why() {
        let (_folder, store) = store();
        remember(&store, 1, 1000.0, 10);
        remember(&store, 2, 5000.0, 600);
        remember(&store, 3, 5000.0, 600);
        assert_eq!(store.prune(KEEP, 5000.0).expect("pruned"), 2);
        let old = "it was dropped at 1970-01-01 01:23:20 UTC: results are kept for 1 h (controller.keep_results)";
        assert_eq!(kept(&store, 1), Some((Some(old.to_owned()), false)));
        let (why, there) = kept(&store, 2).expect("known");
        assert!(why.is_some_and(|why| why.contains("0 MiB of results are kept")) && !there);
        assert_eq!(kept(&store, 3), Some((None, true)));
        store.prune(KEEP, 8300.0).expect("pruned");
        assert_eq!(kept(&store, 1), None, "it is forgotten in the end");
    }

    #[test]
    fn what_is_purged_is_no_task_any_more_and_says_so() {
        let (_folder, store) = store();
        remember(&store, 1, 0.0, 10);
        remember(&store, 2, 0.0, 10);
        let filter = Filter { requests: Some(vec![RequestId(1)]), ..Filter::default() };
        assert_eq!(store.purge(&filter, Some(SESSION), 60.0).expect("purged"), 1);
        let why = "it was purged at 1970-01-01 00:01:00 UTC: it was asked for".to_owned();
        assert_eq!(kept(&store, 1), Some((Some(why), false)));
        let tasks = store.tasks(&Filter::default(), Some(SESSION)).expect("tasks");
        assert_eq!(tasks.iter().map(|task| task.id.as_str()).collect::<Vec<_>>(), ["0f3c9a1e-2-0"]);
        assert_eq!(kept(&store, 2), Some((None, true)));
    }

    #[test]
    fn what_is_purged_stays_so_when_the_log_is_replayed() {
        let (_folder, store) = store();
        remember(&store, 1, 0.0, 10);
        assert_eq!(store.purge(&Filter::default(), None, 60.0).expect("purged"), 1);
        remember(&store, 1, 0.0, 10);
        assert!(store.tasks(&Filter::default(), None).expect("tasks").is_empty());
        assert!(kept(&store, 1).is_some_and(|(why, there)| why.is_some() && !there));
        let (request, position, number) = (RequestId(1), 0, 1);
        let (session, engine, stream, text) = (SESSION.to_owned(), EngineId(0), Stream::Stdout, "told".to_owned());
        let output = Entry::Output { session, request, position, number, engine, stream, text };
        store.write(&[output], 61.0).expect("an entry");
        let count: i64 =
            store.connection.query_row("SELECT COUNT(*) FROM outputs", [], |row| row.get(0)).expect("a count");
        assert_eq!(count, 0);
        assert_eq!(store.purge(&Filter::default(), None, 62.0).expect("purged"), 0, "it was purged before");
    }

    #[test]
    fn a_task_that_is_forgotten_takes_along_all_that_is_known_of_it() {
        let (_folder, store) = store();
        (1..=5).for_each(|number| remember(&store, number, number as f64, 10));
        store.prune(KEEP, 5.0).expect("pruned");
        let requests = store.requests(SESSION).expect("requests");
        assert_eq!(requests.iter().map(|request| request.request.0).collect::<Vec<_>>(), [3, 4, 5]);
        assert_eq!((kept(&store, 2), kept(&store, 3)), (None, Some((None, true))));
    }
}
