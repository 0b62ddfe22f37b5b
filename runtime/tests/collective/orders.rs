//! Any order of what clients and engines do, and some in particular.

use crate::model::{CLIENTS, Step, What, World, name_of};
use proptest::prelude::*;

fn step(engines: u32) -> impl Strategy<Value = Step> {
    let some = proptest::sample::subsequence((0..engines).collect::<Vec<_>>(), 1..=engines as usize).prop_shuffle();
    prop_oneof![
        6 => (0..CLIENTS, some).prop_map(|(client, engines)| Step::Together { client, engines }),
        2 => (0..CLIENTS, 0..engines).prop_map(|(client, engine)| Step::Alone { client, engine }),
        1 => (0..CLIENTS, any::<bool>()).prop_map(|(client, all_clients)| Step::Abort { client, all_clients }),
        10 => (0..engines).prop_map(|engine| Step::Work { engine }),
        2 => (0..engines).prop_map(|engine| Step::Fails { engine }),
        1 => (0..engines).prop_map(|engine| Step::Skips { engine }),
        1 => (0..engines).prop_map(|engine| Step::Dies { engine }),
        2 => (0..engines, any::<bool>()).prop_map(|(engine, anew)| Step::Comes { engine, anew }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn nobody_waits_for_ever(
        (size, steps) in (2..6_u32).prop_flat_map(|size| (Just(size), proptest::collection::vec(step(size), 0..120))),
        survives in any::<bool>(),
    ) {
        let mut world = World::new(size, survives);
        for step in steps {
            world.run(step);
        }
        world.settle();
    }
}

#[test]
fn clients_on_overlapping_groups_are_served_in_one_order() {
    let mut world = World::new(3, true);
    for round in 0..30 {
        for (client, engines) in [(0, [0, 1]), (1, [1, 2]), (2, [2, 0])] {
            world.submit(client, &engines, true);
            world.work(round % 3);
        }
    }
    world.settle();
    assert_eq!(world.complete.iter().filter(|what| matches!(what, What::Request(..))).count(), 90);
}

#[test]
fn a_lost_rank_ends_the_epoch_and_the_rest_forms_the_next() {
    let mut world = World::new(3, true);
    world.settle();
    world.submit(0, &[0, 1, 2], true);
    assert!(world.work(0) && world.work(1));
    world.dies(2);
    assert!(world.processes[..2].iter().all(|process| process.over == 1));
    world.settle();
    assert!(world.processes[..2].iter().all(|process| process.epoch == 2));
    world.submit(0, &[1, 0], true);
    world.settle();
    assert!(world.complete.contains(&What::Request(2, vec![1, 0], 2_u64.to_be_bytes().to_vec())));
}

#[test]
fn a_program_that_is_started_anew_counts_on() {
    let mut world = World::new(2, false);
    world.settle();
    world.dies(1);
    world.submit(0, &[0, 1], true);
    world.settle();
    world.comes(1, true);
    world.settle();
    assert!(world.processes.iter().all(|process| process.epoch == 2));
}

#[test]
fn nobody_waits_for_a_member_that_has_left_and_what_is_out_of_step_is_broken_on_all() {
    let mut world = World::new(3, true);
    world.settle();
    world.submit(0, &[2, 0, 1], true);
    world.submit(1, &[2, 0, 1], true);
    assert!(world.work(2) && world.work(0), "these wait in the call");
    world.run(Step::Fails { engine: 1 });
    assert!(world.work(1), "it leaves before the call");
    assert!(!world.work(1), "and does not begin the next before the others have left this one");
    assert!(world.work(2) && world.work(0));
    assert!(world.processes.iter().all(|process| process.number(&name_of(&[2, 0, 1], 0)).is_none()));
    world.settle();
    // What came behind it has another communicator.
    assert!(world.complete.contains(&What::Request(1, vec![2, 0, 1], 2_u64.to_be_bytes().to_vec())));
    assert!(world.processes.iter().all(|process| process.number(&name_of(&[2, 0, 1], 1)) == Some(1)));
}

#[test]
fn nobody_waits_for_a_member_that_has_ended_its_part_and_begins_nothing_else_before_the_others_have() {
    let mut world = World::new(2, true);
    world.settle();
    world.submit(0, &[0, 1], true);
    world.submit(1, &[0, 1], true);
    world.run(Step::Skips { engine: 1 });
    assert!(world.work(0) && world.work(1), "the one waits, and the other returns");
    assert!(!world.work(1), "its next call would meet that in which the other waits");
    world.settle();
    assert!(world.complete.contains(&What::Request(1, vec![0, 1], 2_u64.to_be_bytes().to_vec())));
}

#[test]
fn a_group_whose_member_left_before_anybody_entered_goes_on() {
    let mut world = World::new(2, true);
    world.settle();
    world.submit(0, &[1, 0], true);
    world.run(Step::Fails { engine: 0 });
    assert!(world.work(0) && world.work(1), "both leave before the call");
    world.submit(0, &[1, 0], true);
    world.settle();
    assert!(world.complete.contains(&What::Request(1, vec![1, 0], 2_u64.to_be_bytes().to_vec())));
}
