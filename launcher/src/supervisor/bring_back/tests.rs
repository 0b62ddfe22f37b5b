//! Engines that are lost one by one, and starts that are good with fewer than all.

use super::*;
use crate::supervisor::core::tests::{TIMEOUT, broke, ended, join, killed, queued, say, shut_down};
use crate::supervisor::inputs::Input;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_launchers::set::SetEvent;

const HOW: &str = "signal: 9 (SIGKILL)";

/// A ready job of engines 0 to 3 whose engines come back; `in_job`: the job can start them again.
fn job(restart: bool, in_job: bool) -> (Core, Instant) {
    let (mut core, now) = queued(1, 4, None);
    core.policy.restart = restart;
    core.set_ways_back(None, in_job);
    assert_eq!(join(&mut core, 0..4, now).last(), Some(&Action::Ready));
    (core, now)
}

fn set(id: u32, first: u32, count: u32) -> EngineSet {
    EngineSet { id: SetId(id), first: EngineId(first), count, group: None }
}

fn explained(engine: u32, how: Option<&str>) -> Input {
    Input::Explained(SetId(0), EngineId(engine), how.map(str::to_owned))
}

/// What is said of an engine: by its parent, if jobs have such, else by others.
fn answer(core: &Core, engine: u32, how: Option<&str>) -> Input {
    match how {
        Some(how) if core.policy.again_in_job => Input::ParentSaid(SetId(0), EngineId(engine), how.to_owned()),
        _ => explained(engine, how),
    }
}

/// Lets time pass until nothing is due before `until`; returns what was done, and answers each question with `how`.
fn pass(core: &mut Core, until: Instant, how: Option<&str>) -> Vec<Action> {
    let mut done = Vec::new();
    while let Some(tick) = core.next_tick().filter(|tick| *tick <= until) {
        assert!(done.len() < 100, "time stands still: {done:?}");
        for action in core.handle(Input::Tick, tick) {
            match action {
                Action::Explain(_, lost) => done.extend(core.handle(answer(core, lost.rank, how), tick)),
                other => done.push(other),
            }
        }
        if matches!(done.last(), Some(Action::Finish(_))) {
            break;
        }
    }
    done
}

#[test]
fn an_engine_comes_back_in_the_job_that_has_seen_its_end() {
    let (mut core, now) = job(true, true);
    assert_eq!(core.handle(broke(2), now), [say("engine 2 died: its connection broke; started again")]);
    assert_eq!(core.wanted(), 4);
    assert!(core.expected(false).coming, "calls wait for it");
    let told = pass(&mut core, now + Duration::from_secs(3), Some(HOW));
    let tell = Action::TellJob(set(0, 0, 4), format!("engine 2: {HOW}"));
    assert_eq!(told, [say(&format!("engine 2 on here: {HOW}")), tell]);
    let progress = core.how_far(now);
    assert_eq!(progress.losses[0].describe(), format!("0 s ago: engine 2 on here: {HOW}; started again"));
    assert!(progress.reason().contains("3 of 4 are"), "{}", progress.reason());
    join(&mut core, 2..3, now + Duration::from_secs(4));
    assert_eq!((core.wanted(), core.next_tick(), core.expected(false).coming), (4, None, false));
}

#[test]
fn an_engine_that_dies_again_and_again_waits_longer_each_time() {
    let (mut core, mut now) = job(true, true);
    let mut waits = Vec::new();
    for _ in 0..4 {
        core.handle(broke(2), now);
        let told = core.next_tick().expect("a question");
        core.handle(Input::Tick, told);
        core.handle(answer(&core, 2, Some(HOW)), told);
        let due = core.next_tick().expect("it is due");
        waits.push(due - told);
        assert!(matches!(core.handle(Input::Tick, due)[..], [Action::TellJob(..)]));
        join(&mut core, 2..3, due);
        now = due;
    }
    assert!(waits.windows(2).all(|pair| pair[1] == 2 * pair[0]), "{waits:?}");
    core.handle(broke(2), now + Duration::from_secs(100));
    let told = core.next_tick().expect("a question");
    core.handle(answer(&core, 2, Some(HOW)), told);
    assert_eq!(core.next_tick().expect("it is due") - told, waits[0], "it had lived for long");
}

#[test]
fn engines_whose_job_does_not_bring_them_back_come_in_a_job_of_their_own() {
    // A node is gone with engines 1 and 2: nobody explains that. And a job that was told, and does nothing.
    for how in [None, Some(HOW)] {
        let (mut core, now) = job(true, true);
        core.handle(broke(1), now);
        core.handle(broke(2), now);
        let done = pass(&mut core, now + 2 * TIMEOUT, how);
        assert!(done.contains(&Action::Start(set(1, 1, 2))), "{done:?}");
        assert_eq!(core.wanted(), 4);
        core.handle(Input::SetStarted { set: SetId(1), pid: None }, now);
        join(&mut core, 1..3, now);
        assert_eq!((core.wanted(), core.set(SetId(1)).map(Set::is_complete)), (4, Some(true)));
        // With the first job go only the engines that it still has.
        core.handle(ended(0, killed()), now);
        let done = pass(&mut core, now + 4 * TIMEOUT, None);
        assert_eq!(done, [Action::Start(set(2, 0, 1)), Action::Start(set(3, 3, 1))]);
    }
}

