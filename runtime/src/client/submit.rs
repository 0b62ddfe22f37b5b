//! What other threads submit, abort and wait for.

use super::answer_id::{AnswerId, AnswerIdError};
use super::error::ClientError;
use super::handle::Client;
use super::maps;
use super::pending::Pending;
use super::request::Outgoing;
use super::watched::Watched;
use crate::system::wall_clock;
use crate::wire::Channel;
use crate::wire::message::{Abort, Fulfilled, FunctionName, Message, Op, Placement, Terms};
use crate::wire::part::Packed;
use ipclusterz_base::ids::{EngineId, FunctionHash, RequestId};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Work for a list of engines, or for whichever is free.
#[derive(Debug)]
pub struct Item {
    /// None: balanced.
    pub targets: Option<Vec<EngineId>>,
    /// The payload, from `Client::pack`.
    pub packed: Packed,
}

/// What is common to all items of one submission.
#[derive(Debug, Clone, Copy)]
pub struct Submission<'a> {
    /// What to do.
    pub op: Op,
    /// The function to call: hash and code.
    pub function: Option<(FunctionHash, &'a [u8])>,
    /// For balanced items: how often each may be restarted when its engine dies.
    pub retries: u32,
    /// For balanced items: the engines that they may go to; none: any.
    pub engines: Option<&'a [EngineId]>,
    /// For balanced items: how many seconds each will take, if that is known.
    pub duration: Option<f64>,
    /// For items with targets: these engines execute it together, as a group of one MPI program.
    pub collective: bool,
    /// For these: seconds that their communicator may take to be made.
    pub timeout: Option<f64>,
    /// Name under which engines that come later do it too.
    pub keep: Option<&'a str>,
    /// The name of the function, for people.
    pub name: Option<&'a str>,
    /// What another client has to know to make something of the answers.
    pub about: Option<&'a [u8]>,
    /// For balanced items: what else they ask for.
    pub terms: Option<&'a Terms>,
}

impl Submission<'_> {
    fn placement(&self, targets: Option<Vec<EngineId>>) -> Placement {
        match targets {
            Some(engines) => Placement::Engines(engines),
            None => Placement::Balanced {
                retries: self.retries,
                engines: self.engines.map(<[EngineId]>::to_vec),
                duration: self.duration,
            },
        }
    }
}

/// Bytes that may wait in this process for room in the controller's window; beyond that the caller waits for room.
const BACKLOG_MAX: u64 = 1 << 30;

/// Most requests that one message gives up.
const ABORT_MAX: usize = 1 << 14;

