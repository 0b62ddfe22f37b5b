//! The launcher's decisions, with made-up time.

use super::super::world::NOTICE_PATIENCE;
use super::*;
use crate::supervisor::inputs::ControllerWord;
use crate::supervisor::loss::Limit;
use ipclusterz_launchers::contract::LostEngine;
use ipclusterz_launchers::set::SetEnd;
use ipclusterz_profile::tables::engines::OnRankLoss;
use ipclusterz_runtime::wire::message::EnginesExpected;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

pub const TIMEOUT: Duration = Duration::from_secs(60);
const END_TIMEOUT: Duration = Duration::from_secs(7);

pub fn killed() -> SetEnd {
    SetEnd::new(false, ExitStatus::from_raw(9).to_string(), None)
}

pub fn shut_down() -> SetEnd {
    SetEnd::new(true, ExitStatus::from_raw(0).to_string(), None)
}

/// A set of one engine, with the same number as the engine.
fn one(number: u32) -> EngineSet {
    EngineSet { id: SetId(number), first: EngineId(number), count: 1, group: None }
}

pub fn ended(set: u32, end: SetEnd) -> Input {
    Input::Set(SetId(set), SetEvent::Ended(end))
}

fn info(id: u32, pid: u32) -> EngineInfo {
    EngineInfo {
        id: EngineId(id),
        uuid: format!("uuid-{pid}"),
        host: "here".to_owned(),
        pid,
        address: String::new(),
        birth: None,
    }
}

pub fn policy(restart: bool) -> Policy {
    let restart_limit = Limit { most: 2, window: 10 * TIMEOUT };
    Policy {
        restart,
        again_in_job: false,
        own_jobs: true,
        least: 0,
        queue_timeout: None,
        restart_controller: false,
        retries: 0,
        rank_loss: None,
        restart_limit,
        end_timeout: END_TIMEOUT,
        timeout: TIMEOUT,
        host: "here".to_owned(),
    }
}

pub fn say(line: &str) -> Action {
    Action::Say(line.to_owned())
}

/// A core whose engines 0..count have been started with pids 100..
fn started(count: u32, restart: bool) -> (Core, Instant) {
    let now = Instant::now();
    let mut core = Core::new(policy(restart), now);
    core.handle(Input::ControllerSaid(ControllerWord::Listens), now);
    assert_eq!(core.grow(count, 1).len(), count as usize);
    for set in 0..count {
        assert!(core.handle(Input::SetStarted { set: SetId(set), pid: Some(100 + set) }, now).is_empty());
    }
    (core, now)
}

#[test]
fn a_forked_engine_has_the_pid_of_the_fork_and_its_time_from_there() {
    let (mut core, now) = started(1, false);
    let later = now + TIMEOUT / 2;
    assert!(core.handle(Input::Set(SetId(0), SetEvent::Forked(300)), later).is_empty());
    let set = core.set(SetId(0)).expect("a set");
    assert_eq!((set.process().as_str(), set.deadline(&policy(false))), ("pid 300", Some(later + TIMEOUT)));
    // It was given another id than the one that it asked for.
    assert_eq!(core.handle(Input::EngineJoined(info(7, 300)), later).last(), Some(&Action::Ready));
}

/// A core with `sets` sets of `size` engines that were submitted to a queue and have no pid on this host.
pub fn queued(sets: u32, size: u32, on_rank_loss: Option<OnRankLoss>) -> (Core, Instant) {
    let now = Instant::now();
    let rank_loss = on_rank_loss.map(|wanted| RankLoss::of(wanted, None));
    let mut core = Core::new(Policy { rank_loss, ..policy(false) }, now);
    core.handle(Input::ControllerSaid(ControllerWord::Listens), now);
    core.grow(sets * size, size);
    for set in 0..sets {
        core.handle(Input::SetStarted { set: SetId(set), pid: None }, now);
    }
    (core, now)
}

pub fn join(core: &mut Core, ids: std::ops::Range<u32>, now: Instant) -> Vec<Action> {
    ids.flat_map(|id| core.handle(Input::EngineJoined(info(id, 500 + id)), now)).collect()
}

fn ready(count: u32, restart: bool) -> (Core, Instant) {
    let (mut core, now) = started(count, restart);
    for id in 0..count {
        core.handle(Input::EngineJoined(info(id, 100 + id)), now);
    }
    assert!(core.is_ready());
    (core, now)
}

