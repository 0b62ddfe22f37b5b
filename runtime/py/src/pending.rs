//! Awaited answers, and one answer.

use crate::buffers::{Buffer, Sources};
use crate::errors;
use crate::process::OfProcess;
use crate::waiting::{deadline, telling, wait, wait_and};
use ipclusterz_base::ids::{EngineId, RequestId};
use ipclusterz_guard::guarded;
use ipclusterz_runtime::client::{Answer, AnswerId, Client as Core, ClientError, Pending as Inner, Written};
use ipclusterz_runtime::system::wall_clock;
use ipclusterz_runtime::wire::Frame;
use ipclusterz_runtime::wire::message::{Fate, Fulfilled, Op, Outcome, Stream};
use ipclusterz_runtime::wire::part::Part;
use pyo3::exceptions::{PyMemoryError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PySequence};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// How long a claim waits for the engine's word before it asks again.
const ABORT_AGAIN: Duration = Duration::from_secs(1);

/// N expected answers of one submission.
#[pyclass(frozen, module = "ipclusterz._core")]
pub struct Pending {
    pub inner: OfProcess<Arc<Inner>>,
    pub client: Weak<Core>,
    /// Begins its message ids, also when the client is gone.
    pub client_name: Arc<str>,
    /// Number of answers of each request, which have consecutive numbers.
    pub counts: Vec<usize>,
    pub first: RequestId,
    /// What it was made of, if that is not too large to be kept.
    pub again: Option<Again>,
}

/// What `Client.submit` was given.
pub struct Again {
    pub op: Op,
    pub items: Py<PySequence>,
    pub function: Option<(Py<PyBytes>, Py<PyBytes>)>,
    pub retries: u32,
    pub engines: Option<Vec<u32>>,
    pub duration: Option<f64>,
    pub collective: bool,
    pub timeout: Option<f64>,
    pub name: Option<String>,
    pub about: Option<Vec<u8>>,
    pub terms: Option<String>,
}

impl Again {
    /// The keywords.
    fn how<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let how = PyDict::new(py);
        how.set_item("function", self.function.as_ref().map(|(hash, code)| (hash.bind(py), code.bind(py))))?;
        how.set_item("retries", self.retries)?;
        how.set_item("engines", self.engines.as_ref())?;
        how.set_item("duration", self.duration)?;
        how.set_item("collective", self.collective)?;
        how.set_item("timeout", self.timeout)?;
        how.set_item("name", self.name.as_ref())?;
        how.set_item("terms", self.terms.as_ref())?;
        how.set_item("about", self.about.as_ref().map(|about| PyBytes::new(py, about)))?;
        Ok(how)
    }
}

impl Pending {
    fn inner(&self) -> PyResult<&Arc<Inner>> {
        self.inner.get()
    }

    /// The request that an answer is of, and its position there.
    fn request_of(&self, index: usize) -> (RequestId, u32) {
        let mut left = index;
        let before = self.counts.iter().take_while(|count| match left.checked_sub(**count) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        });
        let request = RequestId(self.first.0.saturating_add(before.count() as u64));
        (request, u32::try_from(left).unwrap_or(u32::MAX))
    }

    /// Tells the controller how one has ended that was claimed.
    fn tell(&self, index: usize, fate: Fate, engine: Option<EngineId>) -> Result<(), ClientError> {
        let (request, position) = self.request_of(index);
        let fulfilled = Fulfilled { request, position, fate, engine };
        self.client.upgrade().map_or(Ok(()), |client| client.fulfilled(fulfilled))
    }

    fn index(&self, index: isize) -> PyResult<usize> {
        let inner = self.inner()?;
        usize::try_from(index)
            .ok()
            .filter(|index| *index < inner.len())
            .ok_or_else(|| PyValueError::new_err(format!("no answer {index}: there are {}", inner.len())))
    }
}

