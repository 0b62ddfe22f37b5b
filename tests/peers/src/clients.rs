//! The command `clients`: all of them submit their tasks, and one line of JSON says what became of these.

use crate::arguments::ClientOptions;
use crate::client::Client;
use crate::descriptors;
use crate::engines::{PeersError, connection, print};
use crate::ledger::Counts;
use crate::pool::Pool;
use ipclusterz_base::connection::Role;
use ipclusterz_runtime::system::deadline;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// True if all tasks were submitted, and each has one answer, which is right.
pub fn run(options: &Rc<ClientOptions>) -> Result<bool, PeersError> {
    descriptors::allow_all().map_err(PeersError::of("allowing more open files"))?;
    let file = connection(&options.connection, Role::Client)?;
    let tasks = shares(options.tasks, options.number);
    let clients = tasks.map(|(number, tasks)| Client::new(Rc::clone(options), number, tasks));
    let mut pool = Pool::dial(&file, clients.collect())?;
    let (begin, end) = (Instant::now(), deadline(options.deadline));
    while !pool.has_ended() && Instant::now() < end {
        pool.turn()?;
    }
    let clients: Vec<&Client> = pool.peers().collect();
    let counts = counts(&clients);
    print(&report(options, &clients, &counts, begin.elapsed()))?;
    Ok(counts.is_right() && counts.submitted == u64::from(options.tasks))
}

/// How many tasks each client submits: as equal as can be.
fn shares(tasks: u32, clients: u16) -> impl Iterator<Item = (u16, usize)> {
    let (each, rest) = (tasks / u32::from(clients), tasks % u32::from(clients));
    (0..clients).map(move |number| (number, (each + u32::from(u32::from(number) < rest)) as usize))
}

fn counts(clients: &[&Client]) -> Counts {
    let mut all = Counts::default();
    clients.iter().for_each(|client| all.add(client.ledger().counts()));
    all
}

fn report(options: &ClientOptions, clients: &[&Client], counts: &Counts, took: Duration) -> Value {
    let answered = counts.submitted - counts.missing;
    let mut ends: BTreeMap<&str, u32> = BTreeMap::new();
    for client in clients {
        *ends.entry(client.ended().unwrap_or("the deadline is over")).or_default() += 1;
    }
    json!({
        "version": 1,
        "clients": options.number,
        "tasks": options.tasks,
        "submitted": counts.submitted,
        "ok": counts.ok,
        "other": counts.other,
        "wrong": counts.wrong,
        "doubled": counts.doubled,
        "missing": counts.missing,
        "problems": counts.problems,
        "ends": ends,
        "seconds": took.as_secs_f64(),
        "tasks_per_second": answered as f64 / took.as_secs_f64(),
        "latency": options.one_by_one.then(|| latency(clients)),
    })
}

/// Seconds from the submission of a task to its answer: the middle, and what one in a hundred exceeds.
fn latency(clients: &[&Client]) -> Value {
    let mut all: Vec<Duration> = clients.iter().flat_map(|client| client.ledger().latencies()).copied().collect();
    all.sort_unstable();
    let at = |share: f64| all.get((all.len() as f64 * share) as usize).map(Duration::as_secs_f64);
    json!({"p50": at(0.5), "p99": at(0.99)})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_shared_out_to_the_last() {
        let share = |tasks, clients| shares(tasks, clients).map(|(_, tasks)| tasks).collect::<Vec<_>>();
        assert_eq!(share(10, 4), [3, 3, 2, 2]);
        assert_eq!(share(1, 3), [1, 0, 0]);
    }
}
