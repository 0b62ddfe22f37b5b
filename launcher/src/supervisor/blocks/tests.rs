//! Blocks whose jobs end before their engines have registered, with made-up time.

use super::super::inputs::Input;
use super::super::loss::Limit;
use super::super::policy::Policy;
use super::*;
use ipclusterz_launchers::set::{SetEnd, SetEvent};
use ipclusterz_profile::tables::batch;
use ipclusterz_runtime::wire::message::EngineInfo;

fn status(pending: u64) -> Status {
    Status {
        cluster: "lab".to_owned(),
        pid: 1,
        uptime: 0.0,
        clients: 1,
        pending,
        held_bytes: 0,
        rejected: 0,
        resident_bytes: 0,
        engines: Vec::new(),
        losses: Vec::new(),
        expected: None,
    }
}

/// A cluster that is ready and may have up to three blocks of two engines.
struct Lab {
    core: Core,
    blocks: Blocks,
    began: Instant,
    said: Vec<String>,
}

impl Lab {
    fn new() -> Self {
        let began = Instant::now();
        let timeout = Duration::from_secs(60);
        let restart_limit = Limit { most: 10, window: timeout };
        let (host, end_timeout) = ("here".to_owned(), Duration::from_secs(2));
        let (restart, restart_controller, rank_loss) = (false, false, None);
        let policy = Policy {
            restart,
            again_in_job: false,
            own_jobs: false,
            least: 0,
            queue_timeout: None,
            restart_controller,
            retries: 0,
            rank_loss,
            restart_limit,
            timeout,
            end_timeout,
            host,
        };
        let mut core = Core::new(policy, began);
        core.ready_if_complete();
        let elastic = Elastic::new(batch::Blocks { min: 0, max: 3, nodes: 1 }, timeout, 2);
        Self { core, blocks: Blocks::new(Some((elastic, 2)), None), began, said: Vec::new() }
    }

    /// One look after this many seconds. Returns the sets that it started.
    fn look(&mut self, second: u64) -> Vec<SetId> {
        let now = self.began + Duration::from_secs(second);
        let mut started = Vec::new();
        for action in self.blocks.decide(&mut self.core, &status(100), now) {
            match action {
                Action::Start(set) => {
                    self.core.handle(Input::SetStarted { set: set.id, pid: None }, now);
                    started.push(set.id);
                }
                Action::Say(line) => self.said.push(line),
                other => panic!("{other:?}"),
            }
        }
        started
    }

    fn end(&mut self, set: SetId, second: u64) {
        let how = format!("job {} failed (FAILED), exit code 3", set.0);
        let end = SetEnd::new(false, how, Some("job.log".into()));
        let now = self.began + Duration::from_secs(second);
        let actions = self.core.handle(Input::Set(set, SetEvent::Ended(end)), now);
        assert!(matches!(&actions[..], [Action::SayWithLog(line, _)] if line.contains("exit code 3")), "{actions:?}");
    }

    fn warnings(&self) -> Vec<&String> {
        self.said.iter().filter(|line| line.contains("before its engines had registered")).collect()
    }
}

#[test]
fn a_queue_is_not_flooded_with_jobs_that_end_at_once() {
    let mut lab = Lab::new();
    let mut starts = Vec::new();
    for second in 0..60 {
        for set in lab.look(second) {
            starts.push(second);
            lab.end(set, second);
        }
    }
    assert_eq!(starts, [0, 0, 0, 2, 4, 6, 9, 14, 22, 36]);
    let [warning] = lab.warnings()[..] else { panic!("said once: {:?}", lab.said) };
    assert!(warning.contains("(engines 4 to 5 have died: job 2 failed (FAILED), exit code 3)"), "{warning}");
}

#[test]
fn after_one_job_has_worked_all_are_started_at_once_again() {
    let mut lab = Lab::new();
    for set in lab.look(0) {
        lab.end(set, 0);
    }
    assert_eq!(lab.look(1), []);
    let [one] = lab.look(2)[..] else { panic!("one tries") };
    assert_eq!(lab.look(3), [], "while it waits in the queue no other is submitted");
    let first = lab.core.set(one).expect("there").set.first;
    let engine = EngineInfo {
        id: first,
        uuid: "uuid".to_owned(),
        host: "n1".to_owned(),
        pid: 7,
        address: String::new(),
        birth: None,
    };
    lab.core.handle(Input::EngineJoined(engine), lab.began + Duration::from_secs(4));
    assert_eq!(lab.look(5).len(), 2);
    assert_eq!(lab.warnings().len(), 1);
}
