//! The engine.

use crate::buffers::{Buffer, Sources};
use crate::errors;
use crate::process::OfProcess;
use crate::waiting::duration;
use ipclusterz_base::ids::{EngineId, FunctionHash, TaskId};
use ipclusterz_guard::guarded;
use ipclusterz_runtime::engine::{EndOfTime, Engine as Core, EngineConfig, MpiFunctions, StackFile, TaskHandle};
use ipclusterz_runtime::wire::Frame;
use ipclusterz_runtime::wire::message::{Activity, Broken, Rank, Resources, Stream, TaskOutcome};
use ipclusterz_runtime::wire::part::Part;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// How often an idle engine looks at signals.
const LOOK: Duration = Duration::from_millis(200);
/// How often code that waits to write looks at signals.
const WRITE: Duration = Duration::from_millis(50);
/// How long the content of an upload may take to come.
const FETCH: Duration = Duration::from_secs(600);

/// The outcome of a task that has failed, and may be started again.
const AGAIN: &str = "again";

/// By id of the engine: whether it is busy, its stack, its last MPI calls, and for how many seconds it is busy.
pub type Activities = BTreeMap<u32, Option<(bool, String, String, f64)>>;

/// The same, for Python.
pub fn activities(found: ipclusterz_runtime::inspections::Activities) -> Activities {
    let tell = |activity: Activity| (activity.busy, activity.stack, activity.calls, activity.seconds);
    found.into_iter().map(|(id, activity)| (id.0, activity.map(tell))).collect()
}

/// A registered engine; none once it has ended.
#[pyclass(frozen, module = "ipclusterz._core")]
pub struct Engine {
    core: OfProcess<Mutex<Option<Arc<Core>>>>,
    /// The task that was handed out last, until it is finished: what a signal's handler raises may come between.
    current: Mutex<Option<Py<Task>>>,
    /// What is to be called between two tasks.
    between: Mutex<VecDeque<Py<PyAny>>>,
    #[pyo3(get)]
    id: u32,
    #[pyo3(get)]
    uuid: String,
    #[pyo3(get)]
    cluster: String,
    /// Changes with every start of the cluster.
    #[pyo3(get)]
    run_id: String,
}

/// A task in the hands of user code.
#[pyclass(frozen, module = "ipclusterz._core")]
pub struct Task {
    handle: Mutex<TaskHandle>,
    #[pyo3(get)]
    id: u64,
    /// What to do, or "collective" when it is done together with others: then `kind` says what.
    #[pyo3(get)]
    op: &'static str,
    #[pyo3(get)]
    kind: &'static str,
    /// What it has of what the engine offers, as JSON; mostly nothing.
    #[pyo3(get)]
    needs: Option<String>,
    engine: Weak<Core>,
}

