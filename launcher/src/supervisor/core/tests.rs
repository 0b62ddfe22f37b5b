//! The launcher's decisions, with made-up time.

use super::*;
use std::os::unix::process::ExitStatusExt;

const TIMEOUT: Duration = Duration::from_secs(60);

fn killed() -> ExitStatus {
    ExitStatus::from_raw(9)
}

fn info(id: u32, pid: u32) -> EngineInfo {
    EngineInfo { id: EngineId(id), uuid: format!("uuid-{pid}"), host: "here".to_owned(), pid }
}

/// A core whose engines 0..count have been started with pids 100..
fn started(count: u32, restart: bool) -> (Core, Instant) {
    let now = Instant::now();
    let mut core = Core::new(count, restart, "here".to_owned(), now + TIMEOUT, now);
    for id in 0..count {
        assert!(core.handle(Input::EngineStarted { id: EngineId(id), pid: 100 + id }, now).is_empty());
    }
    (core, now)
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
    let first = core.handle(Input::EngineJoined(info(1, 101)), now);
    assert_eq!(first, [Action::Say("engine 1 is ready on here (pid 101)".to_owned())]);
    assert!(core.handle(Input::EngineJoined(info(1, 101)), now).is_empty(), "told twice");
    let second = core.handle(Input::EngineJoined(info(0, 100)), now);
    assert_eq!(second.last(), Some(&Action::Ready));
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
    let status = ExitStatus::from_raw(1 << 8);
    let actions = core.handle(Input::EngineEnded { id: EngineId(1), status }, now);
    assert_eq!(actions, [Action::Finish(Ending::EngineFailed(EngineId(1), status))]);
}

#[test]
fn the_deadline_names_the_missing_and_waits_are_not_silent() {
    let (mut core, now) = started(3, false);
    core.handle(Input::EngineJoined(info(1, 101)), now);
    let tick = core.next_tick().expect("progress is due");
    assert_eq!(tick, now + PROGRESS_INTERVAL);
    let actions = core.handle(Input::Tick, tick);
    assert_eq!(actions, [Action::Say("waiting for engines 0, 2 to register; 55 s left".to_owned())]);
    let actions = core.handle(Input::Tick, now + TIMEOUT);
    assert_eq!(actions, [Action::Finish(Ending::TimedOut(vec![EngineId(0), EngineId(2)]))]);
}

#[test]
fn a_dead_engine_is_told_and_started_again_only_when_asked_for() {
    let (mut core, now) = ready(1, false);
    let ended = Input::EngineEnded { id: EngineId(0), status: killed() };
    let [Action::Say(line)] = &core.handle(ended, now)[..] else { panic!("one line") };
    assert!(line.starts_with("engine 0 (pid 100) has died: signal: 9"), "{line}");
    assert_eq!(core.next_tick(), None);

    let (mut core, now) = ready(1, true);
    core.handle(Input::EngineEnded { id: EngineId(0), status: killed() }, now);
    let again = core.next_tick().expect("restart is due");
    assert_eq!(core.handle(Input::Tick, again), [Action::Restart(EngineId(0))]);
    core.handle(Input::EngineStarted { id: EngineId(0), pid: 200 }, again);
    // Waits grow although the engine was started anew in between.
    core.handle(Input::EngineEnded { id: EngineId(0), status: killed() }, again);
    assert!(core.next_tick().expect("restart is due") - again > again - now);
}

#[test]
fn an_engine_that_was_shut_down_stays_down() {
    let (mut core, now) = ready(2, true);
    core.handle(Input::EngineEnded { id: EngineId(1), status: ExitStatus::from_raw(0) }, now);
    assert_eq!(core.next_tick(), None);
    assert!(core.handle(Input::EngineLeft { id: EngineId(1), reason: "shut down".to_owned() }, now).is_empty());
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
    core.handle(Input::EngineEnded { id: EngineId(1), status: killed() }, now);
    assert_eq!(core.next_tick(), None, "the end was said");

    let stranger = Input::EngineLeft { id: EngineId(9), reason: "engine 9 left".to_owned() };
    assert_eq!(core.handle(stranger, now), [Action::Say("engine 9 left".to_owned())]);
}

#[test]
fn the_controllers_end_is_the_clusters() {
    let (mut core, now) = ready(1, false);
    assert_eq!(core.handle(Input::ControllerEnded(ExitStatus::from_raw(0)), now), [Action::Finish(Ending::ShutDown)]);
    assert_eq!(core.handle(Input::ControllerEnded(killed()), now), [Action::Finish(Ending::ControllerDied(killed()))]);
}

#[test]
fn many_engines_are_not_all_named() {
    let ids: Vec<EngineId> = (0..12).map(EngineId).collect();
    assert_eq!(name_engines(&ids), "engines 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more");
    assert_eq!(name_engines(&ids[3..4]), "engine 3");
}
