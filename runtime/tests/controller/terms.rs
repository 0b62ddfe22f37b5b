//! Tasks with terms: what they wait for, what they need, and in which order they are begun.

use crate::model::{Asked, Parents};
use crate::steps::Step;
use crate::world::{ANYWHERE, World, among, at};
use ipclusterz_base::connection::Role;
use ipclusterz_base::ids::RequestId;
use ipclusterz_runtime::controller::Limits;
use ipclusterz_runtime::controller::event::Event;
use ipclusterz_runtime::controller::scheme::Scheme;
use ipclusterz_runtime::wire::message::{EnginesExpected, Fate, Message, Placement, Resources, TaskOutcome};
use std::collections::BTreeSet;
use std::time::Duration;

/// After the last request, which has to succeed.
fn after_last() -> Option<Parents> {
    let (all, success, failure) = (true, true, false);
    Some(Parents { back: vec![0], of_first: false, all, success, failure, on: vec![] })
}

fn of_priority(priority: i32) -> Asked {
    Asked { priority, ..Asked::default() }
}

/// The number of the request that an engine is at, for its client.
fn head(world: &World, engine: u32) -> Option<(u32, u64)> {
    let task = world.engines[&engine].inbox.front()?;
    let (client, request) = world.keys[task];
    Some((client, request.0))
}

/// Lets an engine do all there is, each task for half a second, and lists the requests in this order.
fn all_done(world: &mut World, engine: u32) -> Vec<(u32, u64)> {
    std::iter::from_fn(|| {
        let head = head(world, engine)?;
        world.finish(engine, 500, TaskOutcome::Ok);
        Some(head)
    })
    .collect()
}

#[test]
fn higher_priorities_come_first_and_within_one_the_order_and_turns_are_kept() {
    let mut world = World::new();
    let (first, second) = (world.join(Role::Client, None), world.join(Role::Client, None));
    let engine = world.join(Role::Engine, None);
    world.submit(first, ANYWHERE, false, 0);
    for (client, priority) in [(first, 0), (first, 0), (first, 2), (second, 0), (second, 1), (first, 1), (second, -1)] {
        world.submit_on(client, ANYWHERE, of_priority(priority), false, 0);
    }
    let done = all_done(&mut world, engine);
    let numbers =
        |of: u32| done.iter().filter(|(client, _)| *client == of).map(|(_, request)| *request).collect::<Vec<_>>();
    assert_eq!(numbers(first), [1, 4, 5, 2, 3]);
    assert_eq!(numbers(second), [2, 1, 3]);
    assert_eq!(done.first(), Some(&(first, 1)), "it was there already");
    assert_eq!(done.get(1), Some(&(first, 4)), "priority 2");
    assert_eq!(done.last(), Some(&(second, 3)), "priority -1");
    assert_eq!(done[2..4].iter().map(|(client, _)| *client).collect::<BTreeSet<_>>(), BTreeSet::from([first, second]));
    world.settle();
}

/// Each round, one engine is free for a moment, and lines that any engine may do take all they can.
#[test]
fn a_line_for_one_engine_is_not_passed_for_ever() {
    for before in 1..4 {
        let mut world = World::new();
        let client = world.join(Role::Client, None);
        let engines = [world.join(Role::Engine, None), world.join(Role::Engine, None)];
        for engine in [0, 1] {
            world.submit(client, at(&[engine]), false, 0);
        }
        for _ in 0..before {
            world.submit(client, ANYWHERE, false, 0);
        }
        world.submit(client, among(&[1]), false, 0);
        let wanted = (client, world.clients[&client].next_request);
        let mut rounds = 0;
        while head(&world, engines[1]) != Some(wanted) {
            // Others that may go to both, each in a line of its own.
            world.submit(client, among(&[0, 1]), false, 0);
            world.submit(client, ANYWHERE, false, 0);
            world.finish(engines[rounds % 2], 500, TaskOutcome::Ok);
            rounds += 1;
            assert!(rounds < 40, "it is passed again and again");
        }
        world.settle();
    }
}

#[test]
fn a_client_is_not_passed_for_ever() {
    let mut world = World::new();
    let others = [0, 1].map(|_| world.join(Role::Client, None));
    let picky = world.join(Role::Client, None);
    let engines = [world.join(Role::Engine, None), world.join(Role::Engine, None)];
    for engine in [0, 1] {
        world.submit(others[0], at(&[engine]), false, 0);
    }
    others.iter().for_each(|client| (0..60).for_each(|_| world.submit(*client, ANYWHERE, false, 0)));
    world.submit(picky, among(&[1]), false, 0);
    for round in 0..40 {
        world.finish(engines[round % 2], 500, TaskOutcome::Ok);
        if head(&world, engines[1]) == Some((picky, 1)) {
            return world.settle();
        }
    }
    panic!("it is passed again and again");
}

