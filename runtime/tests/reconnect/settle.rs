//! The end of a test: everything comes to its end over connections that hold, and nothing is left.

use crate::steps::Step;
use crate::world::{DATA, ENGINES, Stage, World};
use ipclusterz_runtime::wire::Channel;
use ipclusterz_runtime::wire::message::*;
use std::collections::VecDeque;

impl World {
    /// Lets everything come to its end over connections that hold, and looks at what is left.
    pub fn settle(mut self) {
        for _ in 0..10_000 {
            self.connect();
            while !self.late.is_empty() {
                self.late(0, self.late[0].1.is_empty());
            }
            for channel in [0, 1] {
                self.up(channel, usize::MAX);
                self.down(channel, usize::MAX);
            }
            for engine in 0..ENGINES {
                self.answer_recall(engine);
                self.finish(engine);
            }
            self.step(&Step::Wait(20));
            let quiet = self.link.as_ref().is_some_and(|link| {
                matches!(link.stage, Stage::Standing) && link.up.iter().chain(&link.down).all(VecDeque::is_empty)
            });
            if quiet && self.client.under_way() == 0 && self.controller.work().open_tasks() == 0 {
                break;
            }
        }
        assert_eq!(self.client.under_way(), 0, "answers are missing");
        assert_eq!(u64::from(self.statuses.0), self.statuses.1, "each question about the status is answered once");
        for (request, pending) in &self.submitted {
            let statuses = pending.statuses();
            let ran = statuses.iter().filter(|status| **status == Some("ok")).count();
            assert!(statuses.iter().all(|status| matches!(status, Some("ok" | "aborted"))), "{statuses:?}");
            assert_eq!(ran as u32, self.ran.get(request).copied().unwrap_or_default(), "{request:?}: {statuses:?}");
            let outputs: Vec<String> =
                (0..statuses.len()).filter_map(|index| pending.outputs(index)).map(|o| o.0).collect();
            let length: usize = outputs.iter().map(String::len).sum();
            let written = self.written.get(request).cloned().unwrap_or_default();
            assert_eq!(length, written.len(), "{outputs:?} of {written:?}");
            if outputs.len() == 1 {
                assert_eq!(outputs[0], written);
            }
        }
        // Nothing is kept once it is acknowledged and the client is gone.
        self.flush(vec![(
            Channel::Data,
            Message::Goodbye(Goodbye { reason: "closed".to_owned(), taken: false }),
            vec![],
        )]);
        self.up(DATA, usize::MAX);
        let routes = self.link.as_ref().expect("a link").routes;
        routes.into_iter().for_each(|route| self.gone(route));
        assert_eq!(self.controller.registry().clients().count(), 0);
        assert_eq!(self.controller.work().held_bytes(), 0);
    }
}
