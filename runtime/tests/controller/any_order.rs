//! Whatever happens, in any order.

use crate::steps::step;
use crate::world::World;
use ipclusterz_base::connection::Role;
use ipclusterz_runtime::controller::Limits;
use ipclusterz_runtime::wire::message::Window;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn each_target_gets_exactly_one_answer_and_nothing_is_left(
        steps in proptest::collection::vec(step(), 0..120),
        launcher in any::<bool>(),
        here in any::<bool>(),
        bytes in prop_oneof![Just(1_u64 << 30), 500..8000_u64],
    ) {
        // In a small window, what is asked for is refused now and then, and clients that have not read hold up their own.
        let limits = Limits::default();
        let window = Window { bytes, ..limits.window };
        let limits = Limits { window, ..limits };
        let mut world = if here { World::of_one_host(limits) } else { World::with(limits) };
        launcher.then(|| world.launcher_joins());
        world.join(Role::Client, None);
        world.join(Role::Engine, None);
        for step in steps {
            world.step(step);
        }
        world.check_replay();
        world.check_what_was_seen();
        world.settle();
    }
}