#[test]
fn a_task_with_a_time_limit_gets_an_engine_for_itself_among_many_short_ones() {
    let mut world = World::new();
    let client = world.join(Role::Client, None);
    let engine = world.join(Role::Engine, None);
    // The engine is quick: many wait there.
    for _ in 0..3 {
        world.submit(client, ANYWHERE, false, 0);
        world.finish(engine, 0, TaskOutcome::Ok);
    }
    (0..50).for_each(|_| world.submit(client, ANYWHERE, false, 0));
    assert!(world.engines[&engine].inbox.len() > 10);
    let asked = Asked { time_limit: Some(60.0), ..Asked::default() };
    world.submit_on(client, ANYWHERE, asked, false, 0);
    let limited = (client, world.clients[&client].next_request);
    for _ in 0..60 {
        // More come all the time.
        world.submit(client, ANYWHERE, false, 0);
        world.finish(engine, 0, TaskOutcome::Ok);
        if head(&world, engine) == Some(limited) {
            assert_eq!(world.engines[&engine].inbox.len(), 1);
            return world.settle();
        }
    }
    panic!("it waits for ever");
}

#[test]
fn a_long_chain_runs_in_order_and_ends_at_once_when_its_head_fails() {
    for outcome in [TaskOutcome::Ok, TaskOutcome::Error] {
        let mut world = World::with(Limits { window: Limits::default().window, ..Limits::default() });
        let client = world.join(Role::Client, None);
        let engine = world.join(Role::Engine, None);
        world.submit(client, ANYWHERE, false, 0);
        for _ in 1..8000 {
            let asked = Asked { after: after_last(), ..Asked::default() };
            world.submit_on(client, ANYWHERE, asked, false, 0);
        }
        let open = |world: &World| world.core.work().open_tasks();
        assert_eq!((open(&world), world.engines[&engine].inbox.len()), (8000, 1));
        world.finish(engine, 1, outcome);
        if outcome == TaskOutcome::Ok {
            assert_eq!((open(&world), head(&world, engine)), (7999, Some((client, 2))));
        } else {
            assert_eq!(open(&world), 0);
            let fates: Vec<&Fate> = world.fates.values().collect();
            assert_eq!(fates[..2], [&Fate::Error, &Fate::Impossible]);
            assert_eq!(fates[7999], &Fate::Impossible);
            world.settle();
        }
    }
}

#[test]
fn what_has_ended_before_counts_and_what_was_never_submitted_does_not() {
    let mut world = World::new();
    let client = world.join(Role::Client, None);
    let engine = world.join(Role::Engine, None);
    let fate = |world: &World| world.fates.get(&(client, RequestId(world.clients[&client].next_request))).copied();
    world.submit(client, ANYWHERE, false, 0);
    world.finish(engine, 1, TaskOutcome::Ok);
    world.step(Step::Acknowledge(0));
    let asked = || Asked { after: after_last(), follow: after_last(), ..Asked::default() };
    world.submit_on(client, ANYWHERE, asked(), false, 0);
    world.finish(engine, 1, TaskOutcome::Error);
    assert_eq!(fate(&world), Some(Fate::Error));
    world.reload();
    world.submit_on(client, ANYWHERE, asked(), false, 0);
    assert_eq!(fate(&world), Some(Fate::Impossible));
    // Of a client that nobody has heard of: the session is unknown.
    let stranger = world.join(Role::Client, None);
    world.submit(stranger, ANYWHERE, false, 0);
    let parents = Parents { back: vec![0], of_first: true, all: true, success: true, failure: true, on: vec![] };
    world.submit_on(stranger, ANYWHERE, Asked { after: Some(parents), ..Asked::default() }, false, 0);
    world.settle();
}

#[test]
fn what_is_not_begun_in_time_is_taken_back_and_what_runs_too_long_is_interrupted_then_its_engine_ended() {
    let mut world = World::new();
    let client = world.join(Role::Client, None);
    let engine = world.join(Role::Engine, None);
    let asked = |timeout, time_limit| Asked { timeout, time_limit, ..Asked::default() };
    world.submit_on(client, ANYWHERE, asked(None, Some(1.0)), false, 0);
    world.submit_on(client, ANYWHERE, asked(Some(0.5), None), false, 0);
    world.now += Duration::from_millis(600);
    world.feed(Event::Tick);
    assert_eq!(world.fates.get(&(client, RequestId(2))), Some(&Fate::TimedOut));
    world.now += Duration::from_millis(500);
    world.feed(Event::Tick);
    assert_eq!(world.engines[&engine].recalls.len(), 1, "interrupted");
    world.now += Limits::default().kill_grace;
    world.feed(Event::Tick);
    assert_eq!(world.engines[&engine].recalls.len(), 2, "ended");
    world.gone(engine, false);
    assert_eq!(world.fates.get(&(client, RequestId(1))), Some(&Fate::TimedOut));
    world.settle();
}

