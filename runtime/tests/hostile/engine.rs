//! A controller that says anything to an engine: nothing panics, and each task that it has begun has one result.

use crate::messages::message;
use crate::{decoded, frames, payload};
use ipclusterz_base::ids::TaskId;
use ipclusterz_runtime::engine::core::{Action, Core};
use ipclusterz_runtime::wire::message::*;
use ipclusterz_runtime::wire::part::{Packed, unpack};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Hears { message: Box<Message>, payload: Vec<Vec<u8>> },
    Begins,
    Ends,
    Writes(String),
    SessionLost,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (message(), payload()).prop_map(|(message, payload)| Step::Hears { message: Box::new(message), payload }),
        5 => Just(Step::Begins),
        5 => Just(Step::Ends),
        2 => ".*".prop_map(Step::Writes),
        1 => Just(Step::SessionLost),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn whatever_it_hears_what_it_has_begun_has_one_result(steps in proptest::collection::vec(step(), 0..60)) {
        let mut core = Core::default();
        let mut running: Option<TaskId> = None;
        for step in steps {
            match step {
                Step::Hears { message, payload } => {
                    let unpack = |frames, task: &Task| {
                        unpack(frames, &task.segments, None).map_err(|error| error.to_string())
                    };
                    if let Ok(message) = decoded(*message) {
                        core.message(message, frames(payload), unpack);
                    }
                }
                Step::Begins if running.is_none() => running = core.start_next().map(|job| job.id),
                Step::Ends => {
                    if let Some(task) = running.take() {
                        prop_assert!(core.runs(task));
                        let result = core.finish(task, TaskOutcome::Ok, (0.0, 0.0), Packed::default());
                        let is_its = |action: &Action| {
                            matches!(action, Action::SendData(Message::Result(result), _) if result.id == task)
                        };
                        prop_assert!(result.as_ref().is_none_or(is_its));
                        prop_assert!(core.finish(task, TaskOutcome::Ok, (0.0, 0.0), Packed::default()).is_none());
                    }
                }
                Step::Writes(text) => drop(core.output(Stream::Stdout, text)),
                Step::SessionLost => core.session_lost(),
                Step::Begins => {}
            }
            prop_assert_eq!(core.is_running(), running.is_some());
        }
    }
}
