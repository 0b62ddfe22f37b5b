//! Lives of jobs: written out one by one, and random ones.

use super::*;
use proptest::prelude::*;

fn rules() -> Rules {
    Rules {
        retries: 2,
        poll: Duration::from_secs(5),
        queue_timeout: None,
        strict: false,
        array: false,
        outcome: true,
        endings: BTreeMap::from([("CANCELLED".to_owned(), "was cancelled".to_owned())]),
        log: PathBuf::from("/logs/job-0.log"),
    }
}

/// A job and a simulated clock.
struct Story {
    job: Job,
    now: Instant,
}

impl Story {
    fn begin(rules: Rules) -> Self {
        let now = Instant::now();
        let (job, actions) = Job::new(rules, now);
        assert_eq!(actions, [Action::Submit]);
        Self { job, now }
    }

    fn queued(rules: Rules) -> Self {
        let mut story = Self::begin(rules);
        assert_eq!(story.after(0.0, Event::Submitted("17".to_owned())), [waiting("job 17 is submitted")]);
        story
    }

    fn after(&mut self, seconds: f64, event: Event) -> Vec<Action> {
        self.now += Duration::from_secs_f64(seconds);
        self.job.handle(event, self.now)
    }

    fn see(&mut self, seconds: f64, view: View) -> Vec<Action> {
        self.after(seconds, Event::Seen(view))
    }
}

fn waiting(text: &str) -> Action {
    Action::Tell(SetEvent::Waiting(text.to_owned()))
}

fn running(text: &str) -> Action {
    Action::Tell(SetEvent::Running(text.to_owned()))
}

fn refusal(why: &str) -> Failure {
    Failure::new(ipclusterz_host::exit_code::Exit::StartFailed, why).with_hint("ask again")
}

fn ended(orderly: bool, how: &str) -> Vec<Action> {
    let log = (!orderly).then(|| PathBuf::from("/logs/job-0.log"));
    // A queue may lose sight of a job whose engines live.
    let end = SetEnd { certain: false, ..SetEnd::new(orderly, how, log) };
    vec![Action::Tell(SetEvent::Ended(end))]
}

fn still_waiting(text: &str) -> Action {
    Action::Tell(SetEvent::StillWaiting(text.to_owned()))
}

fn pending(reason: &str) -> Wait {
    Wait { text: reason.to_owned(), reason: reason.to_owned(), ..Wait::default() }
}

/// The end of a job that has never run.
fn given_up(how: &str) -> Vec<Action> {
    let why = Failure::new(ipclusterz_host::exit_code::Exit::StartFailed, how).with_hint(words::WAITED_HINT);
    vec![Action::Tell(SetEvent::Ended(SetEnd { certain: false, ..SetEnd::not_started(why) }))]
}

fn resources() -> View {
    View::Waiting(pending("waiting for resources"))
}

fn impossible() -> View {
    View::Waiting(Wait { impossible: true, ..pending("the partition is down") })
}

fn on(nodes: &str) -> View {
    View::Running(nodes.to_owned())
}

fn over(state: &str, failed: bool) -> View {
    View::Over(Outcome { state: Some(state.to_owned()), failed, ..Outcome::default() })
}

fn exit(code: i32) -> Event {
    let state = Some(if code == 0 { "COMPLETED" } else { "FAILED" }.to_owned());
    Event::Outcome(Some(Outcome { state, failed: code != 0, code: Some(code), ..Outcome::default() }))
}

const CANCEL: Action = Action::Cancel { kill: false };
const KILL: Action = Action::Cancel { kill: true };

#[test]
fn a_good_life() {
    let mut story = Story::queued(rules());
    assert_eq!(story.see(1.0, resources()), [waiting("job 17 is pending: waiting for resources; 1 s so far")]);
    assert_eq!(story.see(5.0, resources()), []);
    assert_eq!(story.see(30.0, resources()), [still_waiting("job 17 is pending: waiting for resources; 36 s so far")]);
    assert_eq!(story.see(5.0, on("n[1-2]")), [running("job 17 runs on n[1-2]")]);
    assert_eq!(story.see(5.0, on("n[1-2]")), []);
    assert_eq!(story.see(5.0, over("COMPLETED", false)), [Action::AskOutcome]);
    assert_eq!(story.after(0.1, exit(0)), ended(true, "job 17 ended (COMPLETED)"));
    assert!(story.job.is_over() && story.job.next_look().is_none() && story.job.next_tick().is_none());
}