#[test]
fn engines_that_go_with_their_job_come_back_with_it() {
    let (mut core, now) = job(true, false);
    (0..4).for_each(|id| drop(core.handle(broke(id), now)));
    let said = core.handle(ended(0, killed()), now + Duration::from_secs(1));
    let [Action::Say(line)] = &said[..] else { panic!("one line: {said:?}") };
    assert!(line.starts_with("engines 0 to 3 have died: signal: 9 (SIGKILL); started again in "), "{line}");
    assert_eq!(pass(&mut core, now + TIMEOUT, None), [Action::Start(set(0, 0, 4))]);
    let losses = core.how_far(now).losses;
    assert!(losses.len() == 4 && losses.iter().all(|loss| loss.how == HOW), "{losses:?}");
}

#[test]
fn an_engine_that_was_only_out_of_reach_is_not_started_twice() {
    let (mut core, now) = job(true, false);
    core.handle(broke(1), now);
    while core.how_far(now).sets.len() == 1 {
        let tick = core.next_tick().expect("a question");
        core.handle(Input::Tick, tick);
        core.handle(explained(1, None), tick);
    }
    join(&mut core, 1..2, now);
    assert_eq!((core.how_far(now).sets.len(), core.wanted(), core.next_tick()), (1, 4, None));
}

#[test]
fn an_engine_that_is_not_started_again_is_not_wanted_until_somebody_wants_it() {
    let (mut core, now) = job(false, false);
    let then = "not started again (engines.restart = false); `ipclusterz scale 4` starts another";
    assert_eq!(core.handle(broke(2), now), [say(&format!("engine 2 died: its connection broke; {then}"))]);
    assert_eq!(pass(&mut core, now + TIMEOUT, Some(HOW)), [say(&format!("engine 2 on here: {HOW}"))]);
    let progress = core.how_far(now);
    assert_eq!((progress.wanted, progress.losses[0].how.as_str()), (3, HOW));
    assert_eq!(core.grow(1, 4), [Action::Start(set(1, 4, 1))]);
    assert_eq!(core.wanted(), 4);
    // The end of the job takes three.
    core.handle(ended(0, killed()), now);
    let loss = &core.how_far(now).losses[1];
    assert_eq!((loss.name.as_str(), core.wanted()), ("engines 0, 1, 3", 1));
}

#[test]
fn engines_that_a_client_shuts_down_one_by_one_are_not_lost() {
    let (mut core, now) = job(true, false);
    for id in [0, 1] {
        core.handle(Input::EngineLeft { id: EngineId(id), reason: format!("engine {id} was shut down") }, now);
    }
    assert_eq!((core.wanted(), core.next_tick()), (2, None));
    core.handle(ended(0, killed()), now);
    assert_eq!(pass(&mut core, now + TIMEOUT, None), [Action::Start(set(1, 2, 2))]);
    assert!(core.shrink(2, |_| 0).is_ok());
}

#[test]
fn fewer_engines_are_first_those_that_are_not_back_yet() {
    let (mut core, now) = job(true, true);
    core.handle(broke(2), now);
    assert_eq!(core.shrink(1, |_| 0), Ok(vec![]));
    assert_eq!(core.wanted(), 3);
    core.handle(broke(3), now);
    assert_eq!(core.shrink(2, |_| 0), Ok(vec![Action::Retire(vec![EngineId(1)])]));
}

#[test]
fn tasks_that_wait_in_the_queue_are_not_late() {
    let (mut core, now) = queued(1, 4, None);
    let later = |seconds| now + Duration::from_secs(seconds);
    core.handle(Input::Set(SetId(0), SetEvent::Running("job 7 runs on n1".to_owned())), now);
    let partly = |tasks: &[u32]| Input::Set(SetId(0), SetEvent::Partly(tasks.to_vec(), "task 4 waits".to_owned()));
    core.handle(partly(&[2, 3]), now);
    join(&mut core, 0..2, later(1));
    assert_eq!(pass(&mut core, now + 10 * TIMEOUT, None), [], "nobody is late");
    assert!(core.how_far(now).lines()[0].ends_with("2 of 4 are; task 4 waits"), "{:?}", core.how_far(now).lines());
    core.handle(partly(&[3]), later(1000));
    let done = pass(&mut core, later(1000) + TIMEOUT, None);
    assert!(matches!(done.last(), Some(Action::Finish(Ending::TimedOut(..)))), "task 3 has its time: {done:?}");

    // Nobody waits for ever who does not want to.
    let (mut core, now) = queued(1, 4, None);
    core.policy.queue_timeout = Some(5 * TIMEOUT);
    core.handle(Input::Set(SetId(0), SetEvent::Running(String::new())), now);
    core.handle(partly(&[3]), now);
    join(&mut core, 0..3, now);
    let done = pass(&mut core, now + 6 * TIMEOUT, None);
    let Some(Action::Finish(Ending::SetFailed(_, end))) = done.last() else { panic!("{done:?}") };
    assert_eq!(end.how, "waited too long (batch.queue_timeout): task 4 waits");
}