type OnOutput<'a, 'py> = Option<&'a Bound<'py, PyAny>>;
type Pieces = Vec<(&'static str, String)>;
/// Operation, items and keywords.
type MadeOf<'py> = (&'static str, Bound<'py, PySequence>, Bound<'py, PyDict>);
/// Index, engine, what it wrote, and whether that was all.
type Taken = (usize, i64, Pieces, bool);

fn named(pieces: Vec<(Stream, String)>) -> Pieces {
    pieces.into_iter().map(|(stream, text)| (stream.name(), text)).collect()
}

impl Pending {
    /// Waits, and calls `on_output` when there is output to be taken. If there ever was some, it is called at the end,
    /// too: another thread may have taken it and be about to show it.
    fn wait_taking<T: Send>(
        &self,
        py: Python<'_>,
        timeout: Option<f64>,
        on_output: OnOutput<'_, '_>,
        step: impl FnMut(Duration) -> Option<T> + Send,
    ) -> PyResult<Option<T>> {
        let inner = self.inner()?;
        let mut why = telling(py, || self.client.upgrade()?.news(&inner.awaited()));
        let Some(on_output) = on_output else {
            let between = || {
                why();
                Ok(())
            };
            return wait_and(py, deadline(timeout)?, step, between);
        };
        let tell = || {
            why();
            if inner.has_news() { on_output.call0().map(drop) } else { Ok(()) }
        };
        inner.takes(true);
        let mut found = deadline(timeout).and_then(|deadline| wait_and(py, deadline, step, tell));
        if found.is_ok() && inner.was_written() {
            found = on_output.call0().and(found);
        }
        inner.takes(false);
        found
    }
}

#[guarded]
#[pymethods]
impl Pending {
    fn __len__(&self) -> PyResult<usize> {
        Ok(self.inner()?.len())
    }

    fn message_ids(&self) -> PyResult<Vec<String>> {
        let requests = (self.first.0..).map(RequestId).zip(&self.counts);
        let ids = requests
            .flat_map(|(request, count)| (0..).take(*count).map(move |position| AnswerId { request, position }));
        Ok(ids.map(|id| id.text(&self.client_name)).collect())
    }

    /// The number of its first request, and how many there are.
    #[getter]
    fn requests(&self) -> PyResult<(u64, usize)> {
        Ok((self.first.0, self.counts.len()))
    }

