//! The client.

use crate::buffers::Sources;
use crate::engine::{Activities, activities};
use crate::errors;
use crate::following::Follower;
use crate::pending::{Again, Pending};
use crate::process::OfProcess;
use crate::waiting::{deadline, duration, say, telling, wait, wait_and};
use ipclusterz_base::connection::ConnectionFile;
use ipclusterz_base::ids::{EngineId, RequestId};
use ipclusterz_guard::guarded;
use ipclusterz_runtime::client::events::{TimelineError, timeline};
use ipclusterz_runtime::client::{Client as Core, ClientError, Item, Submission};
use ipclusterz_runtime::wire::bounds::in_terms;
use ipclusterz_runtime::wire::message::{Ask, Op, Terms};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PySequence, PyTuple};
use std::collections::HashMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So many runs of tasks that a call waits for have room in one message.
const RUNS_MAX: usize = 8192;
/// How long `submit` waits for room before it says why.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a submission was made of is kept with its answers, unless it has more bytes.
const AGAIN_MAX: u64 = 1 << 20;
/// How long whoever takes up what another client has submitted waits for what is there.
const ADOPTION: Duration = Duration::from_secs(10);
/// How long a question waits before it looks at signals.
const SLICE: Duration = Duration::from_millis(40);
/// Longest time that one question about events waits.
const LOOK: Duration = Duration::from_secs(10);
/// How long a controller may take to answer it.
const ANSWER: Duration = Duration::from_secs(30);

/// A connection to a controller.
#[pyclass(frozen, module = "ipclusterz._core")]
pub struct Client {
    core: OfProcess<Arc<Core>>,
    /// Begins its message ids.
    name: Arc<str>,
    #[pyo3(get)]
    uuid: String,
    #[pyo3(get)]
    cluster: String,
    /// Changes with every start of the cluster.
    #[pyo3(get)]
    run_id: String,
}

/// Its name, what ids begin with, the last number of a request, and from whom it was taken over.
type OfSession = (String, String, u64, Option<String>);

/// What is known of a result, as JSON, and the frames of its value.
type Kept = (String, Vec<Py<PyBytes>>);

enum Stopped {
    Failed(ClientError),
    Signal(PyErr),
}

impl From<ClientError> for Stopped {
    fn from(error: ClientError) -> Self {
        Stopped::Failed(error)
    }
}

#[guarded]
#[pymethods]
impl Client {
    #[new]
    #[pyo3(signature = (connection_file, timeout, *, address = None, text = None, session = None))]
    fn new(
        py: Python<'_>,
        connection_file: &str,
        timeout: f64,
        address: Option<&str>,
        text: Option<&str>,
        session: Option<&str>,
    ) -> PyResult<Self> {
        let path = Path::new(connection_file);
        let file = match text {
            Some(text) => ConnectionFile::parse(text, path),
            None => ConnectionFile::read(path),
        };
        let file = match address {
            Some(address) => file.and_then(|file| file.at(address)),
            None => file,
        };
        let file = file.map_err(|error| errors::of_connection(py, &error))?;
        let timeout = duration(timeout)?;
        let check = || Python::attach(|py| py.check_signals()).map_err(Stopped::Signal);
        let connect = || match session {
            Some(name) => Core::connect_to_session(name, &file, timeout, check),
            None => Core::connect_with(&file, timeout, check),
        };
        match py.detach(connect) {
            Ok(core) => Ok(Client {
                name: core.name().into(),
                uuid: core.uuid().to_owned(),
                cluster: core.cluster().to_owned(),
                run_id: file.run_id,
                core: OfProcess::new(Arc::new(core)),
            }),
            Err(Stopped::Signal(error)) => Err(error),
            Err(Stopped::Failed(error)) => Err(errors::of_client(py, &error)),
        }
    }

    #[getter]
    fn address(&self) -> PyResult<String> {
        Ok(self.core.get()?.address())
    }

    #[getter]
    fn closed(&self) -> PyResult<bool> {
        Ok(self.core.here().is_none_or(|core| core.is_closed()))
    }

    /// The process that made it, if this one is a fork of that.
    #[getter]
    fn forked_from(&self) -> PyResult<Option<u32>> {
        Ok(self.core.forked_from())
    }

