//! Whatever happens, in any order.

use crate::steps::step;
use crate::world::World;
use ipclusterz_base::connection::Role;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn each_target_gets_exactly_one_answer_and_nothing_is_left(
        steps in proptest::collection::vec(step(), 0..120),
        launcher in any::<bool>(),
        here in any::<bool>(),
    ) {
        let mut world = if here { World::of_one_host() } else { World::new() };
        launcher.then(|| world.launcher_joins());
        world.join(Role::Client, None);
        world.join(Role::Engine, None);
        for step in steps {
            world.step(step);
        }
        world.settle();
    }
}