#[test]
fn each_engine_is_announced_once_and_ready_is_said_once() {
    let (mut core, now) = started(2, false);
    assert!(core.handle(Input::EngineJoined(info(1, 101)), now).is_empty(), "engine 0 is first");
    assert!(core.handle(Input::EngineJoined(info(1, 101)), now).is_empty(), "told twice");
    let second = core.handle(Input::EngineJoined(info(0, 100)), now);
    let ready = |id: u32| say(&format!("engine {id} is ready on here (pid {})", 100 + id));
    assert_eq!(second, [ready(0), ready(1), Action::Ready]);
    let stranger = EngineInfo { host: "there".to_owned(), ..info(2, 100) };
    let joined = core.handle(Input::EngineJoined(stranger), now);
    assert_eq!(joined, [Action::Say("engine 2 has joined from there (pid 100)".to_owned())]);
}

#[test]
fn an_engine_behind_a_wrapper_is_known_by_its_id_and_one_with_another_id_by_its_pid() {
    let (mut core, now) = started(2, false);
    core.handle(Input::EngineJoined(info(0, 999)), now);
    let actions = core.handle(Input::EngineJoined(info(7, 101)), now);
    assert_eq!(actions.last(), Some(&Action::Ready));
}

#[test]
fn an_engine_that_ends_before_all_are_ready_ends_the_start() {
    let (mut core, now) = started(2, true);
    core.handle(Input::EngineJoined(info(0, 100)), now);
    assert_eq!(core.handle(ended(1, killed()), now), [Action::Finish(Ending::SetFailed(one(1), killed()))]);
}

#[test]
fn the_deadline_names_the_missing_and_waits_are_not_silent() {
    let (mut core, now) = started(3, false);
    core.handle(Input::EngineJoined(info(1, 101)), now);
    let tick = core.next_tick().expect("progress is due");
    assert_eq!(tick, now + PROGRESS_INTERVAL);
    let actions = core.handle(Input::Tick, tick);
    assert_eq!(
        actions,
        [say("engine 1 is ready on here (pid 101)"), say("waiting for engines 0, 2 to register; 55 s left")]
    );
    let actions = core.handle(Input::Tick, now + TIMEOUT);
    assert_eq!(actions, [Action::Finish(Ending::TimedOut(one(0), vec![EngineId(0), EngineId(2)]))]);
}

#[test]
fn a_dead_engine_is_told_and_started_again_only_when_asked_for() {
    let (mut core, now) = ready(1, false);
    let [Action::Say(line)] = &core.handle(ended(0, killed()), now)[..] else { panic!("one line") };
    assert!(line.starts_with("engine 0 (pid 100) has died: signal: 9"), "{line}");
    assert_eq!(core.next_tick(), None);

    let (mut core, now) = ready(1, true);
    core.handle(ended(0, killed()), now);
    let again = core.next_tick().expect("restart is due");
    let set = EngineSet { id: SetId(0), first: EngineId(0), count: 1, group: None };
    assert_eq!(core.handle(Input::Tick, again), [Action::Start(set)]);
    core.handle(Input::SetStarted { set: SetId(0), pid: Some(200) }, again);
    // The wait grows although the engine was started again in between.
    core.handle(ended(0, killed()), again);
    assert!(core.next_tick().expect("restart is due") - again > again - now);
}

#[test]
fn an_engine_that_was_shut_down_stays_down_and_one_that_ended_by_itself_with_0_does_not() {
    for end_is_first in [true, false] {
        for (reason, stays_down) in [("was shut down", true), ("died: exit status: 0", false)] {
            let (mut core, now) = ready(2, true);
            let left = Input::EngineLeft { id: EngineId(1), reason: format!("engine 1 {reason}") };
            let inputs = if end_is_first { [ended(1, shut_down()), left] } else { [left, ended(1, shut_down())] };
            let said: Vec<Action> = inputs.into_iter().flat_map(|input| core.handle(input, now)).collect();
            let [Action::Say(line)] = &said[..] else { panic!("one line: {said:?}") };
            assert_eq!(core.wanted(), if stays_down { 1 } else { 2 });
            if stays_down {
                assert_eq!(line, "engine 1 (pid 101) was shut down");
                assert_eq!(core.next_tick(), None);
            } else {
                assert!(line.starts_with("engine 1 (pid 101) has died: exit status: 0; started again in"), "{line}");
                let again = core.next_tick().expect("a restart is due");
                assert_eq!(core.handle(Input::Tick, again), [Action::Start(one(1))]);
            }
        }
    }
    // The controller does not say.
    let (mut core, now) = ready(1, true);
    assert_eq!(core.handle(ended(0, shut_down()), now), []);
    let due = core.next_tick().expect("a deadline");
    assert_eq!(core.handle(Input::Tick, due), [say("engine 0 (pid 100) was shut down")]);
}