impl Client {
    /// Copies buffers into a payload; they may change as soon as this returns.
    pub fn pack<'a>(&self, buffers: impl IntoIterator<Item = &'a [u8]> + Clone) -> Result<Packed, ClientError> {
        let mut packed = Packed::default();
        let size = buffers.clone().into_iter().map(|bytes| bytes.len() as u64).sum();
        let standing = self.usable()?.core.standing;
        let Some(standing) = standing else { return Err(ClientError::Closed) };
        let limit = standing.request_limit();
        if size > limit {
            return Err(ClientError::TooLarge { size, limit });
        }
        let home = self.shared.segments.as_ref().map(|folder| (folder, standing.peer));
        for bytes in buffers {
            packed.push(bytes, home).map_err(|none| ClientError::NoMemory(none.0))?;
        }
        Ok(packed)
    }

    /// Calls that wait here until the controller has room for them, and their bytes.
    pub fn unsent(&self) -> (usize, u64) {
        let state = self.shared.lock();
        (state.core.backlog(), state.core.backlog_bytes())
    }

    /// Whether `submit` would wait for room.
    pub fn is_full(&self) -> bool {
        self.shared.lock().core.backlog_bytes() > BACKLOG_MAX
    }

    /// Waits for room, at most `timeout`.
    pub fn wait_for_room(&self, timeout: Duration) -> bool {
        let state = self.shared.lock();
        if state.core.backlog_bytes() <= BACKLOG_MAX || state.closed.is_some() {
            return true;
        }
        self.shared.wait(state, timeout).core.backlog_bytes() <= BACKLOG_MAX
    }

    /// Submits work and returns at once: the number of the first request, and the answers to wait for. Item `i` has the
    /// number `first + i`.
    pub fn submit(
        &self,
        submission: Submission<'_>,
        items: Vec<Item>,
    ) -> Result<(RequestId, Arc<Pending>), ClientError> {
        let pending = Pending::new(
            targets_of(&items),
            wall_clock(),
            Arc::clone(&self.shared.watched),
            Arc::clone(&self.shared.kept),
        );
        let mut state = self.usable()?;
        if submission.terms.is_some() && state.core.standing.is_some_and(|standing| !standing.terms) {
            return Err(ClientError::OtherVersion {
                message: "the controller is of an older release, which knows nothing of what this call asks for"
                    .to_owned(),
                hint: "start the cluster anew with this release, or use none of: after, follow, timeout, time_limit, \
                       priority, needs, retry_delay, crash_limit"
                    .to_owned(),
            });
        }
        let first = state.core.number(items.len());
        let function = submission.function.map(|(hash, code)| {
            let name = FunctionName(hash);
            (name, state.core.functions.code(name, code))
        });
        let counts: Vec<usize> = items.iter().map(|item| item.targets.as_ref().map_or(1, Vec::len)).collect();
        state.core.numbers.add(first, &counts);
        let rank = state.core.rank_of(submission.terms);
        let terms = submission.terms.cloned().map(Arc::new);
        let parts = maps::parts(submission.about, first);
        let mut base = 0_usize;
        for ((id, part), item) in (first.0..).map(RequestId).zip(0..).zip(items) {
            let count = item.targets.as_ref().map_or(1, Vec::len);
            state.core.submit(Outgoing {
                id,
                placement: submission.placement(item.targets),
                op: submission.op,
                function: function.clone(),
                packed: item.packed,
                pending: Arc::downgrade(&pending),
                base,
                count,
                collective: submission.collective,
                timeout: submission.timeout,
                keep: submission.keep.map(str::to_owned),
                name: submission.name.map(str::to_owned),
                about: submission.about.filter(|_| part == 0).map(<[u8]>::to_vec),
                part,
                terms: terms.clone(),
                map: usize::try_from(part).ok().and_then(|part| parts.get(part)).copied(),
                rank,
            });
            base = base.saturating_add(count);
        }
        drop(state);
        self.shared.waker.wake();
        Ok((first, pending))
    }

    /// Aborts what has not started of these requests, or of all, on these engines or on any.
    pub fn abort(&self, requests: Option<Range<RequestId>>, engines: Option<Vec<EngineId>>) -> Result<(), ClientError> {
        self.abort_some(requests, Abort { engines, ..Abort::default() })
    }

    /// Aborts what has not started: on these engines or on any, of this client or of all. Interrupts the rest if
    /// `interrupt`, and ends the engines on which that runs if `force`.
    pub fn abort_all(
        &self,
        engines: Option<Vec<EngineId>>,
        all_clients: bool,
        interrupt: bool,
        force: bool,
    ) -> Result<(), ClientError> {
        self.abort_some(None, Abort { engines, all_clients, interrupt, force, ..Abort::default() })
    }

    /// The same for these requests.
    pub fn abort_requests(&self, requests: Range<RequestId>, interrupt: bool, force: bool) -> Result<(), ClientError> {
        self.abort_some(Some(requests), Abort { interrupt, force, ..Abort::default() })
    }

    /// Has this answer left to the caller, if no engine has begun it: see `Pending::claim`.
    pub fn abort_claimed(&self, request: RequestId, engines: Option<Vec<EngineId>>) -> Result<(), ClientError> {
        let requests = request..RequestId(request.0.saturating_add(1));
        self.abort_some(Some(requests), Abort { engines, claim: true, ..Abort::default() })
    }

    /// Tells how an answer was that was claimed: others may wait for it.
    pub fn fulfilled(&self, fulfilled: Fulfilled) -> Result<(), ClientError> {
        let mut state = self.usable()?;
        state.core.fulfilled(&fulfilled);
        // Others know nothing of this.
        let knows = state.core.standing.is_some_and(|standing| standing.terms);
        drop(state);
        if knows { self.send(Channel::Data, Message::Fulfilled(fulfilled)) } else { Ok(()) }
    }

    fn abort_some(&self, requests: Option<Range<RequestId>>, abort: Abort) -> Result<(), ClientError> {
        if abort.engines.is_none() {
            self.usable()?.core.abort_unsent(requests.as_ref(), abort.claim, wall_clock());
            self.shared.changed.notify_all();
        }
        // On `data`: behind the requests that it names.
        let Some(Range { start, end }) = requests else { return self.send(Channel::Data, Message::Abort(abort)) };
        // A message names only so many.
        for first in (start.0..end.0).step_by(ABORT_MAX) {
            let requests = Some((first..end.0).take(ABORT_MAX).map(RequestId).collect());
            self.send(Channel::Data, Message::Abort(Abort { requests, ..abort.clone() }))?;
        }
        Ok(())
    }

    /// The answers that these message ids name.
    pub fn answer_ids(&self, texts: &[String]) -> Result<Vec<AnswerId>, AnswerIdError> {
        let ids: Vec<AnswerId> =
            texts.iter().map(|text| AnswerId::parse(text, self.name())).collect::<Result<_, _>>()?;
        let state = self.shared.lock();
        match ids.iter().find(|id| !state.core.was_submitted(**id)) {
            Some(unknown) => Err(AnswerIdError::Unknown(unknown.text(self.name()))),
            None => Ok(ids),
        }
    }

    /// Waits until all these answers have arrived (no list: all answers to everything submitted); false at the
    /// deadline. Those that have arrived are removed from the end of the list, so that a second call continues where
    /// this one stopped.
    pub fn wait_answers(&self, ids: Option<&mut Vec<AnswerId>>, timeout: Duration) -> Result<bool, ClientError> {
        drop(self.usable_or_lost()?);
        let result = match ids {
            Some(ids) => self.wait_until(timeout, |state| {
                while ids.pop_if(|id| !state.core.is_under_way(*id)).is_some() {}
                ids.is_empty()
            }),
            None => self.wait_until(timeout, |state| state.core.under_way() == 0),
        };
        drop(self.usable_or_lost()?);
        Ok(result.is_ok())
    }

    /// The complete submissions among those whose `Pending` is watched.
    pub fn watched(&self) -> &Watched {
        &self.shared.watched
    }

    /// Requests that lack answers.
    pub fn under_way(&self) -> usize {
        self.shared.lock().core.under_way()
    }
}

/// The engine that each answer is expected from; none for a balanced item.
fn targets_of(items: &[Item]) -> Vec<Option<EngineId>> {
    let mut targets = Vec::with_capacity(items.len());
    for item in items {
        match &item.targets {
            Some(engines) => targets.extend(engines.iter().copied().map(Some)),
            None => targets.push(None),
        }
    }
    targets
}
