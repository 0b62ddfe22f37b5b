//! Restarts on request, with made-up time.

use super::*;
use crate::supervisor::core::tests::{ended, join, killed, queued, shut_down};
use crate::supervisor::inputs::Input;
use ipclusterz_launchers::set::{EngineSet, Force};
use ipclusterz_profile::tables::engines::OnRankLoss;

fn ids(range: std::ops::Range<u32>) -> Vec<EngineId> {
    range.map(EngineId).collect()
}

fn set_of(number: u32, size: u32) -> EngineSet {
    EngineSet { id: SetId(number), first: EngineId(number * size), count: size, group: None }
}

fn left(id: u32) -> Input {
    Input::EngineLeft { id: EngineId(id), reason: format!("engine {id} was shut down") }
}

#[test]
fn an_engine_ends_in_order_and_is_started_again_at_once_under_its_id() {
    for end_is_first in [true, false] {
        let (mut core, now) = queued(3, 1, None);
        join(&mut core, 0..3, now);
        let (engines, actions) = core.restart(Some(&ids(1..2)), now).expect("possible");
        assert_eq!((engines, actions), (ids(1..2), vec![Action::ShutDown(ids(1..2))]));
        assert_eq!(core.wanted(), 3);
        let inputs = if end_is_first { [ended(1, shut_down()), left(1)] } else { [left(1), ended(1, shut_down())] };
        inputs.into_iter().for_each(|input| drop(core.handle(input, now)));
        assert_eq!(core.handle(Input::Tick, now), [Action::Start(set_of(1, 1))]);
        core.handle(Input::SetStarted { set: SetId(1), pid: None }, now);
        assert!(join(&mut core, 1..2, now).iter().any(|action| matches!(action, Action::Say(_))));
        assert!(!core.failed);
        // Now it is one as any other.
        core.handle(left(1), now);
        core.handle(ended(1, shut_down()), now);
        assert_eq!(core.wanted(), 2);
    }
}

#[test]
fn one_that_does_not_end_is_terminated_and_killed_and_comes_back_however_it_ended() {
    let (mut core, now) = queued(1, 1, None);
    join(&mut core, 0..1, now);
    core.restart(None, now).expect("possible");
    let late = core.next_tick().expect("a deadline");
    assert_eq!(late, now + core.end_timeout() + MORE);
    assert_eq!(core.handle(Input::Tick, late), [Action::End(SetId(0), Force::Terminate)]);
    let later = core.next_tick().expect("a deadline");
    assert_eq!(core.handle(Input::Tick, later), [Action::End(SetId(0), Force::Kill)]);
    core.handle(ended(0, killed()), later);
    assert_eq!(core.handle(Input::Tick, later), [Action::Start(set_of(0, 1))]);
    assert!(!core.failed);
}

#[test]
fn an_engine_that_hangs_is_killed_and_comes_back_if_it_can_be_ended_alone() {
    let (mut core, now) = queued(2, 1, None);
    join(&mut core, 0..2, now);
    core.policy.restart = true;
    let what = "engine 1 does not end although it has to";
    let killed_now = [Action::Say(format!("{what}; its process is killed")), Action::End(SetId(1), Force::Kill)];
    assert_eq!(core.handle(Input::EngineHangs(EngineId(1)), now), killed_now);
    core.handle(ended(1, killed()), now);
    let later = core.next_tick().expect("it comes back");
    assert_eq!(core.handle(Input::Tick, later), [Action::Start(set_of(1, 1))]);
    let (mut core, now) = queued(1, 2, None);
    join(&mut core, 0..2, now);
    let why = [
        (1, "engine 1 cannot be restarted without engine 0: they are one job"),
        (7, "engine 7: not started by this cluster's launcher, or not there"),
    ];
    for (engine, why) in why {
        let line = format!("engine {engine} does not end although it has to, and is not killed: {why}");
        assert_eq!(core.handle(Input::EngineHangs(EngineId(engine)), now), [Action::Say(line)]);
    }
}

#[test]
fn engines_that_are_one_program_are_restarted_together_or_not_at_all() {
    for (on_rank_loss, what) in [(None, "job"), (Some(OnRankLoss::Restart), "MPI_COMM_WORLD")] {
        let (mut core, now) = queued(2, 2, on_rank_loss);
        join(&mut core, 0..4, now);
        let error = core.restart(Some(&ids(0..3)), now).expect_err("impossible").to_string();
        assert_eq!(error, format!("engine 2 cannot be restarted without engine 3: they are one {what}"));
        assert_eq!(core.next_tick(), None, "nothing has begun");
        core.restart(Some(&ids(0..2)), now).expect("possible");
        for id in 0..2 {
            core.handle(left(id), now);
        }
        core.handle(ended(0, shut_down()), now);
        assert_eq!(core.handle(Input::Tick, now), [Action::Start(set_of(0, 2))]);
        assert_eq!((core.wanted(), core.failed), (4, false));
    }
}

#[test]
fn where_jobs_start_engines_again_each_is_restarted_alone() {
    let (mut core, now) = queued(1, 4, None);
    core.policy.restart = true;
    core.set_ways_back(None, true);
    join(&mut core, 0..4, now);
    let restarted = core.restart(Some(&ids(1..3)), now).expect("possible");
    assert_eq!(restarted, (ids(1..3), vec![Action::Terminate(ids(1..3))]));
    assert_eq!((core.wanted(), core.next_tick()), (4, None));
}

#[test]
fn who_is_not_there_cannot_be_restarted() {
    let (mut core, now) = queued(2, 1, None);
    join(&mut core, 0..1, now);
    let error = core.restart(Some(&ids(0..2)), now).expect_err("not registered").to_string();
    assert_eq!(error, "engine 1: not started by this cluster's launcher, or not there");
    assert_eq!(core.restart(None, now).expect("possible").0, ids(0..1));
    let (mut core, now) = queued(0, 1, None);
    assert_eq!(core.restart(None, now), Err(CannotRestart::Nobody));
}