#[guarded]
#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (
        connection_file, engine_id, timeout, *, lease, end_timeout = 2.0, end_time = None, warn_before = 0.0, drain_before = 0.0,
        world = None, mpi = None, stack = None, group = None, agent = None, offers = None, capture = false,
    ))]
    #[allow(clippy::too_many_arguments, reason = "keywords in Python")]
    fn new(
        py: Python<'_>,
        connection_file: &str,
        engine_id: Option<u32>,
        timeout: f64,
        lease: f64,
        end_timeout: f64,
        end_time: Option<f64>,
        warn_before: f64,
        drain_before: f64,
        world: Option<(String, u32, u32, bool)>,
        mpi: Option<[usize; 5]>,
        stack: Option<(i32, i32)>,
        group: Option<String>,
        agent: Option<(PathBuf, PathBuf)>,
        offers: Option<&str>,
        capture: bool,
    ) -> PyResult<Self> {
        let bad = |error: serde_json::Error| PyValueError::new_err(format!("offers: {error}"));
        let offers: Option<Resources> = offers.map(serde_json::from_str).transpose().map_err(bad)?;
        let offers = offers.unwrap_or_default();
        let (timeout, lease, end_timeout) = (duration(timeout)?, duration(lease)?, duration(end_timeout)?);
        let (warn_before, drain_before) = (duration(warn_before)?, duration(drain_before)?);
        let end = end_time.map(|at| EndOfTime { at, warn_before, drain_before });
        let world = world.map(|(world, rank, size, survives)| Rank { world, rank, size, survives });
        // SAFETY: the package hands over what the extension module for MPI told; a module is never unloaded.
        let mpi = mpi.map(|addresses| unsafe { MpiFunctions::at(addresses) });
        let stack = stack.map(|(signal, descriptor)| StackFile::new(signal, descriptor));
        let wanted_id = engine_id.map(EngineId);
        let config = EngineConfig {
            wanted_id,
            timeout,
            lease,
            end_timeout,
            end,
            world,
            mpi,
            stack,
            group,
            agent,
            offers,
            capture,
        };
        let core = py.detach(|| Core::register(Path::new(connection_file), &config));
        let core = core.map_err(|error| errors::of_engine(py, &error))?;
        let (id, uuid) = (core.id().0, core.uuid().to_owned());
        let (cluster, run_id) = (core.cluster().to_owned(), core.run_id().to_owned());
        let core = OfProcess::new(Mutex::new(Some(Arc::new(core))));
        Ok(Engine { core, current: Mutex::default(), between: Mutex::default(), id, uuid, cluster, run_id })
    }

    #[getter]
    fn address(&self) -> PyResult<String> {
        Ok(self.core().map(|core| core.address()).unwrap_or_default())
    }

    fn next_task(&self, py: Python<'_>) -> PyResult<Option<Py<Task>>> {
        if let Some(task) = &*self.current() {
            return Ok(Some(task.clone_ref(py)));
        }
        let Some(core) = self.core() else { return Ok(None) };
        self.call_between(py, &core)?;
        if let Some(handle) = core.try_next() {
            return self.hand_out(py, handle, &core).map(Some);
        }
        loop {
            match py.detach(|| core.next(LOOK)) {
                Ok(Some(handle)) => return self.hand_out(py, handle, &core).map(Some),
                Ok(None) => {
                    py.check_signals()?;
                    self.call_between(py, &core)?;
                }
                Err(_ended) => {
                    // Sends what is left before the process ends.
                    let last = self.slot().and_then(|mut slot| slot.take());
                    py.detach(|| drop((core, last)));
                    return Ok(None);
                }
            }
        }
    }

    /// Has a function called by the thread that takes tasks, before the next one. False: it will not be.
    fn between(&self, function: Py<PyAny>) -> PyResult<bool> {
        let Some(core) = self.core() else { return Ok(false) };
        self.calls().push_back(function);
        core.call();
        Ok(true)
    }

    /// `why`: what other members of its group are told of a task that failed.
    #[pyo3(signature = (task, outcome, frames, why = ""))]
    fn finish(&self, py: Python<'_>, task: &Task, outcome: &str, frames: &Bound<'_, PyAny>, why: &str) -> PyResult<()> {
        let again = outcome == AGAIN;
        let outcome = TaskOutcome::from_name(if again { "error" } else { outcome }).ok_or_else(|| {
            let names = TaskOutcome::ALL.map(TaskOutcome::name).join(", ");
            PyValueError::new_err(format!("no outcome {outcome:?}; there are: {names}, {AGAIN}"))
        })?;
        let Some(core) = self.core() else { return Ok(()) };
        let sources = Sources::hold(frames)?;
        let packed = sources.copy(py, |slices| core.pack(slices));
        let hint = "return it in parts, or leave it on the engine";
        let packed = packed.map_err(|error| errors::raise(py, "PayloadTooLarge", &error.to_string(), hint))?;
        if again {
            core.finish_again(&task.handle(), packed);
        } else {
            core.finish(&task.handle(), outcome, packed, why);
        }
        // Dropped when it is unlocked again: that may run any code.
        let finished = self.current().take();
        drop(finished);
        Ok(())
    }

    /// What other engines are doing: id to `(busy, stack, calls, seconds)`, or to None where there is no such engine.
    #[pyo3(signature = (engines, timeout, broken = None, stacks = true))]
    fn inspect(
        &self,
        py: Python<'_>,
        engines: Vec<u32>,
        timeout: f64,
        broken: Option<(String, u64, String, bool)>,
        stacks: bool,
    ) -> PyResult<Activities> {
        let broken = broken.map(|(comm, epoch, reason, at_once)| Broken { comm, epoch, reason, at_once });
        let timeout = duration(timeout)?;
        let engines: Vec<EngineId> = engines.into_iter().map(EngineId).collect();
        let Some(core) = self.core() else { return Ok(Activities::new()) };
        Ok(activities(py.detach(|| core.inspect(&engines, stacks, broken, timeout))))
    }

    /// Writes to standard output, or to standard error. False: this is no engine any more, but a fork of one.
    fn log(&self, py: Python<'_>, to_errors: bool, text: &str) -> PyResult<bool> {
        let Some(core) = self.core() else { return Ok(false) };
        py.detach(|| core.log(to_errors, text));
        Ok(true)
    }

    fn write(&self, py: Python<'_>, task: u64, stream: &str, text: &str) -> PyResult<bool> {
        let stream = Stream::from_name(stream).ok_or_else(|| {
            let names = Stream::ALL.map(Stream::name).join(", ");
            PyValueError::new_err(format!("no stream {stream:?}; there are: {names}"))
        })?;
        if stream == Stream::Display && !text.ends_with('\n') {
            return Err(PyValueError::new_err("what is displayed is a line of JSON and ends like one"));
        }
        let Some(core) = self.core() else { return Ok(false) };
        let mut rest = text;
        while let Some(written) = py.detach(|| core.write(TaskId(task), stream, rest, WRITE)) {
            rest = &rest[written..];
            if rest.is_empty() {
                return Ok(true);
            }
            // It waits for its client.
            py.check_signals()?;
        }
        // Of a task that ended meanwhile, the rest goes nowhere.
        Ok(rest.len() < text.len())
    }
}

