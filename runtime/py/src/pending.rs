//! Awaited answers, and one answer.

use crate::buffers::Buffer;
use crate::errors;
use crate::waiting::{deadline, wait};
use ipclusterz_base::ids::RequestId;
use ipclusterz_runtime::client::{Answer, AnswerId, Client as Core, Pending as Inner};
use ipclusterz_runtime::wire::message::Outcome;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyList;
use std::sync::{Arc, Weak};

/// N expected answers of one submission.
#[pyclass(frozen, module = "ipclusterz._core")]
pub struct Pending {
    pub inner: Arc<Inner>,
    pub client: Weak<Core>,
    /// Begins its message ids, also when the client is gone.
    pub client_name: Arc<str>,
    /// Number of answers of each request, which have consecutive numbers.
    pub counts: Vec<u32>,
    pub first: RequestId,
}

impl Pending {
    fn index(&self, index: isize) -> PyResult<usize> {
        usize::try_from(index)
            .ok()
            .filter(|index| *index < self.inner.len())
            .ok_or_else(|| PyValueError::new_err(format!("no answer {index}: there are {}", self.inner.len())))
    }
}

#[pymethods]
impl Pending {
    fn __len__(&self) -> usize {
        self.inner.len()
    }

    fn message_ids(&self) -> Vec<String> {
        let requests = (self.first.0..).map(RequestId).zip(&self.counts);
        requests
            .flat_map(|(request, count)| (0..*count).map(move |position| AnswerId { request, position }))
            .map(|id| id.text(&self.client_name))
            .collect()
    }

    fn targets(&self) -> Vec<i64> {
        self.inner.targets.iter().map(|target| target.map_or(-1, |id| i64::from(id.0))).collect()
    }

    #[getter]
    fn submitted(&self) -> f64 {
        self.inner.submitted
    }

    fn statuses(&self) -> Vec<Option<&'static str>> {
        self.inner.statuses()
    }

    fn done(&self) -> usize {
        self.inner.done()
    }

    fn is_done(&self, index: isize) -> PyResult<bool> {
        Ok(self.inner.is_done(self.index(index)?))
    }

    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let step = |slice| self.inner.wait(slice).then_some(());
        Ok(wait(py, deadline(timeout)?, step)?.is_some())
    }

    fn wait_index(&self, py: Python<'_>, index: isize, timeout: Option<f64>) -> PyResult<bool> {
        let index = self.index(index)?;
        let step = |slice| self.inner.wait_index(index, slice).then_some(());
        Ok(wait(py, deadline(timeout)?, step)?.is_some())
    }

    fn nth_done(&self, py: Python<'_>, n: usize, timeout: Option<f64>) -> PyResult<Option<usize>> {
        let step = |slice| self.inner.nth_done(n, slice);
        Ok(wait(py, deadline(timeout)?, step)?.flatten())
    }

    fn wait_news(&self, py: Python<'_>, version: u64, timeout: Option<f64>) -> PyResult<u64> {
        let step = |slice| self.inner.wait_news(version, slice);
        Ok(wait(py, deadline(timeout)?, step)?.unwrap_or(version))
    }

    fn watch(&self, token: u64) -> bool {
        self.inner.watch(token)
    }

    fn reply(&self, py: Python<'_>, index: isize) -> PyResult<Reply> {
        let index = self.index(index)?;
        let answer = self.inner.answer(index);
        let answer = answer.ok_or_else(|| PyValueError::new_err(format!("answer {index} is not there yet")))?;
        let (stdout, stderr) = self.inner.outputs(index).unwrap_or_default();
        Reply::new(py, answer, self.inner.submitted, stdout, stderr)
    }

    fn outputs(&self, index: isize) -> PyResult<(String, String)> {
        Ok(self.inner.outputs(self.index(index)?).unwrap_or_default())
    }

    fn output_since(&self, index: isize, cursor: usize) -> PyResult<(usize, Vec<(&'static str, String)>)> {
        let news = self.inner.output_since(self.index(index)?, cursor);
        let (cursor, chunks) =
            news.ok_or_else(|| PyValueError::new_err(format!("{cursor} is no cursor of answer {index}")))?;
        Ok((cursor, chunks.into_iter().map(|(stream, text)| (stream.name(), text)).collect()))
    }

    fn abort(&self, py: Python<'_>) -> PyResult<()> {
        let Some(client) = self.client.upgrade() else { return Ok(()) };
        let requests = self.first..RequestId(self.first.0 + self.counts.len() as u64);
        client.abort(Some(requests)).map_err(|error| errors::of_client(py, &error))
    }

    fn cancel(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        if self.inner.done() < self.inner.len() {
            self.abort(py)?;
        }
        let step = |slice| self.inner.wait_verdict(slice);
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
    fn new(py: Python<'_>, answer: Answer, submitted: f64, stdout: String, stderr: String) -> PyResult<Reply> {
        let status = answer.outcome.name();
        let message = match answer.outcome {
            Outcome::Ok | Outcome::Error => String::new(),
            Outcome::Aborted => "aborted before it was started".to_owned(),
            Outcome::Lost(reason) | Outcome::Rejected(reason) | Outcome::RankLost(reason) => reason,
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