#[test]
fn a_job_whose_last_engines_were_shut_down_has_ended_well_whatever_one_did_before() {
    let (mut core, now) = queued(1, 2, None);
    join(&mut core, 0..2, now);
    core.handle(broke(0), now);
    core.handle(Input::EngineLeft { id: EngineId(1), reason: "engine 1 was shut down".to_owned() }, now);
    assert_eq!(core.handle(ended(0, shut_down()), now), [say("engines 0 to 1 were shut down")]);
}

#[test]
fn an_engine_that_leaves_is_told_when_its_process_stays() {
    let left = || Input::EngineLeft { id: EngineId(1), reason: "engine 1 is lost".to_owned() };
    let (mut core, now) = ready(2, false);
    assert!(core.handle(left(), now).is_empty());
    let due = core.next_tick().expect("something to say");
    let said = core.handle(Input::Tick, due);
    assert_eq!(said, [Action::Say("engine 1 is lost; its process (pid 101) has not ended".to_owned())]);

    let (mut core, now) = ready(2, false);
    core.handle(left(), now);
    core.handle(ended(1, killed()), now);
    assert_eq!(core.next_tick(), None, "the end was said");

    let stranger = Input::EngineLeft { id: EngineId(9), reason: "engine 9 left".to_owned() };
    assert_eq!(core.handle(stranger, now), [Action::Say("engine 9 left".to_owned())]);
}

#[test]
fn an_engine_that_was_shut_down_is_killed_when_its_end_takes_too_long() {
    let (mut core, now) = ready(2, true);
    core.handle(Input::EngineLeft { id: EngineId(1), reason: "engine 1 was shut down".to_owned() }, now);
    assert_eq!(core.next_tick(), Some(now + END_TIMEOUT));
    let actions = core.handle(Input::Tick, now + END_TIMEOUT);
    let why = "its end took longer than 7 s (engines.end_timeout)";
    let said = format!("engine 1 was shut down; its process (pid 101) is killed: {why}");
    assert_eq!(actions, [say(&said), Action::End(SetId(1), Force::Kill)]);
    // It is not started again.
    let over = core.handle(ended(1, killed()), now + END_TIMEOUT);
    assert_eq!(over, [say("engine 1 (pid 101) was shut down")]);
}

#[test]
fn a_start_ends_when_its_controller_does_not_listen_in_time_or_ends_before() {
    let now = Instant::now();
    let mut core = Core::new(policy(false), now);
    assert_eq!(core.next_tick(), Some(now + TIMEOUT));
    assert_eq!(core.handle(Input::Tick, now + TIMEOUT), [Action::Finish(Ending::ControllerSilent(TIMEOUT))]);
    let mut core = Core::new(policy(false), now);
    core.handle(Input::ControllerSaid(ControllerWord::Nothing), now);
    assert_eq!(core.handle(Input::ControllerEnded(ExitStatus::from_raw(0).into()), now), [controller_died(0)]);
}

fn controller_died(wait_status: i32) -> Action {
    let how = ExitStatus::from_raw(wait_status).to_string();
    Action::Finish(Ending::ControllerDied { how, given_up: None })
}

#[test]
fn the_cluster_ends_with_its_controller_unless_that_is_started_again() {
    let ended = |wait_status| Input::ControllerEnded(ExitStatus::from_raw(wait_status).into());
    let (mut core, now) = ready(1, false);
    assert_eq!(core.handle(ended(0), now), [Action::Finish(Ending::ShutDown)]);
    let (mut core, now) = ready(1, false);
    assert_eq!(core.handle(ended(9), now), [controller_died(9)]);

    let mut core = Core::new(Policy { restart_controller: true, ..policy(false) }, now);
    core.handle(Input::ControllerSaid(ControllerWord::Listens), now);
    core.grow(1, 1);
    core.handle(Input::SetStarted { set: SetId(0), pid: Some(100) }, now);
    core.handle(Input::EngineJoined(info(0, 100)), now);
    assert_eq!(core.handle(ended(9), now), [Action::StartController]);
    assert_eq!(core.handle(Input::ControllerStarted, now), []);
    assert!(core.how_far(now).controller.is_some_and(|why| why.ends_with("is started again")));
    assert_eq!(core.next_tick(), Some(now + TIMEOUT), "it is to listen by then");
    let said = "the controller died (signal: 9 (SIGKILL)) and was started again in 0.00 s";
    assert_eq!(core.handle(Input::ControllerSaid(ControllerWord::Listens), now), [say(said)]);
    assert_eq!((core.handle(Input::EngineJoined(info(0, 100)), now), core.wanted()), (vec![], 1), "it was known");
    assert_eq!(core.how_far(now).controller, None);
}