#[test]
fn a_start_is_good_with_the_least_number_and_the_others_join_as_they_come() {
    let (mut core, now) = queued(1, 4, None);
    core.policy.least = 3;
    core.handle(Input::Set(SetId(0), SetEvent::Running(String::new())), now);
    core.handle(Input::Set(SetId(0), SetEvent::Partly(vec![3], "task 4 waits".to_owned())), now);
    assert!(!join(&mut core, 0..2, now).contains(&Action::Ready));
    assert!(join(&mut core, 2..3, now).contains(&Action::Ready));
    assert_eq!((core.wanted(), pass(&mut core, now + 10 * TIMEOUT, None)), (4, vec![]));
    assert!(join(&mut core, 3..4, now).contains(&say("engine 3 is ready on here (pid 503)")));
}

#[test]
fn what_fails_to_start_is_tried_on_as_long_as_the_others_are_enough() {
    let down = || SetEnd::not_started(Failure::new(Exit::StartFailed, "n4: no route to host"));
    let (mut core, now) = queued(4, 1, None);
    core.policy.least = 3;
    let said = core.handle(ended(3, down()), now);
    let line = "engine 3 failed: n4: no route to host; tried again in 0.2 s; the start goes on without (engines.min)";
    assert_eq!(said, [say(line)]);
    let again = core.next_tick().expect("it is tried again");
    assert_eq!(core.handle(Input::Tick, again), [Action::Start(set(3, 3, 1))]);
    core.handle(Input::SetStarted { set: SetId(3), pid: None }, again);
    assert_eq!(core.handle(ended(3, down()), again), [], "it was said");
    assert!(join(&mut core, 0..3, now).contains(&Action::Ready));
    // It goes on when the cluster is ready.
    let again = core.next_tick().expect("it is tried again");
    assert_eq!(core.handle(Input::Tick, again), [Action::Start(set(3, 3, 1))]);
    core.handle(Input::SetStarted { set: SetId(3), pid: None }, again);
    assert_eq!((core.handle(ended(3, down()), again), core.wanted()), (vec![], 4));
    let again = core.next_tick().expect("it is tried again");
    core.handle(Input::Tick, again);
    core.handle(Input::SetStarted { set: SetId(3), pid: None }, again);
    join(&mut core, 3..4, now);
    assert_eq!((core.wanted(), core.next_tick()), (4, None));

    // One that fails only when the cluster is ready is tried on, too; one that is added later is not.
    let (mut core, now) = queued(4, 1, None);
    core.policy.least = 3;
    join(&mut core, 0..3, now);
    core.handle(ended(3, down()), now);
    assert_eq!(core.wanted(), 4);
    core.grow(1, 1);
    core.handle(Input::SetStarted { set: SetId(4), pid: None }, now);
    core.handle(ended(4, down()), now);
    assert_eq!(core.wanted(), 4);

    // One more is too many.
    let (mut core, now) = queued(4, 1, None);
    core.policy.least = 3;
    core.handle(ended(3, down()), now);
    assert!(matches!(core.handle(ended(2, down()), now)[..], [Action::Finish(Ending::SetFailed(..))]));
}

#[test]
fn an_engine_that_dies_while_others_are_awaited_ends_the_start_unless_it_can_be_done_without() {
    for (least, restart, ends) in [(0, false, true), (4, false, true), (3, false, false), (0, true, false)] {
        let (mut core, now) = queued(2, 2, None);
        (core.policy.least, core.policy.restart) = (least, restart);
        join(&mut core, 0..2, now);
        let done = core.handle(broke(1), now);
        assert_eq!(matches!(done[..], [Action::Finish(Ending::SetFailed(..))]), ends, "{least} {restart} {done:?}");
    }
}

#[test]
fn a_job_that_ends_well_brings_back_whom_it_had_lost() {
    let (mut core, now) = job(true, false);
    core.handle(broke(0), now);
    for id in 1..4 {
        core.handle(Input::EngineLeft { id: EngineId(id), reason: format!("engine {id} was shut down") }, now);
    }
    core.handle(ended(0, shut_down()), now);
    assert_eq!(pass(&mut core, now + TIMEOUT, None), [Action::Start(set(1, 0, 1))]);
}
