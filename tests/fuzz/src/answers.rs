//! What the commands of queues print.

use ipclusterz_launchers::batch::answers::{Outcome, Reader, View};
use ipclusterz_launchers::batch::{clock, words};
use ipclusterz_profile::environment::Variables;
use ipclusterz_profile::settings::merged_profile;
use ipclusterz_profile::{Options, Places};
use std::sync::OnceLock;
use std::time::Duration;

const QUEUES: [&str; 5] = ["slurm", "pbs", "lsf", "sge", "htcondor"];

/// The first byte chooses the queue, the rest is what a command of it printed. Whatever that is, jobs, states, times and
/// ends are read from it and told.
pub fn answers(bytes: &[u8]) {
    let Some((queue, printed)) = bytes.split_first() else { return };
    let reader = &readers()[usize::from(*queue) % QUEUES.len()];
    let printed = &*String::from_utf8_lossy(printed);
    let (id, sightings) = (reader.job_id(printed), reader.sightings(printed));
    let _ = reader.says_unknown(printed);
    let ids = sightings.iter().map(|sighting| &sighting.id).chain(&id).take(8);
    for id in ids {
        match reader.view(&sightings, id, NOW) {
            View::Running(nodes) => _ = words::running(id, &nodes),
            View::Waiting(wait) => assert!(!wait.text.is_empty()),
            View::Stuck(reason) => assert!(!reason.is_empty()),
            View::Partly { nodes, waiting, wait } => {
                assert!(!waiting.is_empty() && !wait.text.is_empty());
                _ = (words::running(id, &nodes), words::tasks_pending(id, &waiting, &wait, Duration::ZERO));
            }
            View::Suspended(why) => assert!(!words::suspended(id, &why).is_empty()),
            View::Over(outcome) => assert!(!words::ended(id, &outcome, reader.endings()).is_empty()),
            View::Absent => {}
        }
    }
    let _ = reader.refusal(printed);
    let (told, accounting) = (reader.outcome(printed), reader.accounting(printed));
    for outcome in [told.clone(), Outcome::completed(told, accounting)].into_iter().flatten() {
        assert!(!words::ended("1", &outcome, reader.endings()).is_empty());
    }
    for line in printed.lines().take(8) {
        let _ = (clock::expected_start(line, NOW), clock::time_limit(line));
    }
}

/// A time of day; times of answers are told relative to it.
const NOW: i64 = 1_795_442_400;

fn readers() -> &'static [Reader] {
    static READERS: OnceLock<Vec<Reader>> = OnceLock::new();
    READERS.get_or_init(|| QUEUES.iter().map(|queue| reader(queue)).collect())
}

fn reader(queue: &str) -> Reader {
    let options = Options { profile: Some(queue.to_owned()), ..Options::default() };
    let profile = merged_profile(&options, &Variables::default(), &Places::default()).expect("a shipped profile");
    Reader::new(&profile.tables.queue).expect("its patterns")
}