#[test]
fn many_engines_are_not_all_named() {
    let ids: Vec<EngineId> = (0..12).map(EngineId).collect();
    assert_eq!(name_engines(&ids), "engines 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more");
    assert_eq!(name_engines(&ids[3..4]), "engine 3");
}

#[test]
fn the_deadline_counts_from_when_a_job_runs() {
    let (mut core, now) = queued(1, 4, None);
    assert!(core.handle(Input::Tick, now + 10 * TIMEOUT).is_empty(), "it waits in the queue");
    let waiting = Input::Set(SetId(0), SetEvent::Waiting("job 7 is pending".to_owned()));
    assert_eq!(core.handle(waiting, now), [say("job 7 is pending")]);
    let begun = now + 10 * TIMEOUT;
    let said = core.handle(Input::Set(SetId(0), SetEvent::Running("job 7 on n1".to_owned())), begun);
    assert_eq!(said, [say("engines 0 to 3 started: job 7 on n1")]);
    join(&mut core, 0..3, begun);
    let actions = core.handle(Input::Tick, begun + TIMEOUT);
    let set = EngineSet { id: SetId(0), first: EngineId(0), count: 4, group: None };
    assert_eq!(actions, [Action::Finish(Ending::TimedOut(set, vec![EngineId(3)]))]);
}

#[test]
fn a_start_that_fails_is_tried_again_as_often_as_allowed() {
    let now = Instant::now();
    let mut core = Core::new(Policy { retries: 1, ..policy(false) }, now);
    core.grow(2, 2);
    core.handle(Input::SetStarted { set: SetId(0), pid: None }, now);
    let [Action::Say(line)] = &core.handle(ended(0, killed()), now)[..] else { panic!("one line") };
    assert!(line.starts_with("engines 0 to 1 failed: signal: 9 (SIGKILL); tried again in 0.2 s"), "{line}");
    let again = core.next_tick().expect("a restart is due");
    assert!(matches!(core.handle(Input::Tick, again)[..], [Action::Start(_)]));
    core.handle(Input::SetStarted { set: SetId(0), pid: None }, again);
    assert!(matches!(core.handle(ended(0, killed()), again)[..], [Action::Finish(Ending::SetFailed(..))]));
}

#[test]
fn the_loss_of_one_rank_ends_the_whole_set() {
    let (mut core, now) = queued(1, 4, Some(OnRankLoss::Stop));
    assert_eq!(join(&mut core, 0..4, now).last(), Some(&Action::Ready));
    let left = Input::EngineLeft { id: EngineId(2), reason: "engine 2 died: its connection broke".to_owned() };
    let actions = core.handle(left, now);
    let said = say("engine 2 died: its connection broke; with it ends the whole set of engines 0 to 3");
    assert_eq!(actions, [said], "its program may end it by itself, and say why");
    let set = EngineSet { id: SetId(0), first: EngineId(0), count: 4, group: None };
    assert_eq!(core.handle(Input::Tick, now), [Action::Explain(set, lost(2))], "others may know how");
    let how = Some("signal: 9 (SIGKILL)".to_owned());
    let said = core.handle(Input::Explained(SetId(0), EngineId(2), how), now);
    assert_eq!(said, [say("engine 2 (rank 2) on here: signal: 9 (SIGKILL)")]);
    let late = now + NOTICE_PATIENCE;
    assert_eq!(core.handle(Input::Tick, late), [Action::End(SetId(0), Force::Terminate)]);
    assert_eq!(core.handle(Input::Tick, late + KILL_AFTER), [Action::End(SetId(0), Force::Kill)]);
    // Even if the program around it exits with success.
    let said = core.handle(ended(0, shut_down()), now);
    assert_eq!(
        said,
        [say("engines 0 to 3 have died: exit status: 0; not started again (engines.on_rank_loss = \"stop\")")]
    );
}

