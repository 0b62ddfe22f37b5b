//! The connection to a controller, and what it is asked about tasks and sessions.

use super::ids::{TaskName, call_of};
use crate::clusters::no_such_cluster;
use crate::failures;
use crate::journals;
use ipclusterz_base::connection::{ConnectionError, ConnectionFile};
use ipclusterz_base::ids::RequestId;
use ipclusterz_base::words::printable;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::suggestion::nearest;
use ipclusterz_launchers::cluster::ClusterFolder;
use ipclusterz_runtime::client::{Answered, Client, ClientError};
use ipclusterz_runtime::wire::message::{Ask, Filter, SessionRecord, TaskRecord};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

/// How long the controller may take for any answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most requests that are named in one question.
const NAMED_MOST: usize = 4096;
/// How a task is under way.
pub const OPEN: [&str; 4] = ["queued", "waiting", "held", "running"];
/// How a task has ended that did not succeed.
pub const FAILED: [&str; 7] = ["error", "aborted", "lost", "rejected", "rank_lost", "impossible", "timed_out"];

/// Whether a task has not ended.
pub fn is_open(task: &TaskRecord) -> bool {
    OPEN.contains(&task.state.as_str())
}

/// A client of the controller.
pub struct History {
    /// The cluster's name.
    pub cluster: String,
    client: Client,
}

impl History {
    /// Connects to the controller of a cluster.
    pub fn connect(cluster: &str) -> Result<History, Failure> {
        let folder = ClusterFolder::of(cluster)?;
        let file = ConnectionFile::read(&folder.client_file()).map_err(|error| match error {
            ConnectionError::Missing(_) => not_running(cluster, &folder),
            error => error.into(),
        })?;
        let client = Client::connect(&file, PATIENCE).map_err(failures::of_client)?;
        Ok(History { cluster: cluster.to_owned(), client })
    }

    /// Asks.
    pub fn ask(&self, ask: Ask) -> Result<Answered, Failure> {
        self.client.query(ask, PATIENCE).map_err(|error| match error {
            ClientError::NoHistory(why) => {
                Failure::new(Exit::Failure, format!("cluster {:?}: {}", self.cluster, printable(&why)))
            }
            error => failures::of_client(error),
        })
    }

    /// All sessions but this command's own.
    pub fn sessions(&self) -> Result<Vec<SessionRecord>, Failure> {
        let own = self.client.session().map(|session| session.id).unwrap_or_default();
        let mut sessions = self.ask(Ask::Sessions)?.found.sessions;
        sessions.retain(|session| session.id != own);
        Ok(sessions)
    }

    /// Tasks that a filter means. Fails if it names a session that there never was, as far as that is known.
    pub fn tasks(&self, filter: Filter) -> Result<Vec<TaskRecord>, Failure> {
        let Some(typed) = filter.session.clone() else { return Ok(self.ask(Ask::Tasks(filter))?.found.tasks) };
        let session = self.session(&typed)?;
        Ok(self.ask(Ask::Tasks(Filter { session: Some(session), ..filter }))?.found.tasks)
    }

    /// The name of a session, of which that or the beginning of its id was typed. Fails if nothing is known of it.
    pub fn session(&self, typed: &str) -> Result<String, Failure> {
        let sessions = self.sessions()?;
        let known = sessions.iter().find(|session| session.name == typed);
        let begins = || sessions.iter().find(|session| typed.len() >= 8 && session.id.starts_with(typed));
        if let Some(session) = known.or_else(begins) {
            return Ok(session.name.clone());
        }
        // One that is over is known by the beginning of its id.
        let is_id = typed.len() >= 8 && typed.bytes().all(|byte| byte.is_ascii_hexdigit());
        let filter = Filter { session: Some(typed.to_owned()), limit: Some(1), ..Filter::default() };
        if is_id && !self.ask(Ask::Tasks(filter))?.found.tasks.is_empty() {
            return Ok(typed.to_owned());
        }
        let names: Vec<&str> = sessions.iter().map(|session| session.name.as_str()).collect();
        Err(no_such_session(typed, &names))
    }

    /// The tasks that are named. Fails if one of them is not known.
    pub fn named(&self, names: &[TaskName]) -> Result<Vec<TaskRecord>, Failure> {
        let sessions = self.sessions()?;
        let mut of_sessions: BTreeMap<&str, BTreeSet<RequestId>> = BTreeMap::new();
        for name in names {
            of_sessions.entry(&name.session).or_default().insert(name.request);
        }
        let mut tasks = Vec::new();
        for (begins, requests) in of_sessions {
            let session = sessions.iter().find(|session| session.id.starts_with(begins));
            let session = session.map_or_else(|| begins.to_owned(), |session| session.name.clone());
            let requests: Vec<RequestId> = requests.into_iter().collect();
            for requests in requests.chunks(NAMED_MOST) {
                let (session, requests) = (Some(session.clone()), Some(requests.to_vec()));
                tasks.extend(self.ask(Ask::Tasks(Filter { session, requests, ..Filter::default() }))?.found.tasks);
            }
        }
        let wanted: HashSet<String> = names.iter().map(TaskName::text).collect();
        tasks.retain(|task| wanted.contains(&task.id) || wanted.contains(call_of(&task.id)));
        let found: HashSet<&str> = tasks.iter().flat_map(|task| [task.id.as_str(), call_of(&task.id)]).collect();
        match names.iter().find(|name| !found.contains(name.text().as_str())) {
            None => Ok(tasks),
            Some(unknown) => {
                let message = format!("there is no task {:?} in cluster {:?}", unknown.typed, self.cluster);
                Err(Failure::new(Exit::Usage, message).with_hint("`ipclusterz tasks list` lists those that are known"))
            }
        }
    }

    /// Gives up requests of a session.
    pub fn abort(&self, session: &str, requests: &[RequestId], interrupt: bool) -> Result<(), Failure> {
        for some in requests.chunks(NAMED_MOST) {
            self.client.abort_in(session, Some(some.to_vec()), interrupt, false).map_err(failures::of_client)?;
        }
        Ok(())
    }

    /// Waits for a moment. Fails if the cluster has ended meanwhile.
    pub fn pause(&self, time: Duration) -> Result<(), Failure> {
        self.client.wait_event(time).map_err(failures::of_client).map(drop)
    }
}

/// The failure for a cluster that does not run.
fn not_running(cluster: &str, folder: &ClusterFolder) -> Failure {
    if !folder.journal().exists() || folder.handle_file().exists() {
        return no_such_cluster(cluster);
    }
    match journals::left_by(cluster, folder, false) {
        None => no_such_cluster(cluster),
        Some(kept) => {
            let message = format!("cluster {cluster:?} does not run; it has left a journal: {}", kept.content());
            Failure::new(Exit::NoCluster, message).with_hint(kept.hint())
        }
    }
}

fn no_such_session(typed: &str, names: &[&str]) -> Failure {
    let failure = Failure::new(Exit::Usage, format!("there is no session {typed:?}"));
    if names.is_empty() {
        return failure.with_hint("there are no sessions: no client is connected, and none has left anything");
    }
    let likely = nearest(typed, names.iter().copied()).map(|likely| format!("did you mean {likely:?}? "));
    let known: Vec<String> = names.iter().map(|name| printable(name).into_owned()).collect();
    failure.with_hint(format!("{}sessions there are: {}", likely.unwrap_or_default(), known.join(", ")))
}
