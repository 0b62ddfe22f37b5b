//! How often each task ran. Once, with two exceptions: retries, and a record that was lost with the power of the controller's
//! host.

use crate::truth::{Target, Truth};
use ipclusterz_base::ids::TaskId;

/// An engine has begun a task.
#[derive(Debug)]
pub struct Run {
    pub task: TaskId,
    pub engine: usize,
    /// The number of its result among what the engine has sent on `data`, in which of its sessions.
    pub result: Option<(u32, u64)>,
    /// The controller has said that it has the result.
    pub received: bool,
    /// The journal has lost the record that it was given out.
    pub forgotten: bool,
}

impl Truth {
    pub fn begins(&mut self, target: Target, task: TaskId, engine: usize) {
        let forgotten = self.forgotten.contains_key(&(task, engine));
        let retries = self.asked[&target.0].retries;
        let runs = self.runs.entry(target).or_default();
        let known = runs.iter().filter(|run| !run.forgotten);
        // One that was given to another engine while this one was away may be begun here before it is taken back.
        let done = known.clone().any(|run| run.received && run.engine == engine);
        let again = known.clone().any(|run| run.received && retries == 0);
        assert!(forgotten || !(done || again), "{target:?} runs again, and its result was received: {runs:?}");
        let times = known.count() as u32 + 1;
        assert!(forgotten || times <= 1 + retries, "{target:?} runs for the {times}th time: {runs:?}");
        let twice = !runs.is_empty() && retries == 0;
        assert!(!twice || self.power_cuts > 0, "{target:?} runs twice: {runs:?}");
        self.twofold += u64::from(twice);
        runs.push(Run { task, engine, result: None, received: false, forgotten });
    }

    pub fn ends(&mut self, target: Target, task: TaskId, engine: usize, result: (u32, u64)) {
        let runs = self.runs.get_mut(&target).expect("it has begun");
        let run = runs.iter_mut().rfind(|run| (run.task, run.engine) == (task, engine) && run.result.is_none());
        run.expect("it has begun").result = Some(result);
    }

    /// The controller has so many messages of an engine's session.
    pub fn received(&mut self, engine: usize, session: u32, count: u64) {
        let runs = self.runs.values_mut().flatten().filter(|run| run.engine == engine);
        for run in runs {
            run.received |= run.result.is_some_and(|(of, number)| of == session && number <= count);
        }
    }
}