#[test]
fn a_cluster_grows_into_free_ids() {
    let (mut core, now) = ready(3, false);
    core.handle(Input::EngineLeft { id: EngineId(1), reason: "engine 1 was shut down".to_owned() }, now);
    core.handle(ended(1, shut_down()), now);
    let first = |actions: &[Action]| match actions {
        [Action::Start(set)] => set.first.0,
        other => panic!("one start: {other:?}"),
    };
    assert_eq!(first(&core.grow(2, 2)), 3);
    assert_eq!(first(&core.grow(1, 1)), 1);
    assert_eq!(core.wanted(), 5);
}

#[test]
fn a_cluster_shrinks_by_idle_engines_which_say_so_themselves() {
    let (mut core, now) = ready(3, true);
    let actions = core.shrink(2, |id| u64::from(id == EngineId(2))).expect("possible");
    assert_eq!(actions, [Action::Retire(vec![EngineId(1), EngineId(0)])]);
    assert_eq!(core.wanted(), 1);
    let left = Input::EngineLeft { id: EngineId(1), reason: "engine 1 was shut down".to_owned() };
    core.handle(left, now);
    assert_eq!(core.handle(ended(1, shut_down()), now), [say("engine 1 (pid 101) ended")]);
    assert_eq!(core.next_tick(), None, "it is not started again");
    assert!(core.shrink(2, |_| 0).is_err(), "there is one");
}

#[test]
fn a_job_that_has_not_begun_is_taken_back() {
    let (mut core, now) = queued(2, 2, None);
    join(&mut core, 0..2, now);
    assert_eq!(core.shrink(2, |_| 0), Ok(vec![Action::End(SetId(1), Force::Terminate)]));
    let actions = core.handle(ended(1, killed()), now);
    assert_eq!(actions, [say("engines 2 to 3 ended"), Action::Ready], "nothing more is waited for");
}

#[test]
fn added_engines_that_do_not_come_are_given_up_and_the_cluster_goes_on() {
    let (mut core, now) = ready(1, false);
    core.grow(1, 1);
    core.handle(Input::SetStarted { set: SetId(1), pid: Some(300) }, now);
    let actions = core.handle(Input::Tick, now + TIMEOUT);
    assert_eq!(actions, [say("engine 1 did not register within 60 s; given up"), Action::End(SetId(1), Force::Kill)]);
    assert_eq!(core.wanted(), 1);
}

#[test]
fn what_a_set_waits_for_is_remembered_and_told() {
    let (mut core, now) = queued(2, 2, None);
    let later = |seconds| now + Duration::from_secs(seconds);
    let waiting = SetEvent::Waiting("job 17 is pending: waiting for resources; 2 s so far".to_owned());
    core.handle(Input::Set(SetId(1), waiting), later(2));
    let progress = core.how_far(later(12));
    assert_eq!((progress.wanted, progress.waiting().count()), (4, 2));
    assert_eq!(
        progress.lines(),
        [
            "engines 0 to 1: to be started, for 12 s",
            "engines 2 to 3: job 17 is pending: waiting for resources; 2 s so far (10 s ago)",
        ]
    );
    assert_eq!(progress.reason(), "engines 0 to 1: to be started, for 12 s; and one set more");

    core.handle(Input::Set(SetId(1), SetEvent::Running("job 17 runs on n1".to_owned())), later(20));
    join(&mut core, 2..3, later(21));
    let progress = core.how_far(later(25));
    assert_eq!(
        progress.lines()[1],
        "engines 2 to 3: started 5 s ago, not registered yet, 1 of 2 are; job 17 runs on n1",
        "why it waited is no news any more"
    );
    join(&mut core, 3..4, later(26));
    assert_eq!(core.how_far(later(27)).waiting().count(), 1);
}

#[test]
fn the_controller_is_told_which_engines_are_to_come() {
    let (mut core, now) = queued(2, 2, None);
    let expected = |core: &Core| {
        let EnginesExpected { coming, why, .. } = core.expected(false);
        (coming, why)
    };
    let some = |why: &str| (true, why.to_owned());
    assert_eq!(expected(&core), some("engines 0 to 1: to be started; and 1 more"));
    core.handle(Input::Set(SetId(0), SetEvent::Waiting("job 17 is pending".to_owned())), now);
    assert_eq!(expected(&core), some("engines 0 to 1: job 17 is pending; and 1 more"));
    core.handle(Input::Set(SetId(0), SetEvent::Running("job 17 runs on n1".to_owned())), now);
    join(&mut core, 0..2, now);
    assert_eq!(expected(&core), some("engines 2 to 3: to be started"));
    core.handle(Input::Set(SetId(1), SetEvent::Running(String::new())), now);
    assert_eq!(expected(&core), some("engines 2 to 3: starting"));
    join(&mut core, 2..4, now);
    assert_eq!(expected(&core), (false, String::new()));
    assert!(core.expected(true).coming, "jobs follow the load");
    core.handle(ended(1, killed()), now);
    let (coming, why) = expected(&core);
    assert!(!coming && why.contains("SIGKILL"), "{why}");
}