impl Engine {
    fn slot(&self) -> Option<MutexGuard<'_, Option<Arc<Core>>>> {
        self.core.here().map(|core| core.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// None once it has ended, and in a fork.
    fn core(&self) -> Option<Arc<Core>> {
        self.slot().and_then(|slot| slot.clone())
    }

    fn current(&self) -> MutexGuard<'_, Option<Py<Task>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn calls(&self) -> MutexGuard<'_, VecDeque<Py<PyAny>>> {
        self.between.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls what is to be called between two tasks, unless the engine is to end.
    fn call_between(&self, py: Python<'_>, core: &Core) -> PyResult<()> {
        loop {
            let next = self.calls().pop_front();
            let Some(function) = next else { return Ok(()) };
            let called = if core.aside(true) { function.call0(py).map(drop) } else { Ok(()) };
            core.aside(false);
            called?;
        }
    }

    fn hand_out(&self, py: Python<'_>, handle: TaskHandle, core: &Arc<Core>) -> PyResult<Py<Task>> {
        let task = Py::new(py, Task::new(handle, core))?;
        *self.current() = Some(task.clone_ref(py));
        Ok(task)
    }
}

impl Task {
    fn new(handle: TaskHandle, engine: &Arc<Core>) -> Task {
        let (id, kind) = (handle.id.0, handle.op.name());
        let op = if handle.group.is_some() { "collective" } else { kind };
        let needs = (!handle.needs.is_empty()).then(|| serde_json::to_string(&handle.needs).unwrap_or_default());
        Task { handle: Mutex::new(handle), id, op, kind, needs, engine: Arc::downgrade(engine) }
    }

    fn handle(&self) -> MutexGuard<'_, TaskHandle> {
        self.handle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The code of the function, which the engine does not have yet. Only for the task that runs.
    fn fetch(&self, py: Python<'_>, name: FunctionHash) -> PyResult<Frame> {
        let lost =
            |reason: &str| errors::raise(py, "EngineError", &format!("what was sent did not come: {reason}"), "");
        let engine = self.engine.upgrade().ok_or_else(|| lost("the engine has ended"))?;
        let deadline = Instant::now() + FETCH;
        engine.ask_code();
        while Instant::now() < deadline {
            match py.detach(|| engine.wait_code(name, LOOK)) {
                Ok(Some(code)) => return Ok(code),
                Ok(None) => py.check_signals()?,
                Err(reason) => return Err(lost(&reason)),
            }
        }
        Err(lost(&format!("it took more than {} s", FETCH.as_secs())))
    }
}

/// Epoch, ranks, how often their communicator was made anew, and seconds to make it.
type GroupOfTask = (u64, Vec<u32>, u64, Option<f64>);

#[guarded]
#[pymethods]
impl Task {
    /// See `GroupOfTask`; when it is collective.
    #[getter]
    fn group(&self) -> PyResult<Option<GroupOfTask>> {
        Ok(self.handle().group.as_ref().map(|group| (group.epoch, group.ranks.clone(), group.renewal, group.timeout)))
    }

    #[getter]
    fn function<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        Ok(self.handle().function.as_ref().map(|(hash, _)| PyBytes::new(py, hash)))
    }

    /// The payload; handed over, so that its memory goes with the last use.
    #[getter]
    fn frames(&self, py: Python<'_>) -> PyResult<Py<PyList>> {
        match std::mem::replace(&mut self.handle().payload, Ok(vec![])) {
            Ok(parts) => Buffer::list(py, parts),
            Err(problem) => Err(errors::raise(py, "SerializationError", &problem, "is /dev/shm full or unmounted?")),
        }
    }

    fn function_code(&self, py: Python<'_>) -> PyResult<Py<Buffer>> {
        let function = self.handle().function.clone();
        let (name, code) = function.ok_or_else(|| PyValueError::new_err("this task has no function"))?;
        let code = match code {
            Some(code) => code,
            None => self.fetch(py, name)?,
        };
        Py::new(py, Buffer::of(Part::Frame(code)))
    }
}

/// Has this process ended when `parent` ends, which must be its parent. False: it has ended already, or is another.
#[guarded]
#[pyfunction]
pub fn end_with_parent(parent: u32) -> PyResult<bool> {
    Ok(ipclusterz_runtime::engine::process::end_with_parent(parent))
}
