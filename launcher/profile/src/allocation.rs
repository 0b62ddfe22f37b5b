//! The job of a queue that this process runs in, as the variables say that its queue sets: which job, and how many tasks it
//! has.
//!
//! `[queue]` names the variables. Not responsible for starting anything there.

use crate::environment::Variables;
use crate::tables::queue::QueueTable;
use std::path::Path;

/// The placeholder in `queue.component`, and that in `queue.start`.
pub const COMPONENT: &str = "{component}";

/// A part of a job that was asked for by itself. A job that is not heterogeneous has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its number in a heterogeneous job.
    pub component: Option<u32>,
    /// How many tasks it has, or why that is not known.
    pub tasks: Result<u32, String>,
}

/// The id of the job that this process runs in, from the variable that `queue.inside` names.
pub fn job_id<'a>(queue: &QueueTable, variables: &'a Variables) -> Option<&'a str> {
    variables.get(&queue.inside)
}

/// The parts of that job. `cores_per_engine`: the slots of one task, where jobs have slots.
pub fn parts(queue: &QueueTable, variables: &Variables, cores_per_engine: u32) -> Vec<Part> {
    let tasks = |ending: &str| tasks(queue, variables, ending, cores_per_engine);
    let endings = endings(queue, variables);
    if endings.is_empty() {
        return vec![Part { component: None, tasks: tasks("") }];
    }
    (0..).zip(endings).map(|(number, ending)| Part { component: Some(number), tasks: tasks(&ending) }).collect()
}

/// How many tasks all parts have, or why that is not known.
pub fn total(parts: &[Part]) -> Result<u32, String> {
    parts.iter().try_fold(0_u32, |sum, part| Ok(sum.saturating_add(part.tasks.clone()?)))
}

/// What the names of variables end with for each component of the job; empty for a job that is not heterogeneous.
fn endings(queue: &QueueTable, variables: &Variables) -> Vec<String> {
    if queue.component.is_empty() {
        return Vec::new();
    }
    let ending = |number: u32| queue.component.replace(COMPONENT, &number.to_string());
    let job_of = |ending: &String| variables.get(&format!("{}{ending}", queue.inside));
    let endings: Vec<String> = (0..u32::MAX).map(ending).take_while(|ending| job_of(ending).is_some()).collect();
    // A job that was submitted from within a heterogeneous one may have inherited the variables.
    let is_own = endings.iter().any(|ending| job_of(ending) == job_id(queue, variables));
    if is_own { endings } else { Vec::new() }
}

fn tasks(queue: &QueueTable, variables: &Variables, ending: &str, cores_per_engine: u32) -> Result<u32, String> {
    let first = |names: &[String]| {
        let names = names.iter().map(|name| format!("{name}{ending}"));
        names.filter_map(|name| variables.get(&name).map(|value| number(&name, value))).next()
    };
    let slots = || Some(first(&queue.slots)?.map(|slots| (slots / cores_per_engine.max(1)).max(1)));
    first(&queue.tasks).or_else(slots).unwrap_or_else(|| {
        let names: Vec<String> = queue.tasks.iter().chain(&queue.slots).map(|name| format!("{name}{ending}")).collect();
        Err(format!("{} {} not set", names.join(", "), if names.len() == 1 { "is" } else { "are" }))
    })
}