    /// What it was made of: operation, items and keywords. None: that is not kept.
    #[getter]
    fn again<'py>(&self, py: Python<'py>) -> PyResult<Option<MadeOf<'py>>> {
        self.inner()?;
        let made_of = |again: &Again| Ok((again.op.name(), again.items.bind(py).clone(), again.how(py)?));
        self.again.as_ref().map(made_of).transpose()
    }

    fn targets(&self) -> PyResult<Vec<i64>> {
        Ok(self.inner()?.targets.iter().map(|target| target.map_or(-1, |id| i64::from(id.0))).collect())
    }

    #[getter]
    fn submitted(&self) -> PyResult<f64> {
        Ok(self.inner()?.submitted)
    }

    fn statuses(&self) -> PyResult<Vec<Option<&'static str>>> {
        Ok(self.inner()?.statuses())
    }

    fn done(&self) -> PyResult<usize> {
        Ok(self.inner()?.done())
    }

    fn is_done(&self, index: isize) -> PyResult<bool> {
        let index = self.index(index)?;
        Ok(self.inner()?.is_done(index))
    }

    #[pyo3(signature = (timeout, on_output = None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>, on_output: OnOutput<'_, '_>) -> PyResult<bool> {
        let inner = self.inner()?;
        let step = |slice| inner.wait(slice).then_some(());
        Ok(self.wait_taking(py, timeout, on_output, step)?.is_some())
    }

    #[pyo3(signature = (index, timeout, on_output = None))]
    fn wait_index(
        &self,
        py: Python<'_>,
        index: isize,
        timeout: Option<f64>,
        on_output: OnOutput<'_, '_>,
    ) -> PyResult<bool> {
        let (inner, index) = (self.inner()?, self.index(index)?);
        let step = |slice| inner.wait_index(index, slice).then_some(());
        Ok(self.wait_taking(py, timeout, on_output, step)?.is_some())
    }

    #[pyo3(signature = (n, timeout, on_output = None))]
    fn nth_done(
        &self,
        py: Python<'_>,
        n: usize,
        timeout: Option<f64>,
        on_output: OnOutput<'_, '_>,
    ) -> PyResult<Option<usize>> {
        let inner = self.inner()?;
        let step = |slice| inner.nth_done(n, slice);
        Ok(self.wait_taking(py, timeout, on_output, step)?.flatten())
    }

    fn has_news(&self) -> PyResult<bool> {
        Ok(self.inner()?.has_news())
    }

    /// Why its answers do not come for now; None: nothing is known to be wrong.
    fn trouble(&self) -> PyResult<Option<String>> {
        let (inner, client) = (self.inner()?, self.client.upgrade());
        Ok(client.and_then(|client| client.trouble().or_else(|| client.held_up(&inner.awaited()))))
    }

    fn is_taken(&self) -> PyResult<bool> {
        Ok(self.inner()?.is_taken())
    }

    fn take_output(&self) -> PyResult<Vec<Taken>> {
        let taken = |written: Written| {
            let engine = written.engine.map_or(-1, |id| i64::from(id.0));
            (written.index, engine, named(written.pieces), written.done)
        };
        Ok(self.inner()?.take_output().into_iter().map(taken).collect())
    }

    fn wait_news(&self, py: Python<'_>, version: u64, timeout: Option<f64>) -> PyResult<u64> {
        let inner = self.inner()?;
        let step = |slice| inner.wait_news(version, slice);
        Ok(wait(py, deadline(timeout)?, step)?.unwrap_or(version))
    }

    fn watch(&self, token: u64) -> PyResult<bool> {
        Ok(self.inner()?.watch(token))
    }

    fn reply(&self, py: Python<'_>, index: isize) -> PyResult<Reply> {
        let (inner, index) = (self.inner()?, self.index(index)?);
        let answer = inner.answer(index);
        let answer = answer.ok_or_else(|| PyValueError::new_err(format!("answer {index} is not there yet")))?;
        let (stdout, stderr) = inner.outputs(index).unwrap_or_default();
        let taken = self.client.upgrade().and_then(|client| client.taken());
        Reply::new(py, answer, inner.submitted, (stdout, stderr), taken.as_deref())
    }

    fn outputs(&self, index: isize) -> PyResult<(String, String)> {
        let index = self.index(index)?;
        Ok(self.inner()?.outputs(index).unwrap_or_default())
    }

    fn published(&self, index: isize) -> PyResult<Vec<(String, String)>> {
        let index = self.index(index)?;
        Ok(self.inner()?.published(index))
    }

    fn output_since(&self, index: isize, cursor: usize) -> PyResult<(usize, Pieces)> {
        let index = self.index(index)?;
        let news = self.inner()?.output_since(index, cursor);
        let (cursor, chunks) =
            news.ok_or_else(|| PyValueError::new_err(format!("{cursor} is no cursor of answer {index}")))?;
        Ok((cursor, named(chunks)))
    }

    fn abort(&self, py: Python<'_>) -> PyResult<()> {
        self.inner()?;
        let Some(client) = self.client.upgrade() else { return Ok(()) };
        let requests = self.first..RequestId(self.first.0.saturating_add(self.counts.len() as u64));
        client.abort(Some(requests), None).map_err(|error| errors::of_client(py, &error))
    }

    /// Takes one back that no engine has begun, to be done here; waits for the engine's word. False: it is not ours.
    fn claim(&self, py: Python<'_>, index: isize) -> PyResult<bool> {
        let (inner, index) = (self.inner()?, self.index(index)?);
        let Some(client) = self.client.upgrade().filter(|_| inner.claim(index)) else { return Ok(false) };
        let (request, _) = self.request_of(index);
        let engines = inner.targets.get(index).copied().flatten().map(|engine| vec![engine]);
        let mut next = Instant::now();
        let step = |slice| {
            // Again, because a request that had not been sent when the abort was is not known to the controller.
            if Instant::now() >= next {
                next += ABORT_AGAIN;
                if let Err(error) = client.abort_claimed(request, engines.clone()) {
                    return Some(Err(error));
                }
            }
            inner.wait_claim(index, slice).map(Ok)
        };
        let ours = wait(py, None, step);
        if !matches!(ours, Ok(Some(Ok(_)))) {
            inner.unclaim(index, wall_clock());
            // Whoever waits for it does not do so for ever. An error means that there is no connection: then nobody does.
            let _ = self.tell(index, Fate::Aborted, None);
        }
        ours?.unwrap_or(Ok(false)).map_err(|error| errors::of_client(py, &error))
    }

    /// The answer of one that was claimed: "ok" or "error", and its frames; or "rejected", and why.
    #[allow(clippy::too_many_arguments, reason = "keywords in Python")]
    fn fulfil(
        &self,
        py: Python<'_>,
        index: isize,
        outcome: &str,
        frames: &Bound<'_, PyAny>,
        engine: (u32, &str),
        started: f64,
        completed: f64,
    ) -> PyResult<()> {
        let (inner, index) = (self.inner()?, self.index(index)?);
        let parts = Sources::hold(frames)?.copy(py, |slices| slices.into_iter().map(Frame::copy_from).collect());
        let parts: Option<Vec<Frame>> = parts;
        let mut parts = parts.ok_or_else(|| PyMemoryError::new_err("no memory for a result"))?;
        let outcome = match outcome {
            "ok" => Outcome::Ok,
            "rejected" => {
                Outcome::Rejected(parts.drain(..).map(|why| String::from_utf8_lossy(&why).into_owned()).collect())
            }
            _ => Outcome::Error,
        };
        let (fate, engine, uuid) = (outcome.fate(), EngineId(engine.0), engine.1);
        let answer = Answer {
            outcome,
            engine: Some(engine),
            engine_uuid: Some(uuid.into()),
            parts: parts.into_iter().map(Part::Frame).collect(),
            started,
            completed,
            received: completed,
        };
        inner.fulfil(index, answer);
        self.tell(index, fate, Some(engine)).map_err(|error| errors::of_client(py, &error))
    }

    fn cancel(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let inner = self.inner()?;
        if inner.done() < inner.len() {
            self.abort(py)?;
        }
        let step = |slice| inner.wait_verdict(slice);
        Ok(wait(py, deadline(timeout)?, step)?.unwrap_or(false))
    }
}

