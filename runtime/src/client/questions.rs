//! Questions about work of the past, and the answers as they come. Pure.

use crate::wire::message::{Ask, Found, Kept, Message, Query};
use crate::wire::part::Part;
use crate::wire::resend::Sending;
use crate::wire::{Channel, Frame};
use ipclusterz_base::ids::RequestId;
use std::collections::BTreeMap;
use std::num::Saturating;

/// Everything that was answered.
#[derive(Debug, Default)]
pub struct Answered {
    /// What was found.
    pub found: Found,
    /// Results, each with its value.
    pub kept: Vec<(Kept, Vec<Part>)>,
    /// Chunks of events, if those were asked for.
    pub chunks: Vec<Frame>,
}

#[derive(Debug)]
struct Open {
    ask: Ask,
    /// Results go to those who wait for these requests, and are not gathered.
    adopted: Option<Vec<RequestId>>,
    answered: Answered,
    complete: bool,
}

/// Questions under way, by number.
#[derive(Debug, Default)]
pub struct Questions {
    last: Saturating<u64>,
    open: BTreeMap<u64, Open>,
}

/// What a message of an answer is for.
#[derive(Debug)]
pub enum For {
    /// Whoever waits for the answer.
    Asker,
    /// Those who wait for a request.
    Adopted(Box<Kept>, Vec<Part>),
    /// These requests have all that there is; the tasks of them that have not ended are in the list.
    Complete(Vec<RequestId>, Box<Found>),
}

impl Questions {
    /// The message that asks, and its number. With `adopted`, results go to those who wait for these requests.
    pub fn ask(&mut self, ask: Ask, adopted: Option<Vec<RequestId>>) -> (u64, Sending) {
        self.last += 1;
        let number = self.last.0;
        let open = Open { ask: ask.clone(), adopted, answered: Answered::default(), complete: false };
        self.open.insert(number, open);
        (number, message(number, ask))
    }

    /// There is another connection: what was not answered is asked again.
    pub fn again(&mut self) -> Vec<Sending> {
        let open = self.open.iter_mut().filter(|(_, open)| !open.complete);
        open.map(|(number, open)| {
            open.answered = Answered::default();
            message(*number, open.ask.clone())
        })
        .collect()
    }

    /// A result has come.
    pub fn kept(&mut self, kept: Kept, parts: Vec<Part>) -> For {
        match self.open.get_mut(&kept.number) {
            Some(Open { adopted: Some(_), .. }) => return For::Adopted(Box::new(kept), parts),
            Some(open) => open.answered.kept.push((kept, parts)),
            // Nobody waits any more.
            None => {}
        }
        For::Asker
    }

    /// An answer is complete.
    pub fn found(&mut self, found: Found, chunks: Vec<Frame>) -> For {
        let Some(open) = self.open.get_mut(&found.number) else { return For::Asker };
        if let Some(adopted) = open.adopted.take() {
            self.open.remove(&found.number);
            return For::Complete(adopted, Box::new(found));
        }
        (open.complete, open.answered.found, open.answered.chunks) = (true, found, chunks);
        For::Asker
    }

    /// Whether an answer is complete.
    pub fn is_complete(&self, number: u64) -> bool {
        self.open.get(&number).is_none_or(|open| open.complete)
    }

    /// The answer; nothing more of it is taken.
    pub fn take(&mut self, number: u64) -> Answered {
        self.open.remove(&number).map(|open| open.answered).unwrap_or_default()
    }
}

/// On `data`: behind the requests that it is about.
fn message(number: u64, ask: Ask) -> Sending {
    (Channel::Data, Message::Query(Query { number, ask }), Vec::<Frame>::new())
}