#[test]
fn the_last_loss_is_the_reason_until_more_engines_are_wanted() {
    let (mut core, now) = ready(2, false);
    core.handle(ended(1, killed()), now);
    let progress = core.how_far(now);
    assert_eq!((progress.wanted, progress.waiting().count()), (1, 0));
    assert_eq!(progress.reason(), "engine 1 (pid 101) has died: signal: 9 (SIGKILL)");
    core.grow(1, 1);
    let progress = core.how_far(now);
    assert_eq!((progress.wanted, progress.lost), (2, None));
}

/// A ready world of engines 0 to 3.
fn world(on_rank_loss: OnRankLoss) -> (Core, Instant) {
    let (mut core, now) = queued(1, 4, Some(on_rank_loss));
    assert_eq!(join(&mut core, 0..4, now).last(), Some(&Action::Ready));
    (core, now)
}

pub fn broke(id: u32) -> Input {
    Input::EngineLeft { id: EngineId(id), reason: format!("engine {id} died: its connection broke") }
}

/// An engine of the first set that joined by `join`.
fn lost(rank: u32) -> LostEngine {
    LostEngine { rank, host: Some("here".to_owned()), pid: Some(500 + rank) }
}

#[test]
fn how_an_engine_of_a_job_ended_is_asked_at_once_and_told_when_it_is_known() {
    let (mut core, now) = queued(1, 4, None);
    join(&mut core, 0..4, now);
    core.take_words();
    let then = "not started again (engines.restart = false); `ipclusterz scale 4` starts another";
    assert_eq!(core.handle(broke(2), now), [say(&format!("engine 2 died: its connection broke; {then}"))]);
    assert_eq!(core.next_tick(), Some(now));
    let set = EngineSet { id: SetId(0), first: EngineId(0), count: 4, group: None };
    assert_eq!(core.handle(Input::Tick, now), [Action::Explain(set, lost(2))]);
    // A queue takes its time.
    let mut asked = now;
    for _ in 0..30 {
        core.handle(Input::Explained(SetId(0), EngineId(2), None), asked);
        asked = core.next_tick().expect("asked again");
    }
    assert!(asked > now + Duration::from_secs(200), "{:?}", asked - now);
    let how = "its node failed: srun: error: Node failure on n3".to_owned();
    let said = core.handle(Input::Explained(SetId(0), EngineId(2), Some(how.clone())), asked);
    assert_eq!(said, [say(&format!("engine 2 on here: {how}"))]);
    let words = core.take_words();
    assert_eq!((words.len(), words[0].uuid.as_str(), words[0].how.as_ref()), (1, "uuid-502", Some(&how)));
    assert_eq!(core.next_tick(), None);
    // Of one that was told to go nothing is asked.
    core.handle(Input::EngineLeft { id: EngineId(1), reason: "engine 1 was shut down".to_owned() }, now);
    assert_eq!(core.next_tick(), None);
}

#[test]
fn a_set_whose_processes_are_stopped_is_known_to_be() {
    let (mut core, now) = queued(1, 2, None);
    join(&mut core, 0..2, now);
    let event = |event| Input::Set(SetId(0), event);
    let said = core.handle(event(SetEvent::Suspended("job 17 is suspended".to_owned())), now);
    assert_eq!(said, [say("engines 0 to 1: job 17 is suspended")]);
    let set = core.how_far(now).sets.remove(0);
    assert_eq!((set.suspended, set.said.as_deref()), (vec![EngineId(0), EngineId(1)], Some("job 17 is suspended")));
    let said = core.handle(event(SetEvent::Resumed("job 17 runs on n1".to_owned())), now);
    assert_eq!(said, [say("engines 0 to 1: job 17 runs on n1 again")]);
    assert_eq!(core.how_far(now).sets[0].suspended, []);
}

