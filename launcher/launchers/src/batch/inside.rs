//! Starts engines in the job that this process itself runs in: the allocation exists already, so nothing is submitted.
//!
//! Responsible for the queue's side: the job's id, its components, its start command and its end. [`crate::program`] runs
//! that command.

use super::commands;
use super::options::BatchOptions;
use super::placeholders::Values;
use crate::set::EngineSet;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_profile::allocation::{self, COMPONENT, Part};
use ipclusterz_profile::environment::Variables;
use ipclusterz_profile::tables::queue::QueueTable;
use std::time::Duration;

/// The id of the job that this process runs in, from the environment variable that `queue.inside` names.
pub fn job_id(queue: &QueueTable) -> Option<String> {
    allocation::job_id(queue, &Variables::of_this_process()).map(str::to_owned)
}

/// The arguments to put before the engine's own: the queue's command that starts the engines of a set on the nodes of
/// the job that this process runs in. Empty when the queue has no such command; then all engines run on this node.
///
/// The engines get the same options as those of a submitted job: `--first-engine-id` and `--ranks`. In a heterogeneous job
/// there is one for each component that gets engines; all of them are one command.
pub fn prefixes(options: &BatchOptions, set: &EngineSet) -> Result<Vec<Vec<String>>, Failure> {
    let parts = allocation::parts(&options.queue, &Variables::of_this_process(), options.batch.cores_per_engine);
    prefixes_of(options, set, &parts)
}

fn prefixes_of(options: &BatchOptions, set: &EngineSet, parts: &[Part]) -> Result<Vec<Vec<String>>, Failure> {
    let start = &options.queue.start;
    if parts.iter().all(|part| part.component.is_none()) || start.is_empty() {
        return Ok(vec![options.values(set)?.command(start, "queue.start")?]);
    }
    if !start.iter().any(|word| word.contains(COMPONENT)) {
        let message = format!("this job has {} components, and queue.start has no {COMPONENT}", parts.len());
        return Err(Failure::new(Exit::Usage, message).with_hint("put \"--het-group={component}\" into it"));
    }
    let counts = spread(set.count, parts);
    let started = parts.iter().zip(counts).filter(|(_, count)| *count > 0);
    let mut prefixes = Vec::new();
    for (part, count) in started {
        let mut words = values(options, set, part, count)?.command(start, "queue.start")?;
        if let Some(program) = words.first_mut().filter(|_| !prefixes.is_empty()) {
            program.clone_from(&options.queue.next_component);
        }
        prefixes.push(words);
    }
    Ok(prefixes)
}

/// How many of `count` engines each component gets: as many as it has tasks, in their order, and the last one the rest. One
/// that does not say how many it has counts as one of a single task.
fn spread(count: u32, parts: &[Part]) -> Vec<u32> {
    let mut left = count;
    let last = parts.len().saturating_sub(1);
    let mut take = |(number, part): (usize, &Part)| {
        let given = if number == last { left } else { left.min(part.tasks.clone().unwrap_or(1)) };
        left -= given;
        given
    };
    parts.iter().enumerate().map(&mut take).collect()
}

/// The values of placeholders for the `count` engines of one component. How a job is to be spread over nodes was asked for
/// component by component.
fn values(options: &BatchOptions, set: &EngineSet, part: &Part, count: u32) -> Result<Values, Failure> {
    let mut values = options.values(&EngineSet { count, ..set.clone() })?;
    values.set("component", part.component);
    values.set("nodes", None::<u32>);
    values.set("engines_per_node", None::<u32>);
    Ok(values)
}

/// When the job that this process runs in reaches its time limit, in seconds since 1970; `None` when that is not known.
/// The value is for `IPCLUSTERZ_END_TIME` of the engines.
///
/// Runs a command of the queue, for at most `patience`.
pub fn end_time(queue: &QueueTable, patience: Duration) -> Option<i64> {
    // A job that ipclusterz submitted has the variable already.
    let told = std::env::var("IPCLUSTERZ_END_TIME").ok().and_then(|text| text.parse().ok());
    if told.is_some() || queue.end_time.is_empty() || job_id(queue).is_none() {
        return told;
    }
    let command = ["sh", "-c", &queue.end_time].map(str::to_owned);
    commands::run(&command, None, true, patience).ok()?.stdout.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::options::tests::{options, set};
    use super::*;

    #[test]
    fn the_start_command_is_filled_in() {
        let options = options(include_str!("../../../../profiles/slurm-mpi.toml"));
        let prefixes = prefixes(&options, &set(8)).expect("one");
        assert_eq!(prefixes.len(), 1);
        assert_eq!(prefixes[0][..3], ["srun", "--mpi=pmix", "--ntasks=8"]);
        assert!(!prefixes[0].iter().any(|word| word.contains("--nodes") || word.contains("--het")), "{prefixes:?}");
    }

    fn parts(tasks: &[u32]) -> Vec<Part> {
        (0..).zip(tasks).map(|(number, tasks)| Part { component: Some(number), tasks: Ok(*tasks) }).collect()
    }

    #[test]
    fn the_components_of_a_heterogeneous_job_are_filled_in_their_order() {
        let mut options = options(include_str!("../../../../profiles/slurm.toml"));
        (options.queue.component, options.queue.next_component) = ("_HET_{component}".to_owned(), ":".to_owned());
        (options.batch.nodes, options.batch.engines_per_node) = (2, 4);
        let lines = |count, tasks: &[u32]| -> Vec<String> {
            let prefixes = prefixes_of(&options, &set(count), &parts(tasks)).expect("prefixes");
            prefixes.iter().map(|words| words.join(" ")).collect()
        };
        let rest = "--cpus-per-task=1 --kill-on-bad-exit=0 --no-kill --wait=0 --overlap --label";
        let [both, first, few] = [lines(5, &[2, 3]), lines(2, &[2, 3]), lines(4, &[2, 3])];
        assert_eq!(both[0], format!("srun --ntasks=2 {rest} --het-group=0"));
        assert_eq!(both[1], format!(": --ntasks=3 {rest} --het-group=1"));
        assert_eq!(first, both[..1]);
        assert!(few[1].starts_with(": --ntasks=2 "), "{few:?}");
        // srun says what it thinks of too many.
        assert!(lines(7, &[2, 3])[1].starts_with(": --ntasks=5 "));
        options.queue.start.retain(|word| !word.contains(COMPONENT));
        let failure = prefixes_of(&options, &set(5), &parts(&[2, 3])).expect_err("half of them");
        assert_eq!(failure.message, "this job has 2 components, and queue.start has no {component}");
    }

    #[test]
    fn outside_of_jobs_there_is_no_end() {
        let mut queue = options("").queue;
        assert_eq!(job_id(&queue), None);
        queue.inside = "NO_SUCH_VARIABLE_IPCLUSTERZ".to_owned();
        queue.end_time = "echo 5".to_owned();
        assert_eq!((job_id(&queue), end_time(&queue, Duration::from_secs(5))), (None, None));
        // Any test runner sets PATH.
        queue.inside = "PATH".to_owned();
        assert_eq!(end_time(&queue, Duration::from_secs(30)), Some(5));
    }
}