#[test]
fn what_it_waits_for_is_news_when_it_changes() {
    let mut story = Story::queued(rules());
    let at = |start| View::Waiting(Wait { start, ..pending("waiting for resources") });
    let is_news = |actions: Vec<Action>| matches!(&actions[..], [Action::Tell(SetEvent::Waiting(_))]);
    assert!(is_news(story.see(1.0, resources())));
    for _ in 0..100 {
        assert!(!is_news(story.see(5.0, resources())));
    }
    assert!(is_news(story.see(5.0, at(Some(9000)))), "there is an estimate");
    // Each look of the queue at its jobs makes another one.
    for late in 0..200 {
        assert!(!is_news(story.see(5.0, at(Some(9000 + late)))));
    }
    assert!(!is_news(story.see(5.0, at(None))));
    assert!(is_news(story.see(5.0, at(Some(9600)))), "it is later by much");
    assert!(is_news(story.see(5.0, View::Waiting(pending("other jobs have a higher priority")))));
    assert_eq!(
        story.see(5.0, impossible()).as_slice(),
        [waiting("job 17 is pending and cannot start as things are: the partition is down; 25 min so far")]
    );
    // After an answer that did not come, what it waits for is told again.
    for _ in 0..4 {
        story.after(10.0, Event::NotSeen("squeue: timed out".to_owned()));
    }
    assert!(is_news(story.see(1.0, impossible())));
}

#[test]
fn a_job_that_cannot_start_is_waited_for_or_not() {
    let why = "cannot start as things are: the partition is down";
    let mut story = Story::queued(Rules { strict: true, ..rules() });
    assert!(matches!(story.see(1.0, resources())[..], [Action::Tell(SetEvent::Waiting(_))]));
    assert!(
        matches!(story.see(1.0, impossible())[..], [Action::Tell(SetEvent::Waiting(_))]),
        "it may be said for a moment"
    );
    assert!(matches!(story.see(1.0, resources())[..], [Action::Tell(SetEvent::Waiting(_))]));
    assert!(matches!(story.see(1.0, impossible())[..], [Action::Tell(SetEvent::Waiting(_))]));
    assert_eq!(story.see(1.0, impossible()), [CANCEL]);
    let how = format!("job 17 {why}; it is not waited for (batch.strict, --strict)");
    assert_eq!(story.see(1.0, over("CANCELLED", true)), given_up(&how));

    let mut story = Story::queued(Rules { queue_timeout: Some(Duration::from_secs(60)), ..rules() });
    assert!(matches!(story.see(1.0, impossible())[..], [Action::Tell(SetEvent::Waiting(_))]));
    assert_eq!(story.see(59.0, impossible()), [CANCEL]);
    let how = "job 17 waited 60 s in the queue and cannot start as things are: the partition is down";
    assert_eq!(story.see(1.0, over("CANCELLED", true)), given_up(how));
}

#[test]
fn a_failure_has_exit_code_and_log() {
    let mut story = Story::queued(rules());
    story.see(1.0, on(""));
    assert_eq!(story.see(1.0, over("FAILED", true)), [Action::AskOutcome]);
    assert_eq!(story.after(0.0, exit(3)), ended(false, "job 17 ended (FAILED), exit code 3"));
}

#[test]
fn one_look_that_misses_it_means_nothing() {
    let mut story = Story::queued(rules());
    story.see(1.0, on("n1"));
    assert_eq!(story.see(5.0, View::Absent), []);
    assert_eq!(story.see(5.0, on("n1")), []);
    assert_eq!(story.see(5.0, View::Absent), []);
    assert_eq!(story.see(5.0, View::Absent), [Action::AskOutcome]);
}

#[test]
fn a_new_job_may_not_be_listed_at_once() {
    let mut story = Story::queued(rules());
    for _ in 0..9 {
        assert_eq!(story.see(1.0, View::Absent), []);
    }
    assert_eq!(story.see(1.0, View::Absent), [Action::AskOutcome]);
}

#[test]
fn accounting_may_lag_and_may_know_nothing() {
    let mut story = Story::queued(rules());
    story.see(1.0, on(""));
    story.see(1.0, View::Absent);
    story.see(1.0, View::Absent);
    for _ in 0..30 {
        assert_eq!(story.after(0.0, Event::Outcome(None)), []);
        assert_eq!(story.after(1.0, Event::Tick), [Action::AskOutcome]);
    }
    let how = "job 17 is gone from the queue, which does not tell how it ended";
    assert_eq!(story.after(0.0, Event::Outcome(None)), ended(false, how));
}

