//! Tasks that an engine lacks something for.

use crate::world::{ANYWHERE, World, among, at};
use ipclusterz_base::connection::Role;
use ipclusterz_runtime::wire::message::TaskOutcome;

#[test]
fn what_no_engine_can_do_ends_with_what_the_last_one_said() {
    let mut world = World::new();
    let client = world.join(Role::Client, None);
    let engines = [0, 1, 2].map(|_| world.join(Role::Engine, None));
    for placement in [ANYWHERE, among(&[2, 0])] {
        world.submit(client, placement.clone(), false, 0);
        let mut asked = 0;
        while let Some(engine) = engines.into_iter().find(|engine| !world.engines[engine].inbox.is_empty()) {
            assert_eq!(world.clients[&client].answered.len() + 1, world.clients[&client].expected.len());
            world.finish(engine, 1, TaskOutcome::Unmet);
            asked += 1;
        }
        assert_eq!(asked, if placement == ANYWHERE { 3 } else { 2 });
        assert_eq!(world.clients[&client].answered, world.clients[&client].expected);
    }
    // The only engine left that was not asked dies before it comes to the task.
    world.submit(client, at(&[2]), false, 0);
    world.submit(client, among(&[0, 2]), false, 0);
    world.finish(engines[0], 1, TaskOutcome::Unmet);
    assert_eq!(world.core.work().queued(), 1);
    world.gone(engines[2], false);
    assert_eq!(world.clients[&client].answered, world.clients[&client].expected);
    world.settle();
}

#[test]
fn an_engine_with_the_id_of_one_that_could_not_do_it_is_asked_too() {
    let mut world = World::new();
    let client = world.join(Role::Client, None);
    let [lacking, _busy] = [0, 1].map(|_| world.join(Role::Engine, None));
    world.submit(client, at(&[1]), false, 0);
    world.submit(client, among(&[0, 1]), false, 0);
    world.finish(lacking, 1, TaskOutcome::Unmet);
    assert_eq!(world.core.work().queued(), 1);
    world.gone(lacking, false);
    let able = world.join(Role::Engine, Some(0));
    assert_eq!(world.engines[&able].inbox.len(), 1);
    world.settle();
}