#[test]
fn a_world_that_shrinks_goes_on_and_tells_who_was_lost() {
    let (mut core, now) = world(OnRankLoss::Shrink);
    let said = core.handle(broke(2), now);
    assert_eq!(said, [say("engine 2 died: its connection broke; engines 0, 1, 3 go on")]);
    assert_eq!(core.wanted(), 3);
    let ask_at = core.next_tick().expect("how it ended is asked");
    let set = EngineSet { id: SetId(0), first: EngineId(0), count: 4, group: None };
    assert_eq!(core.handle(Input::Tick, ask_at), [Action::Explain(set, lost(2))], "the set is not ended");
    assert!(core.handle(Input::Explained(SetId(0), EngineId(2), None), ask_at).is_empty());
    assert!(core.next_tick().is_some_and(|again| again > ask_at), "asked again");
    let how = Some("signal: 9 (SIGKILL)".to_owned());
    let said = core.handle(Input::Explained(SetId(0), EngineId(2), how), ask_at);
    assert_eq!(said, [say("engine 2 (rank 2) on here: signal: 9 (SIGKILL)")]);
    assert_eq!(core.next_tick(), None);

    let progress = core.how_far(now);
    assert_eq!((progress.wanted, progress.waiting().count()), (3, 0));
    assert_eq!((progress.sets[0].ready, &progress.sets[0].lost), (3, &vec![EngineId(2)]));
    let lost = "0 s ago: engine 2 (rank 2) on here: signal: 9 (SIGKILL); engines 0, 1, 3 go on";
    assert_eq!(progress.losses[0].describe(), lost);

    // The remaining engines leave together. It is no death when their program exits with an error for the rank that was
    // lost.
    assert!(core.shrink(1, |_| 0).is_err());
    let actions = core.shrink(3, |_| 0).expect("all of them");
    assert_eq!(actions, [Action::Retire(vec![EngineId(0), EngineId(1), EngineId(3)])]);
    assert_eq!(core.wanted(), 0);
    for id in [0, 1, 3] {
        core.handle(Input::EngineLeft { id: EngineId(id), reason: format!("engine {id} was shut down") }, now);
    }
    assert_eq!(core.handle(ended(0, killed()), now), [say("engines 0 to 3 ended")]);
}

#[test]
fn a_job_that_starts_its_ranks_again_goes_on_as_often_as_the_limit_allows() {
    let (mut core, now) = queued(1, 4, None);
    core.set_ways_back(Some(RankLoss { in_job: true, ..RankLoss::of(OnRankLoss::Restart, None) }), false);
    let set = EngineSet { id: SetId(0), first: EngineId(0), count: 4, group: None };
    let told = Action::TellJob(set.clone(), "all ranks have been there".to_owned());
    assert!(join(&mut core, 0..4, now).contains(&told));
    for restart in 1..=2 {
        let line = format!(
            "engine 2 died: its connection broke; engines 0 to 3: started again (restart {restart} of 2 in 600 s) in \
             the same job"
        );
        let actions = core.handle(broke(2), now);
        assert_eq!(actions, [say(&line), Action::TellJob(set.clone(), line)]);
        assert_eq!(core.handle(broke(0), now), [say("engine 0 died: its connection broke")], "it was to end");
        assert_eq!((core.wanted(), core.how_far(now).sets[0].ready), (4, 0));
        let how = Some("signal: 9 (SIGKILL)".to_owned());
        core.handle(Input::Explained(SetId(0), EngineId(2), how), now);
        let again = join(&mut core, 0..4, now);
        assert!(!again.iter().any(|action| matches!(action, Action::TellJob(..))), "{again:?}");
    }
    let losses = core.how_far(now).losses;
    assert_eq!((losses.len(), losses[1].engines.len()), (2, 4));
    assert_eq!(losses[1].how, "engine 2 (rank 2) on here: signal: 9 (SIGKILL)");
    let actions = core.handle(broke(2), now);
    assert_eq!(actions, [say("engine 2 died: its connection broke; with it ends the whole set of engines 0 to 3")]);
    core.handle(ended(0, killed()), now);
    assert_eq!(core.wanted(), 0);
    assert!(core.how_far(now).losses[2].then.starts_with("not started again: restarts in 600 s are limited to 2"));
}

#[test]
fn a_job_that_is_over_is_not_submitted_again_unless_engines_that_die_are() {
    for restart in [false, true] {
        let (mut core, now) = queued(1, 4, None);
        core.policy.restart = restart;
        core.set_ways_back(Some(RankLoss { in_job: true, ..RankLoss::of(OnRankLoss::Restart, None) }), false);
        join(&mut core, 0..4, now);
        core.handle(ended(0, killed()), now);
        let then = &core.how_far(now).losses[0].then;
        assert_eq!(then.starts_with("its job is not submitted again"), !restart, "{then}");
        assert_eq!(core.wanted(), if restart { 4 } else { 0 });
    }
}