/// One final answer.
#[pyclass(frozen, get_all, module = "ipclusterz._core")]
pub struct Reply {
    status: &'static str,
    message: String,
    engine_id: i64,
    engine_uuid: String,
    frames: Py<PyList>,
    submitted: f64,
    started: f64,
    completed: f64,
    received: f64,
    stdout: String,
    stderr: String,
}

impl Reply {
    /// `taken`: who has taken the session over.
    fn new(
        py: Python<'_>,
        answer: Answer,
        submitted: f64,
        (stdout, stderr): (String, String),
        taken: Option<&str>,
    ) -> PyResult<Reply> {
        let status = match &answer.outcome {
            Outcome::Lost(reason) if taken.is_some_and(|taken| taken == reason) => "taken",
            outcome => outcome.name(),
        };
        let message = match answer.outcome {
            Outcome::Aborted => "aborted before it was started".to_owned(),
            outcome => outcome.why().unwrap_or_default().to_owned(),
        };
        Ok(Reply {
            status,
            message,
            engine_id: answer.engine.map_or(-1, |id| i64::from(id.0)),
            engine_uuid: answer.engine_uuid.map(|uuid| uuid.to_string()).unwrap_or_default(),
            frames: Buffer::list(py, answer.parts)?,
            submitted,
            started: answer.started,
            completed: answer.completed,
            received: answer.received,
            stdout,
            stderr,
        })
    }
}
