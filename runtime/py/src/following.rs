//! What happens in the cluster, as a client follows it.

use ipclusterz_guard::guarded;
use ipclusterz_runtime::client::events::{Follower as Reader, News};
use ipclusterz_runtime::events::Teller;
use pyo3::prelude::*;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How far somebody has read, and what is needed to say what comes next.
#[pyclass(frozen, module = "ipclusterz._core")]
pub struct Follower {
    state: Mutex<(Reader, Teller)>,
}

#[guarded]
#[pymethods]
impl Follower {
    #[new]
    fn new(since: Option<f64>) -> PyResult<Self> {
        Ok(Follower { state: Mutex::new((Reader::new(since), Teller::default())) })
    }
}

impl Follower {
    /// How far it has read. One thread at a time follows.
    pub fn reader(&self) -> Reader {
        self.lock().0
    }

    /// It has read that. Each event as JSON.
    pub fn has_read(&self, reader: Reader, news: &News) -> Vec<String> {
        let mut state = self.lock();
        let (at, teller) = &mut *state;
        *at = reader;
        let scene = news.anew.then(|| teller.anew(news.missed).to_string());
        scene.into_iter().chain(news.events.iter().map(|seen| teller.tell(seen).to_string())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, (Reader, Teller)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
