//! Work of the past and of others, as other threads ask for it; and requests of a session that another client has submitted.

use super::error::ClientError;
use super::handle::Client;
use super::pending::Pending;
use super::questions::Answered;
use crate::wire::Channel;
use crate::wire::message::{Abort, Ask, Message, OfSession, RequestRecord};
use ipclusterz_base::ids::{EngineId, RequestId};
use std::sync::Arc;
use std::time::Duration;

/// Most requests that one question names.
const ASKED_MAX: usize = 4096;

impl Client {
    /// The session that this client has; none where the controller knows no sessions with names.
    pub fn session(&self) -> Option<OfSession> {
        self.shared.lock().core.session.clone()
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// `NoHistory` where the controller keeps none, or is too old; `Timeout` when it does not answer in time.
    pub fn query(&self, ask: Ask, timeout: Duration) -> Result<Answered, ClientError> {
        let mut state = self.usable()?;
        if state.core.session.is_none() {
            return Err(ClientError::NoHistory("the controller is of a release that has none".to_owned()));
        }
        let number = state.ask(ask, None);
        drop(state);
        self.shared.waker.wake();
        let waited =
            self.wait_until(timeout, |state| state.core.questions.is_complete(number) || state.closed.is_some());
        let answered = self.shared.lock().core.questions.take(number);
        waited?;
        match answered.found.error {
            Some(error) => Err(ClientError::NoHistory(error)),
            None => Ok(answered),
        }
    }

    /// What was submitted in this client's session, in that order.
    pub fn submissions(&self, timeout: Duration) -> Result<Vec<RequestRecord>, ClientError> {
        let Some(session) = self.session() else { return Ok(Vec::new()) };
        Ok(self.query(Ask::Submissions { session: session.name }, timeout)?.found.requests)
    }

    /// Waits for answers to requests that another client of this session has submitted: consecutive ones from `first` on, with
    /// the engines that each answer is expected from (none: any). What there is follows by itself.
    pub fn adopt(
        &self,
        first: RequestId,
        targets: &[Vec<Option<EngineId>>],
        submitted: f64,
    ) -> Result<Arc<Pending>, ClientError> {
        let all: Vec<Option<EngineId>> = targets.iter().flatten().copied().collect();
        let (watched, kept) = (Arc::clone(&self.shared.watched), Arc::clone(&self.shared.kept));
        let pending = Pending::new(all, submitted, watched, kept);
        let mut state = self.usable()?;
        let Some(OfSession { name: session, .. }) = state.core.session.clone() else {
            return Err(ClientError::NoHistory("the controller is of a release that has none".to_owned()));
        };
        let mut base = 0_usize;
        let mut requests = Vec::with_capacity(targets.len());
        for (request, targets) in (first.0..).map(RequestId).zip(targets) {
            state.core.adopt(request, Arc::downgrade(&pending), base, targets.len());
            base = base.saturating_add(targets.len());
            requests.push(request);
        }
        for some in requests.chunks(ASKED_MAX) {
            let ask = Ask::Results { session: session.clone(), requests: some.to_vec() };
            state.ask(ask, Some(some.to_vec()));
        }
        drop(state);
        self.shared.waker.wake();
        Ok(pending)
    }

    /// What this session has under way counts for its window, also what another client has submitted.
    pub(super) fn count_open(&self, timeout: Duration) -> Result<(), ClientError> {
        if self.session().is_none_or(|session| session.last_request.0 == 0) {
            return Ok(());
        }
        let open: Vec<RequestRecord> =
            self.submissions(timeout)?.into_iter().filter(|request| request.done < request.count).collect();
        let mut state = self.usable()?;
        for request in open {
            let open = request.count.saturating_sub(request.done) as usize;
            state.core.count_foreign(request.request, request.count as usize, open);
        }
        Ok(())
    }

    /// Aborts requests of another session, and interrupts what has started if `interrupt`.
    pub fn abort_in(&self, session: &str, requests: Vec<RequestId>, interrupt: bool) -> Result<(), ClientError> {
        let session = Some(session.to_owned());
        let abort = Abort { requests: Some(requests), interrupt, session, ..Abort::default() };
        self.send(Channel::Data, Message::Abort(abort))
    }
}