#[test]
fn cancelling_goes_on_until_it_is_gone() {
    let mut story = Story::queued(rules());
    story.see(1.0, on("n1"));
    assert_eq!(story.after(1.0, Event::End(Force::Terminate)), [CANCEL]);
    assert_eq!(story.after(1.0, Event::End(Force::Terminate)), []);
    assert_eq!(story.see(1.0, on("n1")), []);
    assert_eq!(story.see(15.0, on("n1")), [CANCEL]);
    assert_eq!(story.after(1.0, Event::End(Force::Kill)), [KILL]);
    assert_eq!(story.see(3.0, on("n1")), [KILL]);
    assert_eq!(story.see(1.0, over("CANCELLED", true)), ended(false, "job 17 was cancelled"));
}

#[test]
fn an_orderly_end_that_meets_a_cancellation_stays_orderly() {
    let mut story = Story::queued(rules());
    story.see(1.0, on("n1"));
    story.after(1.0, Event::End(Force::Terminate));
    assert_eq!(story.see(1.0, over("COMPLETED", false)), [Action::AskOutcome]);
    assert_eq!(story.after(0.0, exit(0)), ended(true, "job 17 ended (COMPLETED)"));
}

#[test]
fn a_job_cancelled_by_somebody_else_is_noticed() {
    let mut story = Story::queued(rules());
    story.see(1.0, resources());
    assert_eq!(story.see(1.0, over("CANCELLED", true)), [Action::AskOutcome]);
    let outcome = Outcome {
        state: Some("CANCELLED".to_owned()),
        failed: true,
        code: Some(0),
        signal: Some(15),
        by: None,
        cause: causes::named(causes::CANCELLED),
    };
    let how = "job 17 was cancelled (CANCELLED), signal: 15 (SIGTERM)";
    let told = |actions: Vec<Action>| match &actions[..] {
        [Action::Tell(SetEvent::Ended(end))] => end.clone(),
        others => panic!("{others:?}"),
    };
    let end = told(story.after(0.0, Event::Outcome(Some(outcome.clone()))));
    assert_eq!((end.how.as_str(), end.not_started, end.log), (how, true, None), "nothing of it has run");

    let mut story = Story::queued(rules());
    story.see(1.0, on("n1"));
    story.see(1.0, over("CANCELLED", true));
    let end = told(story.after(0.0, Event::Outcome(Some(outcome))));
    assert_eq!((end.how.as_str(), end.not_started, end.cause), (how, false, causes::named(causes::CANCELLED)));
}

#[test]
fn a_job_that_is_suspended_is_told_to_be_and_told_to_go_on() {
    let mut story = Story::queued(rules());
    story.see(1.0, on("n1"));
    let suspended = View::Suspended("suspended; `scontrol resume` lets it go on".to_owned());
    let text = "job 17 is suspended; `scontrol resume` lets it go on: its processes are stopped, and its engines do not answer \
                until they go on";
    assert_eq!(story.see(1.0, suspended.clone()), [Action::Tell(SetEvent::Suspended(text.to_owned()))]);
    assert_eq!(story.see(1.0, suspended.clone()), []);
    assert_eq!(story.see(1.0, on("n1")), [Action::Tell(SetEvent::Resumed("job 17 runs on n1".to_owned()))]);
    // It may have begun and been suspended between two looks.
    let mut story = Story::queued(rules());
    assert_eq!(story.see(1.0, suspended)[0], running("job 17 runs"));
    assert_eq!(story.see(1.0, over("FAILED", true)), [Action::AskOutcome]);
}

#[test]
fn the_queue_is_asked_at_once_why_an_engine_was_lost() {
    let mut story = Story::queued(rules());
    for _ in 0..6 {
        story.see(5.0, on("n1"));
    }
    assert_eq!(story.after(1.0, Event::Suspect), []);
    assert!(story.job.next_look().is_some_and(|at| at <= story.now));
    // Of many engines, and of a question that is asked again, the queue does not hear.
    story.see(0.0, on("n1"));
    story.after(0.1, Event::Suspect);
    assert!(story.job.next_look().is_some_and(|at| at > story.now));
}

#[test]
fn ending_while_the_submission_runs_cancels_what_came_of_it() {
    let mut story = Story::begin(rules());
    assert_eq!(story.after(0.0, Event::End(Force::Terminate)), []);
    assert_eq!(story.after(1.0, Event::Submitted("17".to_owned())), [CANCEL]);
    let mut story = Story::begin(rules());
    story.after(0.0, Event::End(Force::Terminate));
    let actions = story.after(1.0, Event::Refused { failure: refusal("no"), again: true });
    assert!(matches!(actions.as_slice(), [Action::Tell(SetEvent::Ended(_))]));
}