#[test]
fn a_shrinking_world_ends_with_its_last_rank() {
    let (mut core, now) = world(OnRankLoss::Shrink);
    for id in 0..3 {
        assert!(!core.handle(broke(id), now).contains(&Action::End(SetId(0), Force::Terminate)));
    }
    let said = core.handle(broke(3), now);
    let whole = "engine 3 died: its connection broke; with it ends the whole set of engines 0 to 3";
    assert_eq!(said, [say(whole)]);
    let said = core.handle(ended(0, shut_down()), now);
    let none = "none of its engines is left (engines.restart = false)";
    assert_eq!(said, [say(&format!("engines 0 to 3 have died: exit status: 0; {none}"))]);
    assert_eq!(core.wanted(), 0);
}

#[test]
fn an_engine_that_was_out_of_reach_is_not_lost() {
    let (mut core, now) = world(OnRankLoss::Shrink);
    core.handle(broke(1), now);
    join(&mut core, 1..2, now);
    assert_eq!((core.wanted(), core.next_tick()), (4, None));
}

#[test]
fn a_world_is_started_again_as_often_as_the_limit_allows_and_each_reason_is_kept() {
    let (mut core, now) = world(OnRankLoss::Restart);
    for restart in 1..=2 {
        let said = core.handle(ended(0, killed()), now);
        let [Action::Say(line)] = &said[..] else { panic!("one line: {said:?}") };
        let start = format!(
            "engines 0 to 3 have died: signal: 9 (SIGKILL); started again (restart {restart} of 2 in 600 s) in "
        );
        assert!(line.starts_with(&start), "{line}");
        let again = core.next_tick().expect("a restart is due");
        assert!(matches!(core.handle(Input::Tick, again)[..], [Action::Start(_)]));
        core.handle(Input::SetStarted { set: SetId(0), pid: None }, again);
        join(&mut core, 0..4, again);
    }
    let said = core.handle(ended(0, killed()), now);
    let [Action::Say(line)] = &said[..] else { panic!("one line: {said:?}") };
    assert!(line.contains("; not started again: restarts in 600 s are limited to 2"), "{line}");
    assert_eq!((core.next_tick(), core.wanted()), (None, 0));
    let losses = core.how_far(now).losses;
    assert_eq!(losses.iter().map(|loss| loss.engines.len()).collect::<Vec<_>>(), [4, 4, 4]);
    assert!(losses.iter().all(|loss| loss.how == "signal: 9 (SIGKILL)" && loss.policy == Some(OnRankLoss::Restart)));
}

#[test]
fn the_controller_is_told_how_engines_ended_whatever_is_noticed_first() {
    let told = |core: &mut Core| core.take_words();
    let word = |uuid: &str, how: Option<&str>| {
        let (uuid, certain) = (uuid.to_owned(), how.is_some());
        EngineEnded { uuid, how: how.map(str::to_owned), certain }
    };
    let how = |uuid: &str| word(uuid, Some("signal: 9 (SIGKILL)"));
    let (mut core, now) = ready(3, false);
    core.handle(broke(1), now);
    assert_eq!(told(&mut core), [], "its process is about to end");
    core.handle(ended(1, killed()), now);
    assert_eq!(told(&mut core), [how("uuid-101")]);
    core.handle(ended(2, killed()), now);
    core.handle(broke(2), now);
    assert_eq!(told(&mut core), [how("uuid-102")]);
    // One that was started by hand.
    core.handle(Input::EngineJoined(EngineInfo { host: "there".to_owned(), ..info(7, 7) }), now);
    core.handle(broke(7), now);
    assert_eq!(told(&mut core), [word("uuid-7", None)]);

    let (mut core, now) = world(OnRankLoss::Shrink);
    core.handle(broke(2), now);
    core.handle(Input::Explained(SetId(0), EngineId(2), None), now);
    assert_eq!(told(&mut core), [], "asked again");
    let explained = Input::Explained(SetId(0), EngineId(2), Some("signal: 9 (SIGKILL)".to_owned()));
    core.handle(explained, now);
    assert_eq!(told(&mut core), [how("uuid-502")]);
    core.handle(ended(0, killed()), now);
    assert_eq!(told(&mut core), [500, 501, 503].map(|pid| how(&format!("uuid-{pid}"))));
}
