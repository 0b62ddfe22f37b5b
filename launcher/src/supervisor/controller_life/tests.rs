//! Lives of controllers, with made-up time.

use super::*;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

const PATIENCE: Duration = Duration::from_secs(60);
const INSTANT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(11);

fn end(wait_status: i32) -> ControllerEnd {
    ExitStatus::from_raw(wait_status).into()
}

fn killed() -> ControllerEnd {
    end(libc::SIGKILL)
}

fn crashed() -> ControllerEnd {
    end(libc::SIGSEGV)
}

/// A controller that listens, and the clock.
struct Life {
    life: ControllerLife,
    now: Instant,
}

impl Life {
    fn new(restart: bool) -> Life {
        let now = Instant::now();
        let mut life = ControllerLife::new(restart, PATIENCE, now);
        assert_eq!(life.said(ControllerWord::Listens, now), []);
        Life { life, now }
    }

    /// It dies after `lived`, and the next one is started. Returns the pause before that.
    fn dies(&mut self, lived: Duration, end: ControllerEnd) -> Duration {
        self.now += lived;
        let actions = self.life.ended(end, self.now);
        self.next_start(actions)
    }

    fn next_start(&mut self, actions: Vec<Action>) -> Duration {
        let ended = self.now;
        if actions.is_empty() {
            self.now = self.life.next_tick().expect("it waits");
            assert_eq!(self.life.tick(self.now), [Action::StartController]);
        } else {
            assert_eq!(actions, [Action::StartController]);
        }
        self.life.started(self.now);
        self.now - ended
    }

    fn listens(&mut self) -> Vec<Action> {
        self.now += INSTANT;
        self.life.said(ControllerWord::Listens, self.now)
    }

    fn ends_before_it_listens(&mut self) -> Vec<Action> {
        assert_eq!(self.life.ended(killed(), self.now), [], "perhaps it has listened");
        self.life.said(ControllerWord::Nothing, self.now)
    }
}

fn given_up(actions: &[Action]) -> &str {
    match actions {
        [Action::Finish(Ending::ControllerDied { given_up: Some(why), .. })] => why,
        other => panic!("{other:?}"),
    }
}

fn dead(end: ControllerEnd) -> [Action; 1] {
    [died(&end, None)]
}

#[test]
fn one_that_died_is_started_again_at_once_and_this_is_said_once_it_listens() {
    let mut life = Life::new(true);
    assert_eq!(life.life.outage(), None);
    assert_eq!(life.dies(LONG, killed()), Duration::ZERO);
    let died = "the controller died (signal: 9 (SIGKILL))";
    assert_eq!(life.life.outage(), Some(format!("{died} and is started again")));
    assert_eq!(life.life.listens_for(life.now + LONG), Duration::ZERO);
    assert_eq!(life.listens(), [Action::Say(format!("{died} and was started again in 0.02 s"))]);
    assert_eq!((life.life.listens_for(life.now + LONG), life.life.outage()), (LONG, None));
}

#[test]
fn one_that_was_asked_to_end_is_not_started_again() {
    let mut life = Life::new(true);
    assert_eq!(life.life.ended(end(0), life.now), [Action::Finish(Ending::ShutDown)]);
}

#[test]
fn none_is_started_again_where_this_is_not_wanted_or_before_one_has_listened() {
    let mut life = Life::new(false);
    assert_eq!(life.life.ended(killed(), life.now), dead(killed()));
    let now = Instant::now();
    let mut first = ControllerLife::new(true, PATIENCE, now);
    assert_eq!(first.ended(end(0), now), []);
    assert_eq!(first.said(ControllerWord::Nothing, now), dead(end(0)), "nobody can have shut it down");
    assert_eq!(ControllerLife::new(true, PATIENCE, now).not_started("no memory", now), {
        dead(ControllerEnd::not_started("no memory"))
    });
}

#[test]
fn a_hundred_that_worked_and_were_killed_are_each_started_again_at_once() {
    let mut life = Life::new(true);
    for _ in 0..100 {
        life.life.reached();
        assert_eq!(life.dies(INSTANT, killed()), Duration::ZERO);
        assert_eq!(life.listens().len(), 1);
    }
}

#[test]
fn a_hundred_that_are_killed_before_their_launcher_reaches_them_are_enough() {
    let mut life = Life::new(true);
    for _ in 1..KILLED_MOST {
        assert!(life.dies(INSTANT, killed()) <= Duration::from_millis(500));
        life.listens();
    }
    let actions = life.life.ended(killed(), life.now);
    assert_eq!(given_up(&actions), "100 controllers in a row died within 1 s");
}

#[test]
fn one_that_crashes_again_and_again_is_started_after_growing_pauses_and_then_given_up() {
    let mut life = Life::new(true);
    let mut pauses = Vec::new();
    for _ in 1..20 {
        pauses.push(life.dies(INSTANT, crashed()));
        life.listens();
    }
    assert_eq!(pauses[..3], [Duration::ZERO, FIRST_PAUSE, FIRST_PAUSE * 2]);
    assert_eq!(pauses[18], LONGEST_PAUSE);
    let actions = life.life.ended(crashed(), life.now);
    assert_eq!(given_up(&actions), "20 controllers in a row died within 1 s");
}

