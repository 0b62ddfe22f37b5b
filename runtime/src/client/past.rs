//! Work of the past and of others, as other threads ask for it; and requests of a session that another client has submitted.

use super::answer_id::{AnswerId, CLIENT_DIGITS};
use super::error::ClientError;
use super::handle::Client;
use super::pending::Pending;
use super::questions::Answered;
use super::shared::State;
use crate::wire::Channel;
use crate::wire::message::{Abort, Ask, Filter, Message, OfSession};
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
        let number = self.ask(ask)?;
        self.answer(number, timeout)
    }

    /// Whether the controller tells what happens.
    pub(super) fn hears_events(&self) -> Result<bool, ClientError> {
        let state = self.usable()?;
        Ok(state.core.standing.is_none_or(|standing| standing.events))
    }

    /// Asks; the question's number.
    pub fn ask(&self, ask: Ask) -> Result<u64, ClientError> {
        let mut state = self.usable()?;
        if state.core.session.is_none() {
            return Err(ClientError::NoHistory("the controller is of a release that has none".to_owned()));
        }
        let number = state.ask(ask, None);
        drop(state);
        self.shared.waker.wake();
        Ok(number)
    }

    /// Whether the answer to a question is there; waits for it.
    pub fn is_answered(&self, number: u64, timeout: Duration) -> bool {
        let over = |state: &State| {
            state.core.questions.is_complete(number) || state.core.standing.is_none() || state.closed.is_some()
        };
        self.wait_until(timeout, over).is_ok()
    }

    /// The answer to a question, which is not there after that if it does not come in time.
    pub fn answer(&self, number: u64, timeout: Duration) -> Result<Answered, ClientError> {
        let in_time = self.is_answered(number, timeout);
        let (complete, answered) = {
            let mut state = self.usable_or_lost()?;
            (state.core.questions.is_complete(number), state.core.questions.take(number))
        };
        if !complete {
            drop(self.usable()?);
            return Err(if in_time { ClientError::Closed } else { ClientError::Timeout(timeout.as_secs_f64()) });
        }
        match answered.found.error {
            Some(error) => Err(ClientError::NoHistory(error)),
            None => Ok(answered),
        }
    }

    /// Waits for answers to requests that another client of this session has submitted: consecutive ones from `first` on, with
    /// the engines that each answer is expected from (none: any). What there is follows by itself; the questions are given
    /// that it is the answer to.
    pub fn adopt(
        &self,
        first: RequestId,
        targets: &[Vec<Option<EngineId>>],
        submitted: f64,
    ) -> Result<(Arc<Pending>, Vec<u64>), ClientError> {
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
        let mut questions = Vec::new();
        for some in requests.chunks(ASKED_MAX) {
            let ask = Ask::Results { session: session.clone(), requests: some.to_vec() };
            questions.push(state.ask(ask, Some(some.to_vec())));
        }
        drop(state);
        self.shared.waker.wake();
        Ok((pending, questions))
    }

    /// What this session has under way counts for its window, also what another client has submitted. Fails where the
    /// controller keeps no history, which a session with a name needs.
    pub(super) fn count_open(&self, timeout: Duration) -> Result<(), ClientError> {
        let Some(OfSession { name, id, .. }) = self.session() else { return Ok(()) };
        let states = ["queued", "waiting", "held", "running"].map(str::to_owned).to_vec();
        let filter = Filter { session: Some(name), states, ..Filter::default() };
        let found = self.query(Ask::Tasks(filter), timeout)?.found;
        let begins = id.get(..CLIENT_DIGITS).unwrap_or_default();
        let open = found.tasks.iter().filter_map(|task| AnswerId::parse(&task.id, begins).ok());
        self.usable()?.core.count_foreign(open);
        Ok(())
    }

    /// Aborts these requests of another session, or all, interrupts what has started if `interrupt`, and ends the engines that run it if `force`.
    pub fn abort_in(
        &self,
        session: &str,
        requests: Option<Vec<RequestId>>,
        interrupt: bool,
        force: bool,
    ) -> Result<(), ClientError> {
        let session = Some(session.to_owned());
        let abort = Abort { requests, interrupt, force, session, ..Abort::default() };
        self.send(Channel::Data, Message::Abort(abort))
    }
}
