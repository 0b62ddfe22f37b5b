//! What can happen.

use crate::world::{ENGINES, World};
use ipclusterz_runtime::controller::event::Event;
use proptest::prelude::*;
use std::time::Duration;

#[derive(Debug, Clone)]
pub enum Step {
    Submit {
        balanced: bool,
        function: bool,
    },
    Abort {
        all: bool,
    },
    /// Another client gives up what all have.
    AbortByOther,
    AskStatus,
    Write(u32),
    Finish(u32),
    AnswerRecall(u32),
    Up {
        channel: usize,
        count: usize,
    },
    Down {
        channel: usize,
        count: usize,
    },
    Cut,
    Connect,
    /// What a connection that was cut still brings the controller, and then its end.
    Late {
        which: usize,
        end: bool,
    },
    /// The controller drops a connection by itself.
    Drop(usize),
    Wait(u64),
}

pub fn step() -> impl Strategy<Value = Step> {
    let engine = 0..ENGINES;
    let move_some = (0..2_usize, 1..6_usize);
    prop_oneof![
        6 => any::<(bool, bool)>().prop_map(|(balanced, function)| Step::Submit { balanced, function }),
        1 => any::<bool>().prop_map(|all| Step::Abort { all }),
        1 => Just(Step::AbortByOther),
        1 => Just(Step::AskStatus),
        3 => engine.clone().prop_map(Step::Write),
        6 => engine.clone().prop_map(Step::Finish),
        2 => engine.prop_map(Step::AnswerRecall),
        8 => move_some.clone().prop_map(|(channel, count)| Step::Up { channel, count }),
        8 => move_some.prop_map(|(channel, count)| Step::Down { channel, count }),
        2 => Just(Step::Cut),
        3 => Just(Step::Connect),
        3 => (0..6_usize, any::<bool>()).prop_map(|(which, end)| Step::Late { which, end }),
        1 => (0..2_usize).prop_map(Step::Drop),
        1 => (0..30_u64).prop_map(Step::Wait),
    ]
}

impl World {
    pub fn step(&mut self, step: &Step) {
        match *step {
            Step::Submit { balanced, function } if self.client.standing.is_some() => self.submit(balanced, function),
            Step::Abort { all } if self.client.standing.is_some() => self.abort(all),
            Step::AskStatus if self.client.standing.is_some() => self.ask_status(),
            Step::Submit { .. } | Step::Abort { .. } | Step::AskStatus => {}
            Step::AbortByOther => self.abort_by_other(),
            Step::Write(engine) => self.write(engine),
            Step::Finish(engine) => self.finish(engine),
            Step::AnswerRecall(engine) => self.answer_recall(engine),
            Step::Up { channel, count } => self.up(channel, count),
            Step::Down { channel, count } => self.down(channel, count),
            Step::Cut => self.cut(),
            Step::Connect => self.connect(),
            Step::Late { which, end } => self.late(which, end),
            Step::Drop(channel) => {
                if let Some(route) = self.link.as_ref().map(|link| link.routes[channel]) {
                    self.gone(route);
                }
            }
            Step::Wait(milliseconds) => {
                self.now += Duration::from_millis(milliseconds);
                let actions = self.controller.handle(Event::Tick, self.now);
                self.act(actions);
            }
        }
    }
}