#[test]
fn a_refusal_is_tried_again_when_that_is_safe() {
    let refused = |again| Event::Refused { failure: refusal("server is down"), again };
    let mut story = Story::begin(rules());
    assert_eq!(story.after(0.0, refused(true)), [waiting("attempt 1 of 3, the next in 2 s: server is down")]);
    assert_eq!(story.after(1.0, Event::Tick), []);
    assert_eq!(story.after(1.0, Event::Tick), [Action::Submit]);
    assert_eq!(story.after(0.0, refused(true)), [waiting("attempt 2 of 3, the next in 4 s: server is down")]);
    assert_eq!(story.after(4.0, Event::Tick), [Action::Submit]);
    let end = SetEnd::not_started(refusal("server is down"));
    assert_eq!(story.after(0.0, refused(true)), [Action::Tell(SetEvent::Ended(end.clone()))]);
    // A submission that was killed may have left a job.
    assert_eq!(Story::begin(rules()).after(0.0, refused(false)), [Action::Tell(SetEvent::Ended(end))]);
}

#[test]
fn waiting_has_an_end_when_the_profile_says_so() {
    let mut story = Story::queued(Rules { queue_timeout: Some(Duration::from_secs(60)), ..rules() });
    story.see(30.0, resources());
    assert_eq!(story.see(30.0, resources()), [CANCEL]);
    let how = "job 17 waited 60 s in the queue: waiting for resources";
    assert_eq!(story.see(1.0, over("CANCELLED", true)), given_up(how));
}

#[test]
fn stuck_and_requeued_jobs_are_cancelled() {
    let mut story = Story::queued(rules());
    assert_eq!(story.see(1.0, View::Stuck("an error".to_owned())), [CANCEL]);
    story.see(1.0, View::Absent);
    assert_eq!(story.see(1.0, View::Absent), ended(false, "job 17 cannot run: an error"));
    let mut story = Story::queued(rules());
    story.see(1.0, on("n1"));
    assert_eq!(story.see(1.0, resources()), [CANCEL]);
    assert_eq!(story.see(1.0, over("CANCELLED", true)), ended(false, "job 17 was put back into the queue"));
}

#[test]
fn tasks_of_an_array_may_wait_after_others_have_run() {
    let mut story = Story::queued(Rules { array: true, ..rules() });
    story.see(1.0, on("n1"));
    assert_eq!(story.see(1.0, resources()), []);
    assert_eq!(story.see(1.0, over("COMPLETED", false)), [Action::AskOutcome]);
}

#[test]
fn which_tasks_of_an_array_wait_is_told() {
    let mut story = Story::queued(Rules { array: true, ..rules() });
    let partly =
        |tasks: &[u32]| View::Partly { nodes: "n1".to_owned(), waiting: tasks.to_vec(), wait: pending("no room") };
    let event = |engines: &[u32], text: &str| Action::Tell(SetEvent::Partly(engines.to_vec(), text.to_owned()));
    let text = "tasks 3-5, 9 of job 17 are pending: no room; 1 s so far";
    let first = [running("job 17 runs on n1"), waiting(text), event(&[2, 3, 4, 8], text)];
    assert_eq!(story.see(1.0, partly(&[3, 4, 5, 9])), first);
    assert_eq!(story.see(1.0, partly(&[3, 4, 5, 9])), [], "no news");
    let text = "task 9 of job 17 is pending: no room; 4 s so far";
    assert_eq!(story.see(2.0, partly(&[9])), [event(&[8], text)]);
    assert_eq!(story.see(1.0, on("n1")), [event(&[], "job 17 runs")]);
    assert_eq!(story.see(1.0, on("n1")), []);
}

#[test]
fn a_silent_queue_is_told_and_ends_only_what_is_not_known_to_run() {
    let silence = || Event::NotSeen("squeue: timed out".to_owned());
    let mut story = Story::queued(rules());
    assert_eq!(story.after(1.0, silence()), []);
    let text = "job 17: no answer from the queue for 20 s: squeue: timed out";
    assert_eq!(story.after(20.0, silence()), [waiting(text)]);
    assert_eq!(story.after(5.0, silence()), []);
    let actions = story.after(600.0, silence());
    assert_eq!(actions[0], KILL);
    assert!(matches!(&actions[1], Action::Tell(SetEvent::Ended(end)) if !end.orderly));

    let mut story = Story::queued(rules());
    story.see(1.0, on("n1"));
    story.after(1.0, silence());
    let text = "job 17: no answer from the queue for 15 min, and it ran before: squeue: timed out";
    assert_eq!(story.after(900.0, silence()), [Action::Tell(SetEvent::News(text.to_owned()))]);
    assert_eq!(story.see(1.0, on("n1")), []);
    assert!(!story.job.is_over());

    // What it was before is known, and is not what it is now.
    let mut story = Story::queued(rules());
    story.see(1.0, resources());
    story.after(1.0, silence());
    let text = "job 17: no answer from the queue for 20 s, and it was pending before (waiting for resources): squeue: \
                timed out";
    assert_eq!(story.after(20.0, silence()), [waiting(text)]);
    assert_eq!(story.see(1.0, resources()), [waiting("job 17 is pending: waiting for resources; 23 s so far")]);
}

