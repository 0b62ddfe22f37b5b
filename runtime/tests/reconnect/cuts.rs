//! Connections are cut wherever it hurts.

use crate::steps::step;
use crate::world::{DATA, World};
use ipclusterz_runtime::controller::Limits;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn nothing_is_lost_or_doubled_wherever_the_connection_is_cut(steps in proptest::collection::vec(step(), 0..150)) {
        let mut world = World::new(Limits::default());
        world.up(0, 1);
        world.down(0, 1);
        world.up(DATA, 1);
        world.down(DATA, 1);
        assert!(world.client.standing.is_some());
        for step in &steps {
            world.step(step);
        }
        world.settle();
    }
}