    #[pyo3(signature = (
        op, items, *, function = None, retries = 0, engines = None, duration = None, collective = false,
        timeout = None, keep = None, name = None, about = None, terms = None,
    ))]
    #[allow(clippy::too_many_arguments, reason = "keywords in Python")]
    fn submit(
        &self,
        py: Python<'_>,
        op: &str,
        items: &Bound<'_, PySequence>,
        function: Option<(Bound<'_, PyBytes>, Bound<'_, PyBytes>)>,
        retries: u32,
        engines: Option<Vec<u32>>,
        duration: Option<f64>,
        collective: bool,
        timeout: Option<f64>,
        keep: Option<&str>,
        name: Option<&str>,
        about: Option<&[u8]>,
        terms: Option<&str>,
    ) -> PyResult<Pending> {
        let core = self.core.get()?;
        let op = Op::from_name(op).ok_or_else(|| {
            let names = Op::ALL.map(Op::name).join(", ");
            PyValueError::new_err(format!("no operation {op:?}; there are: {names}"))
        })?;
        let function_given = function.as_ref().map(|(hash, code)| (hash.clone().unbind(), code.clone().unbind()));
        let function = match &function {
            Some((hash, code)) => {
                let hash = hash.as_bytes().try_into();
                Some((hash.map_err(|_| PyValueError::new_err("a function's hash has 16 bytes"))?, code.as_bytes()))
            }
            None => None,
        };
        let mut prepared = Vec::new();
        for item in items.try_iter()? {
            prepared.push(pack_item(py, core, &item?)?);
        }
        if core.is_full() {
            wait_for_room(py, core)?;
        }
        let counts = prepared.iter().map(|item| item.targets.as_ref().map_or(1, Vec::len)).collect();
        let bytes = prepared.iter().map(|item| item.packed.bytes).fold(0, u64::saturating_add);
        let again = (bytes <= AGAIN_MAX && keep.is_none()).then(|| Again {
            op,
            items: items.clone().unbind(),
            function: function_given,
            retries,
            engines: engines.clone(),
            duration,
            collective,
            timeout,
            name: name.map(str::to_owned),
            about: about.map(<[u8]>::to_vec),
            terms: terms.map(str::to_owned),
        });
        let bad = |error: serde_json::Error| PyValueError::new_err(format!("terms: {error}"));
        let mut terms: Option<Terms> = terms.map(serde_json::from_str).transpose().map_err(bad)?;
        // A controller puts out who sends anything else.
        check_terms(terms.as_mut())
            .map_err(|what| PyValueError::new_err(format!("a call cannot ask for that: {what}")))?;
        let engines = engines.map(engine_ids);
        let engines = engines.as_deref();
        let submission = Submission {
            op,
            function,
            retries,
            engines,
            duration,
            collective,
            timeout,
            keep,
            name,
            about,
            terms: terms.as_ref(),
        };
        let (first, inner) = core.submit(submission, prepared).map_err(|error| errors::of_client(py, &error))?;
        let (client, client_name) = (Arc::downgrade(core), Arc::clone(&self.name));
        Ok(Pending { inner: OfProcess::new(inner), client, client_name, counts, first, again })
    }

    /// The session: its name, what the ids of its tasks begin with, the last number of a request when this client came, and
    /// from whom it was taken over. None: the controller knows no sessions with names.
    #[getter]
    fn session(&self) -> PyResult<Option<OfSession>> {
        let session = self.core.get()?.session();
        Ok(session.map(|session| (session.name, self.name.to_string(), session.last_request.0, session.taken_from)))
    }

    /// Asks about work of the past: question and answer are JSON. Values of results come beside it: for each its frames.
    fn query(&self, py: Python<'_>, ask: &str, timeout: f64) -> PyResult<(String, Vec<Kept>)> {
        let bad = |error: serde_json::Error| PyValueError::new_err(error.to_string());
        let ask: Ask = serde_json::from_str(ask).map_err(bad)?;
        let deadline = Instant::now() + duration(timeout)?;
        let core = self.core.get()?;
        let number = core.ask(ask).map_err(|error| errors::of_client(py, &error))?;
        let step = |slice: Duration| core.is_answered(number, slice.min(SLICE)).then_some(());
        let waited = wait_told(py, core, Some(deadline), step);
        let answered = core.answer(number, Duration::ZERO);
        let answered = match waited? {
            Some(()) => answered,
            None => answered.map_err(|_| ClientError::Timeout(timeout)),
        };
        let answered = answered.map_err(|error| errors::of_client(py, &error))?;
        let mut kept = Vec::new();
        for (result, parts) in answered.kept {
            let frames = parts.iter().map(|part| PyBytes::new(py, part).unbind()).collect();
            kept.push((serde_json::to_string(&result).map_err(bad)?, frames));
        }
        Ok((serde_json::to_string(&answered.found).map_err(bad)?, kept))
    }

    /// What has happened since `follower` has read last, each event as JSON; waits for that, up to `wait` seconds.
    fn follow(&self, py: Python<'_>, follower: &Follower, wait: f64) -> PyResult<Vec<String>> {
        let core = self.core.get()?;
        let mut reader = follower.reader();
        let wait = duration(wait)?.min(LOOK);
        let number = reader.ask(core, wait).map_err(|error| errors::of_client(py, &error))?;
        let step = |slice: Duration| core.is_answered(number, slice.min(SLICE)).then_some(());
        let waited = wait_told(py, core, Some(Instant::now() + wait + ANSWER), step);
        let news = reader.answer(core, number, Duration::ZERO);
        waited?;
        let news = news.map_err(|error| errors::of_client(py, &error))?;
        Ok(py.detach(|| follower.has_read(reader, &news)))
    }

    /// Writes a timeline of what has happened since then to a file. How many events it is made of.
    fn timeline(&self, py: Python<'_>, path: PathBuf, since: f64) -> PyResult<u64> {
        let core = self.core.get()?;
        let write = || timeline(core, since, BufWriter::new(File::create(&path)?));
        py.detach(write).map_err(|error| match error {
            TimelineError::Client(error) => errors::of_client(py, &error),
            TimelineError::Write(error) => PyErr::from(error),
        })
    }

    /// Awaits answers to consecutive requests of this session from `first` on, which another client has submitted; with the
    /// engines that each is for (None: any, one answer).
    fn adopt(&self, py: Python<'_>, first: u64, targets: Vec<Option<Vec<u32>>>, submitted: f64) -> PyResult<Pending> {
        let core = self.core.get()?;
        let targets: Vec<Vec<Option<EngineId>>> = targets
            .into_iter()
            .map(|engines| engines.map_or_else(|| vec![None], |ids| ids.into_iter().map(EngineId).map(Some).collect()))
            .collect();
        let first = RequestId(first);
        let adopted = core.adopt(first, &targets, submitted).map_err(|error| errors::of_client(py, &error))?;
        let (inner, questions) = adopted;
        // What is there is here then. If it takes long, it follows.
        let step = |slice: Duration| {
            let answered = questions.iter().all(|number| core.is_answered(*number, slice.min(SLICE)));
            answered.then_some(())
        };
        wait_told(py, core, Some(Instant::now() + ADOPTION), step)?;
        let (client, client_name) = (Arc::downgrade(core), Arc::clone(&self.name));
        let counts = targets.iter().map(Vec::len).collect();
        Ok(Pending { inner: OfProcess::new(inner), client, client_name, counts, first, again: None })
    }

    /// Aborts these requests of another session, or all.
    fn abort_in(
        &self,
        py: Python<'_>,
        session: &str,
        requests: Option<Vec<u64>>,
        interrupt: bool,
        force: bool,
    ) -> PyResult<()> {
        let requests = requests.map(|requests| requests.into_iter().map(RequestId).collect());
        let aborted = self.core.get()?.abort_in(session, requests, interrupt, force);
        aborted.map_err(|error| errors::of_client(py, &error))
    }

    /// Aborts consecutive requests, from the first one to before `end`.
    fn abort_requests(&self, py: Python<'_>, first: u64, end: u64, interrupt: bool, force: bool) -> PyResult<()> {
        let aborted = self.core.get()?.abort_requests(RequestId(first)..RequestId(end), interrupt, force);
        aborted.map_err(|error| errors::of_client(py, &error))
    }

    fn engine_ids(&self, py: Python<'_>) -> PyResult<Vec<u32>> {
        let ids = self.core.get()?.engine_ids().map_err(|error| errors::of_client(py, &error))?;
        Ok(ids.into_iter().map(|id| id.0).collect())
    }

    fn engine_uuid(&self, engine_id: u32) -> PyResult<Option<String>> {
        Ok(self.core.get()?.engine_uuid(EngineId(engine_id)))
    }

    fn what_became_of(&self, py: Python<'_>, engine_id: u32) -> PyResult<Option<String>> {
        let core = self.core.get()?;
        Ok(py.detach(|| core.what_became_of(EngineId(engine_id))))
    }

    #[pyo3(signature = (n, timeout))]
    fn wait_for_engines(&self, py: Python<'_>, n: usize, timeout: Option<f64>) -> PyResult<bool> {
        let core = self.core.get()?;
        let step = |slice| match core.wait_for_engines(n, slice) {
            Ok(true) => Some(Ok(())),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        };
        match wait_told(py, core, deadline(timeout)?, step)? {
            Some(result) => result.map(|()| true).map_err(|error| errors::of_client(py, &error)),
            None => Ok(false),
        }
    }

    #[pyo3(signature = (message_ids, timeout))]
    fn wait_requests(&self, py: Python<'_>, message_ids: Option<Vec<String>>, timeout: Option<f64>) -> PyResult<bool> {
        let core = self.core.get()?;
        let ids = message_ids.map(|texts| core.answer_ids(&texts)).transpose();
        let mut ids = ids.map_err(|error| PyValueError::new_err(error.to_string()))?;
        let step = |slice| match core.wait_answers(ids.as_mut(), slice) {
            Ok(true) => Some(Ok(())),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        };
        match wait_told(py, core, deadline(timeout)?, step)? {
            Some(result) => result.map(|()| true).map_err(|error| errors::of_client(py, &error)),
            None => Ok(false),
        }
    }

    /// For a thread of its own, which gets no signals: it waits without the interpreter until there is something.
    fn next_watched(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        let core = self.core.here();
        Ok(core.and_then(|core| py.detach(|| core.watched().next())))
    }

    /// Id of the engine and line of JSON of each comm message since the last call.
    fn take_comms(&self) -> PyResult<Vec<(u32, String)>> {
        let taken = self.core.here().map(|core| core.watched().take_comms()).unwrap_or_default();
        Ok(taken.into_iter().map(|(engine, line)| (engine.0, line)).collect())
    }

    fn stop_watching(&self) -> PyResult<()> {
        if let Some(core) = self.core.here() {
            core.watched().stop();
        }
        Ok(())
    }

    #[pyo3(signature = (targets, all_clients, interrupt, force = false))]
    fn abort_all(
        &self,
        py: Python<'_>,
        targets: Option<Vec<u32>>,
        all_clients: bool,
        interrupt: bool,
        force: bool,
    ) -> PyResult<()> {
        let aborted = self.core.get()?.abort_all(targets.map(engine_ids), all_clients, interrupt, force);
        aborted.map_err(|error| errors::of_client(py, &error))
    }

    fn interrupt(&self, py: Python<'_>, targets: Vec<u32>) -> PyResult<()> {
        self.core.get()?.interrupt(engine_ids(targets)).map_err(|error| errors::of_client(py, &error))
    }

    fn retire(&self, py: Python<'_>, targets: Vec<u32>) -> PyResult<()> {
        self.core.get()?.retire(engine_ids(targets)).map_err(|error| errors::of_client(py, &error))
    }

    #[pyo3(signature = (targets))]
    fn shutdown(&self, py: Python<'_>, targets: Option<Vec<u32>>) -> PyResult<()> {
        self.core.get()?.request_shutdown(targets.map(engine_ids)).map_err(|error| errors::of_client(py, &error))
    }

    /// Why nothing comes for now; None: nothing is known to be wrong.
    #[getter]
    fn trouble(&self) -> PyResult<Option<String>> {
        Ok(self.core.here().and_then(|core| core.trouble()))
    }

    fn status(&self, py: Python<'_>, timeout: f64) -> PyResult<String> {
        let timeout = duration(timeout)?;
        let core = self.core.get()?;
        let status = py.detach(|| core.status(timeout)).map_err(|error| errors::of_client(py, &error))?;
        serde_json::to_string(&status).map_err(|error| PyValueError::new_err(error.to_string()))
    }

    /// Calls that wait here until the controller has room for them, and their bytes.
    fn unsent(&self) -> PyResult<(usize, u64)> {
        Ok(self.core.get()?.unsent())
    }

    /// What engines are doing: id to `(busy, stack, calls)`, or to None where there is no such engine.
    fn inspect(&self, py: Python<'_>, engines: Vec<u32>, timeout: f64) -> PyResult<Activities> {
        let (engines, timeout) = (engine_ids(engines), duration(timeout)?);
        let core = self.core.get()?;
        let found = py.detach(|| core.inspect(&engines, timeout)).map_err(|error| errors::of_client(py, &error))?;
        Ok(activities(found))
    }

    /// Has the processes of engines get a signal: id to whether it does, or to None where there is no such engine.
    fn signal(
        &self,
        py: Python<'_>,
        engines: Vec<u32>,
        number: i32,
        timeout: f64,
    ) -> PyResult<HashMap<u32, Option<bool>>> {
        let (engines, timeout) = (engine_ids(engines), duration(timeout)?);
        let core = self.core.get()?;
        let told =
            py.detach(|| core.signal(&engines, number, timeout)).map_err(|error| errors::of_client(py, &error))?;
        Ok(told.into_iter().map(|(id, activity)| (id.0, activity.map(|activity| activity.signalled))).collect())
    }

    /// Who has taken the session over, in words; None: nobody has.
    #[getter]
    fn taken(&self) -> PyResult<Option<String>> {
        Ok(self.core.here().and_then(|core| core.taken()))
    }

    /// All that was submitted here, in order: runs of submissions that are alike. For each the first number of a request, the
    /// requests of a submission, the answers of a request, and how many submissions there are.
    fn submitted(&self, py: Python<'_>) -> PyResult<Vec<(u64, u64, u32, u64)>> {
        let runs = self.core.get()?.submitted().map_err(|error| errors::of_client(py, &error))?;
        Ok(runs.into_iter().map(|run| (run.first.0, run.requests, run.answers, run.times)).collect())
    }

    /// How many answers will not come if this client leaves a session without a name, and how many are missing in all.
    fn unanswered(&self) -> PyResult<(usize, usize)> {
        Ok(self.core.here().map_or((0, 0), |core| core.unanswered()))
    }

    /// Before a session with a name is left: waits until the controller has all that was submitted. False: the deadline.
    fn leave(&self, py: Python<'_>, timeout: f64) -> PyResult<bool> {
        let core = self.core.get()?;
        let mut left = false;
        let step = |slice| match core.leave(&mut left, slice) {
            Ok(true) => Some(Ok(())),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        };
        match wait(py, deadline(Some(timeout))?, step)? {
            Some(result) => result.map(|()| true).map_err(|error| errors::of_client(py, &error)),
            None => Ok(false),
        }
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if let Some(core) = self.core.here() {
            py.detach(|| core.close());
        }
        Ok(())
    }
}