#[test]
fn looks_are_frequent_when_something_changes() {
    let mut story = Story::queued(rules());
    let mut gaps = Vec::new();
    for _ in 0..6 {
        let next = story.job.next_look().expect("a look");
        gaps.push(next.duration_since(story.now).as_millis());
        story.now = next;
        story.see(0.0, resources());
    }
    assert_eq!(gaps, [500, 1000, 2000, 4000, 5000, 5000]);
    story.after(0.0, Event::End(Force::Terminate));
    assert_eq!(story.job.next_look().expect("a look").duration_since(story.now).as_millis(), 500);
}

fn any_view() -> impl Strategy<Value = View> {
    prop_oneof![
        Just(View::Absent),
        Just(resources()),
        Just(on("n1")),
        Just(View::Stuck("error".to_owned())),
        Just(over("COMPLETED", false)),
        Just(over("FAILED", true)),
    ]
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Submitted("17".to_owned())),
        any::<bool>().prop_map(|again| Event::Refused { failure: refusal("no"), again }),
        any_view().prop_map(Event::Seen),
        Just(Event::NotSeen("down".to_owned())),
        Just(Event::Outcome(None)),
        Just(exit(0)),
        Just(exit(3)),
        Just(Event::NotCancelled("no".to_owned())),
        Just(Event::End(Force::Terminate)),
        Just(Event::End(Force::Kill)),
        Just(Event::Tick),
    ]
}

proptest! {
    /// The launcher's thread does what it is told; answers may be right, wrong or late, in any order.
    #[test]
    fn it_ends_once_and_is_never_lost(steps in proptest::collection::vec((any_event(), 0.0..40.0f64), 1..80)) {
        let mut story = Story::begin(rules());
        let (mut ends, mut pending, mut submitted) = (0, vec![Action::Submit], false);
        for (event, seconds) in steps {
            // An event that only an action causes comes only after that action.
            let asked = |wanted: &dyn Fn(&Action) -> bool| pending.iter().position(wanted);
            let cause = match &event {
                Event::Submitted(_) | Event::Refused { .. } => asked(&|action| *action == Action::Submit),
                Event::Outcome(_) => asked(&|action| *action == Action::AskOutcome),
                Event::NotCancelled(_) => asked(&|action| matches!(action, Action::Cancel { .. })),
                Event::Seen(_) | Event::NotSeen(_) if !submitted => None,
                _ => Some(usize::MAX),
            };
            let Some(cause) = cause else { continue };
            if cause != usize::MAX {
                pending.remove(cause);
            }
            submitted |= matches!(event, Event::Submitted(_));
            let was_over = story.job.is_over();
            let actions = story.after(seconds, event);
            prop_assert!(!was_over || actions.is_empty(), "something after the end: {actions:?}");
            ends += actions.iter().filter(|action| matches!(action, Action::Tell(SetEvent::Ended(_)))).count();
            let cancelled = actions.iter().any(|action| matches!(action, Action::Cancel { .. }));
            prop_assert!(submitted || !cancelled);
            pending.extend(actions.into_iter().filter(|action| !matches!(action, Action::Tell(_))));
            prop_assert_eq!(ends == 1, story.job.is_over());
            // Something always makes progress: a command, a query or a tick.
            let goes_on = story.job.next_look().is_some() || story.job.next_tick().is_some();
            let runs = pending.iter().any(|action| matches!(action, Action::Submit | Action::AskOutcome));
            prop_assert!(story.job.is_over() || goes_on || runs);
        }
        // Once it is to end and the queue no longer lists it, it ends.
        if pending.contains(&Action::Submit) {
            story.after(0.0, Event::Submitted("17".to_owned()));
        }
        story.after(0.0, Event::End(Force::Kill));
        for _ in 0..3 {
            story.see(20.0, View::Absent);
        }
        prop_assert!(story.job.is_over());
    }
}