#[test]
fn one_that_lived_long_enough_begins_anew() {
    let mut life = Life::new(true);
    for _ in 1..20 {
        life.dies(INSTANT, crashed());
        life.listens();
    }
    assert_eq!(life.dies(LONG, crashed()), Duration::ZERO);
    life.listens();
    assert_eq!(life.dies(Duration::from_secs(2), crashed()), FIRST_PAUSE, "long enough to go on, not to be trusted");
    life.listens();
    for _ in 1..20 {
        life.dies(INSTANT, crashed());
        life.listens();
    }
}

#[test]
fn one_that_ends_before_it_listens_is_tried_five_times() {
    let mut life = Life::new(true);
    life.dies(LONG, killed());
    let mut pauses = Vec::new();
    for _ in 0..EARLY_MOST {
        let actions = life.ends_before_it_listens();
        pauses.push(life.next_start(actions));
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16].map(|times| FIRST_PAUSE * times));
    let actions = life.ends_before_it_listens();
    assert_eq!(given_up(&actions), "6 controllers in a row ended before they listened");
}

#[test]
fn the_time_without_a_controller_counts_from_the_first_death() {
    let mut life = Life::new(true);
    life.dies(LONG, killed());
    let actions = life.ends_before_it_listens();
    life.next_start(actions);
    let said = "the controller died (signal: 9 (SIGKILL)) and was started again in 0.12 s";
    assert_eq!(life.listens(), [Action::Say(said.to_owned())]);
    assert_eq!(life.life.early, 0);
}

#[test]
fn one_that_cannot_be_started_is_tried_as_often() {
    let mut life = Life::new(true);
    life.dies(LONG, killed());
    for _ in 0..EARLY_MOST {
        let actions = life.life.not_started("no memory", life.now);
        life.next_start(actions);
    }
    let Action::Finish(Ending::ControllerDied { how, .. }) = &life.life.not_started("no memory", life.now)[0] else {
        panic!("an end");
    };
    assert_eq!(how, "no memory");
}

#[test]
fn one_that_refuses_is_not_tried_again_whichever_is_heard_first() {
    for word_first in [true, false] {
        let mut life = Life::new(true);
        life.dies(LONG, killed());
        let refused = end(1 << 8);
        if word_first {
            assert_eq!(life.life.said(ControllerWord::Refuses, life.now), []);
            assert_eq!(life.life.ended(refused.clone(), life.now), dead(refused));
        } else {
            assert_eq!(life.life.ended(refused.clone(), life.now), []);
            assert_eq!(life.life.said(ControllerWord::Refuses, life.now), dead(refused));
        }
    }
}

#[test]
fn one_that_listened_and_died_before_its_word_was_heard_has_listened() {
    let mut life = Life::new(true);
    life.dies(LONG, killed());
    assert_eq!(life.life.ended(crashed(), life.now), []);
    let actions = life.life.said(ControllerWord::Listens, life.now);
    assert!(matches!(&actions[..], [Action::Say(_)]), "{actions:?}");
    assert_eq!((life.life.at_once, life.life.early), (1, 0));
    assert_eq!(life.next_start(Vec::new()), FIRST_PAUSE);
}

#[test]
fn one_that_closes_its_output_before_it_ends_has_not_listened() {
    let mut life = Life::new(true);
    life.dies(LONG, killed());
    assert_eq!(life.life.said(ControllerWord::Nothing, life.now), []);
    let actions = life.life.ended(killed(), life.now);
    assert_eq!((life.next_start(actions), life.life.early), (FIRST_PAUSE, 1));
}

#[test]
fn a_word_that_does_not_come_is_waited_for_a_second() {
    let mut life = Life::new(true);
    life.dies(LONG, killed());
    assert_eq!(life.life.ended(killed(), life.now), []);
    assert_eq!(life.life.next_tick(), Some(life.now + WORD_PATIENCE));
    assert_eq!(life.life.tick(life.now), []);
    life.now += WORD_PATIENCE;
    assert_eq!(life.life.tick(life.now), []);
    assert_eq!(life.life.next_tick(), Some(life.now + FIRST_PAUSE));
}

#[test]
fn one_that_does_not_listen_in_time_ends_the_cluster() {
    let mut life = Life::new(true);
    life.dies(LONG, killed());
    let mut refuses = Life::new(true);
    refuses.dies(LONG, killed());
    assert_eq!(refuses.life.said(ControllerWord::Refuses, refuses.now), []);
    for life in [&mut life, &mut refuses] {
        assert_eq!(life.life.tick(life.now + PATIENCE), [Action::Finish(Ending::ControllerSilent(PATIENCE))]);
    }
}
