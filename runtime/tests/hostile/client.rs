//! A controller that says anything to a client: nothing panics, and each answer that somebody waits for comes once.

use crate::messages::message;
use crate::{decoded, frames, payload};
use ipclusterz_base::ids::{EngineId, PeerId};
use ipclusterz_runtime::client::Pending;
use ipclusterz_runtime::client::core::Core;
use ipclusterz_runtime::client::request::Outgoing;
use ipclusterz_runtime::wire::Channel;
use ipclusterz_runtime::wire::message::*;
use ipclusterz_runtime::wire::part::{Packed, unpack};
use proptest::prelude::*;
use std::sync::Arc;

#[derive(Debug, Clone)]
enum Step {
    Hears { control: bool, message: Box<Message>, payload: Vec<Vec<u8>> },
    Submits(u32),
    Interrupted,
    Established { resumed: Option<(u64, u64)>, grace: f64 },
}

fn step() -> impl Strategy<Value = Step> {
    let number = || prop_oneof![0..20_u64, Just(u64::MAX)];
    let grace = prop_oneof![Just(0.0), Just(300.0), Just(f64::NAN), Just(f64::INFINITY), Just(-1.0)];
    prop_oneof![
        20 => (any::<bool>(), message(), payload())
            .prop_map(|(control, message, payload)| Step::Hears { control, message: Box::new(message), payload }),
        3 => (1..4_u32).prop_map(Step::Submits),
        1 => Just(Step::Interrupted),
        1 => (proptest::option::of((number(), number())), grace)
            .prop_map(|(resumed, grace)| Step::Established { resumed, grace }),
    ]
}

fn welcome(resumed: Option<Counts>, grace: f64) -> Welcome {
    let window = Window { replies: 5, bytes: u64::MAX, request_bytes: u64::MAX };
    Welcome { grace, resumed, ..Welcome::new(PeerId(1), String::new(), window) }
}

fn submit(core: &mut Core, count: u32) -> Arc<Pending> {
    let engines: Vec<EngineId> = (0..count).map(EngineId).collect();
    let targets = engines.iter().copied().map(Some).collect();
    let pending = Pending::new(targets, 0.0, Arc::default(), Arc::default());
    let (id, packed) = (core.number(1), Packed::default());
    let (placement, op, function) = (Placement::Engines(engines), Op::Execute, None);
    let (pending_too, count) = (Arc::downgrade(&pending), count as usize);
    let (base, collective, keep) = (0, false, None);
    core.submit(Outgoing {
        id,
        placement,
        op,
        function,
        packed,
        pending: pending_too,
        base,
        count,
        collective,
        timeout: None,
        keep,
        about: None,
        name: None,
        part: 0,
        terms: None,
        map: None,
        rank: 0,
    });
    pending
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn whatever_it_hears_each_answer_comes_once(steps in proptest::collection::vec(step(), 0..60)) {
        let mut core = Core::default();
        core.established(welcome(None, 300.0), 0.0);
        let mut all: Vec<Arc<Pending>> = Vec::new();
        for step in steps {
            match step {
                Step::Hears { control, message, payload } => {
                    let channel = if control { Channel::Control } else { Channel::Data };
                    if let Ok(message) = decoded(*message) {
                        let unpack = |frames, reply: &Reply| {
                            unpack(frames, &reply.segments, None).map_err(|error| error.to_string())
                        };
                        core.message(channel, message, frames(payload), 0.0, unpack);
                    }
                }
                Step::Submits(count) => {
                    let pending = submit(&mut core, count);
                    if core.standing.is_none() {
                        core.abort_unsent(None, false, 0.0);
                    }
                    all.push(pending);
                }
                Step::Interrupted => {
                    if core.interrupted("it broke").is_none() {
                        core.lost("it broke", 0.0);
                    }
                }
                Step::Established { resumed, grace } => {
                    let resumed = resumed.map(|(control, data)| Counts { control, data });
                    if let Ok(Message::Welcome(welcome)) = decoded(Message::Welcome(welcome(resumed, grace))) {
                        core.established(welcome, 0.0);
                    }
                }
            }
            core.outgoing(vec![]);
            prop_assert!(core.events.len() <= 1024);
        }
        core.lost("the end", 0.0);
        core.abort_unsent(None, false, 0.0);
        for pending in all {
            prop_assert_eq!(pending.done(), pending.len());
        }
    }
}