/// The number in a variable; the lines of the file that it names.
fn number(name: &str, value: &str) -> Result<u32, String> {
    let bad = || format!("{name} is {value:?}, not a number of tasks");
    let number = if Path::new(value).is_absolute() {
        let text = std::fs::read_to_string(value).map_err(|error| format!("{name} names {value:?}: {error}"))?;
        u32::try_from(text.lines().filter(|line| !line.trim().is_empty()).count()).map_err(|_| bad())?
    } else {
        value.trim().parse().map_err(|_| bad())?
    };
    Some(number).filter(|number| *number > 0).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shipped;

    /// Of a shipped profile over the default one.
    fn queue(profile: &str) -> QueueTable {
        let table = |name: &str| -> toml::Table {
            let tables: toml::Table = shipped::text(name).expect(name).parse().expect(name);
            tables.get("queue").and_then(toml::Value::as_table).cloned().unwrap_or_default()
        };
        let mut queue = table(shipped::DEFAULT_NAME);
        queue.extend(table(profile));
        queue.try_into().expect(profile)
    }

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        Variables::from_pairs(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn each_queue_says_how_many_tasks_its_jobs_have() {
        let nodes = tempfile::NamedTempFile::new().expect("file");
        std::fs::write(nodes.path(), "n1\nn1\nn2\n").expect("write");
        let nodes = nodes.path().to_str().expect("UTF-8");
        for (profile, set, expected) in [
            ("slurm", &[("SLURM_JOB_ID", "7"), ("SLURM_NTASKS", "6")][..], Ok(6)),
            ("slurm", &[("SLURM_JOB_ID", "7")], Err("SLURM_NTASKS is not set".to_owned())),
            ("pbs", &[("PBS_JOBID", "7.s"), ("PBS_NODEFILE", nodes), ("PBS_NP", "9")], Ok(3)),
            ("pbs", &[("PBS_JOBID", "7.s"), ("PBS_NP", "8")], Ok(4)),
            ("pbs", &[("PBS_JOBID", "7.s")], Err("PBS_NODEFILE, PBS_NP are not set".to_owned())),
            ("lsf", &[("LSB_JOBID", "7"), ("LSB_DJOB_NUMPROC", "5")], Ok(2)),
            ("sge", &[("JOB_ID", "7"), ("NSLOTS", "1")], Ok(1)),
            (
                "sge",
                &[("JOB_ID", "7"), ("NSLOTS", "many")],
                Err("NSLOTS is \"many\", not a number of tasks".to_owned()),
            ),
            ("sge", &[("JOB_ID", "7"), ("NSLOTS", "0")], Err("NSLOTS is \"0\", not a number of tasks".to_owned())),
        ] {
            let (queue, set) = (queue(profile), variables(set));
            assert!(job_id(&queue, &set).is_some_and(|id| id.starts_with('7')), "{profile}");
            assert_eq!(total(&parts(&queue, &set, 2)), expected, "{profile}");
        }
    }

    #[test]
    fn a_heterogeneous_job_has_the_tasks_of_its_components() {
        let queue = queue("slurm");
        let both = [("SLURM_JOB_ID", "7"), ("SLURM_JOB_ID_HET_GROUP_0", "7"), ("SLURM_JOB_ID_HET_GROUP_1", "8")];
        let tasks = [("SLURM_NTASKS_HET_GROUP_0", "2"), ("SLURM_NTASKS_HET_GROUP_1", "3")];
        let found = parts(&queue, &variables(&[&both[..], &tasks].concat()), 1);
        assert_eq!(found, [Part { component: Some(0), tasks: Ok(2) }, Part { component: Some(1), tasks: Ok(3) }]);
        assert_eq!(total(&found), Ok(5));
        let silent = parts(&queue, &variables(&[&both[..], &tasks[..1]].concat()), 1);
        assert_eq!(total(&silent), Err("SLURM_NTASKS_HET_GROUP_1 is not set".to_owned()));
        // Submitted from within.
        let other = [&[("SLURM_JOB_ID", "9"), ("SLURM_NTASKS", "4")], &both[1..], &tasks].concat();
        assert_eq!(parts(&queue, &variables(&other), 1), [Part { component: None, tasks: Ok(4) }]);
    }

    #[test]
    fn a_shipped_queue_that_has_jobs_to_be_in_says_how_many_tasks_they_have() {
        for name in shipped::names() {
            let queue = queue(name);
            assert_eq!(queue.inside.is_empty(), queue.tasks.is_empty() && queue.slots.is_empty(), "{name}");
        }
    }
}