#[test]
fn of_an_engine_that_does_not_end_the_launcher_is_told_and_its_task_is_answered_whoever_can_end_it() {
    let grace = Limits::default().kill_grace;
    for launcher_is_there in [true, false] {
        let mut world = World::new();
        let client = world.join(Role::Client, None);
        let launcher = launcher_is_there.then(|| world.launcher_joins());
        let engine = world.join(Role::Engine, None);
        world.submit_on(client, ANYWHERE, Asked { time_limit: Some(1.0), ..Asked::default() }, false, 0);
        world.now += Duration::from_secs(1);
        for told in [0, 0, 1] {
            world.feed(Event::Tick);
            let hanging = launcher.map(|launcher| world.clients[&launcher].hanging.len());
            assert_eq!(hanging, launcher.map(|_| told));
            assert_eq!(world.fates.get(&(client, RequestId(1))), None);
            world.now += grace;
        }
        world.feed(Event::Tick);
        assert_eq!(world.fates.get(&(client, RequestId(1))), Some(&Fate::TimedOut));
        assert!(world.clients[&client].hanging.is_empty(), "others have nothing to do with it");
        world.gone(engine, false);
        world.settle();
    }
}

#[test]
fn a_task_fails_again_and_again_until_its_retries_are_used_up() {
    let mut world = World::new();
    let client = world.join(Role::Client, None);
    let engine = world.join(Role::Engine, None);
    let twice = Placement::Balanced { retries: 2, engines: None, duration: None };
    let asked = Asked { retry_delay: Some(1.0), ..Asked::default() };
    world.submit_on(client, twice, asked, false, 0);
    for _ in 0..2 {
        world.fail_again(engine, 1);
        assert_eq!(head(&world, engine), None, "a little later");
        world.now += Duration::from_secs(1);
        world.feed(Event::Tick);
        assert_eq!(head(&world, engine), Some((client, 1)));
    }
    world.fail_again(engine, 1);
    assert_eq!(world.fates.get(&(client, RequestId(1))), Some(&Fate::Error));
    world.settle();
}

#[test]
fn what_no_engine_will_ever_offer_is_refused_and_what_one_may_waits() {
    let mut world = World::new();
    let client = world.join(Role::Client, None);
    let launcher = world.launcher_joins();
    world.join(Role::Engine, None);
    let needing = |gpus| Asked { gpus, ..Asked::default() };
    world.submit_on(client, ANYWHERE, needing(1), false, 0);
    assert_eq!(world.core.work().queued(), 1, "nobody has said what there will be");
    let offers = |gpus: u64| {
        let mut offers = Resources::default();
        offers.amounts.insert("gpus".to_owned(), ipclusterz_runtime::wire::message::Amount(gpus));
        offers
    };
    let expected = EnginesExpected { coming: true, why: String::new(), offers: Some(vec![offers(1), offers(2)]) };
    world.tell(launcher, Message::EnginesExpected(expected), vec![]);
    world.submit_on(client, ANYWHERE, needing(3), false, 0);
    assert_eq!(world.fates.get(&(client, RequestId(2))), Some(&Fate::Rejected));
    world.submit_on(client, ANYWHERE, needing(2), false, 0);
    assert_eq!(world.core.work().queued(), 2);
    let large = world.join_offering(Role::Engine, None, None, 0.0, 2);
    assert_eq!(head(&world, large), Some((client, 1)));
    world.settle();
}

#[test]
fn each_scheme_gives_all_there_is_to_engines_with_room() {
    for (scheme, word) in Scheme::WORDS {
        assert_eq!(word.parse(), Ok(scheme));
        for prefetch in [None, Some(0), Some(3)] {
            let mut world = World::with(Limits { scheme, prefetch, ..Limits::default() });
            let client = world.join(Role::Client, None);
            let engines = [0, 1, 2].map(|_| world.join(Role::Engine, None));
            (0..60).for_each(|_| world.submit(client, ANYWHERE, false, 0));
            let most = prefetch.map_or(1, |ahead| ahead as usize + 1);
            let lengths = engines.map(|engine| world.engines[&engine].inbox.len());
            assert!(lengths.iter().all(|length| *length == most), "{scheme:?}, {prefetch:?}: {lengths:?}");
            for round in 0..60 {
                world.finish(engines[round % 3], 500, TaskOutcome::Ok);
            }
            world.settle();
        }
    }
    assert!("best".parse::<Scheme>().is_err_and(|error| error.contains("leastload")));
}

#[test]
fn engines_that_are_drawn_by_lot_or_in_turn_differ() {
    let given = |scheme: Scheme| {
        let mut world = World::with(Limits { scheme, prefetch: Some(0), ..Limits::default() });
        let client = world.join(Role::Client, None);
        let engines = [0, 1, 2, 3].map(|_| world.join(Role::Engine, None));
        let next = |world: &mut World| {
            world.submit(client, ANYWHERE, false, 0);
            let engine =
                engines.into_iter().find(|engine| !world.engines[engine].inbox.is_empty()).expect("one has it");
            world.finish(engine, 500, TaskOutcome::Ok);
            engine
        };
        (0..24).map(|_| next(&mut world)).collect::<Vec<u32>>()
    };
    let in_turn = given(Scheme::Pure);
    assert!(in_turn.chunks(4).all(|four| four.iter().collect::<BTreeSet<_>>().len() == 4));
    assert_eq!(given(Scheme::Lru), in_turn);
    let drawn = given(Scheme::Random);
    assert!(drawn != in_turn && drawn.iter().collect::<BTreeSet<_>>().len() == 4, "{drawn:?}");
    assert_eq!(drawn, given(Scheme::Random), "the same events, the same choices");
}