/// Says what is wrong with terms, if anything is.
fn check_terms(terms: Option<&mut Terms>) -> Result<(), String> {
    let Some(terms) = terms else { return Ok(()) };
    in_terms(terms).map_err(|error| error.to_string())?;
    let named = [&terms.after, &terms.follow].into_iter().flatten().map(|dependency| dependency.on.len());
    let named = named.fold(0, usize::saturating_add);
    if named > RUNS_MAX {
        return Err(format!(
            "it waits for {named} runs of tasks, and {RUNS_MAX} are the most: wait for one that waits for them"
        ));
    }
    Ok(())
}

/// One item: `(targets or None, buffers)`.
fn pack_item(py: Python<'_>, core: &Core, item: &Bound<'_, PyAny>) -> PyResult<Item> {
    let item = item.cast::<PyTuple>()?;
    let (targets, frames) = (item.get_item(0)?, item.get_item(1)?);
    let targets = if targets.is_none() { None } else { Some(engine_ids(targets.extract::<Vec<u32>>()?)) };
    let sources = Sources::hold(&frames)?;
    let packed = sources.copy(py, |slices| core.pack(slices));
    Ok(Item { targets, packed: packed.map_err(|error| errors::of_client(py, &error))? })
}

/// Waits, and says why nothing comes.
fn wait_told<T: Send>(
    py: Python<'_>,
    core: &Core,
    deadline: Option<Instant>,
    step: impl FnMut(Duration) -> Option<T> + Send,
) -> PyResult<Option<T>> {
    let mut tell = telling(py, || core.news(&[]));
    wait_and(py, deadline, step, || {
        tell();
        Ok(())
    })
}

fn wait_for_room(py: Python<'_>, core: &Core) -> PyResult<()> {
    let step = |slice| core.wait_for_room(slice).then_some(());
    if wait(py, Some(Instant::now() + PATIENCE), step)?.is_none() {
        say(py, "more than 1 GiB waits to be sent; submitting goes on as engines finish");
        wait_told(py, core, None, step)?;
    }
    Ok(())
}

fn engine_ids(ids: Vec<u32>) -> Vec<EngineId> {
    ids.into_iter().map(EngineId).collect()
}
