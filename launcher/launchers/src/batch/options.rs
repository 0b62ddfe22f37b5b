//! What the jobs of a cluster have in common, and how the engines of one job are spread over nodes.
//!
//! Responsible for turning tables into the values of placeholders, and for rejecting combinations that cannot work.
//! [`super::script`] makes the text.

use super::clock;
use super::placeholders::Values;
use crate::cluster::logs::LogFolder;
use crate::program::obstacle::obstacle_of_command;
use crate::rank_loss::RankLoss;
use crate::set::{EngineSet, SetId};
use crate::setup::Setup;
use ipclusterz_base::ids::EngineId;
use ipclusterz_base::private;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_profile::tables::batch::BatchTable;
use ipclusterz_profile::tables::engines::{EnginesTable, OnRankLoss};
use ipclusterz_profile::tables::queue::QueueTable;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that jobs are made from. All paths are absolute and mean the same on the nodes.
#[derive(Debug, Clone)]
pub struct BatchOptions {
    /// The cluster's name.
    pub cluster: String,
    /// What to request from the queue: `[batch]`.
    pub batch: BatchTable,
    /// How to talk to the queue: `[queue]`.
    pub queue: QueueTable,
    /// Settings of the engines: `[engines]`.
    pub engines: EnginesTable,
    /// The Python that runs them.
    pub python: PathBuf,
    /// Their working directory.
    pub directory: PathBuf,
    /// Their connection file.
    pub engine_file: PathBuf,
    /// The program that runs `engines.setup` on each node.
    pub setup_file: PathBuf,
    /// Where scripts and output of jobs are kept.
    pub logs: LogFolder,
    /// The environment that `engines.pass_env` chooses from.
    pub environment: BTreeMap<String, String>,
}

impl BatchOptions {
    /// What happens to the other ranks of a job when one is lost.
    pub fn rank_loss(&self) -> RankLoss {
        let loss = RankLoss::of(self.engines.on_rank_loss, obstacle_of_command(&self.queue.start));
        RankLoss { in_job: loss.policy == OnRankLoss::Restart, ..loss }
    }

    /// What runs `engines.setup` where the processes of a job are.
    pub fn setup(&self) -> Option<Setup> {
        Setup::in_shell_of(&self.queue.shell, &self.engines.setup, self.setup_file.clone(), self.logs.clone())
    }

    /// Whether the script of a job restarts lost ranks.
    pub fn starts_ranks_again(&self) -> bool {
        self.batch.check_world && self.rank_loss().in_job
    }

    /// Whether a job starts single engines again that have died.
    pub fn starts_engines_again(&self) -> bool {
        self.engines.restart && !self.batch.check_world
    }
}

/// The files of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFiles {
    /// What the job runs.
    pub script: PathBuf,
    /// The job's description, for a queue that wants it in a file of its own.
    pub description: PathBuf,
    /// Its standard output and error.
    pub log: PathBuf,
    /// The launcher's messages about its engines, see [`super::again`].
    pub words: PathBuf,
}

impl JobFiles {
    /// The files of the set `id`.
    pub fn of(logs: &LogFolder, id: SetId) -> Self {
        let file = |suffix| logs.job(id, suffix);
        Self { script: file("sh"), description: file("submit"), log: file("log"), words: file("words") }
    }
}

/// How the engines of a job are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// Nodes to ask for; `None` leaves it to the queue.
    pub nodes: Option<u32>,
    /// Engines on each node, if that is fixed.
    pub engines_per_node: Option<u32>,
}

impl BatchOptions {
    /// Rejects settings that cannot work with any queue, as a usage error.
    pub fn check(&self) -> Result<(), Failure> {
        let (batch, queue) = (&self.batch, &self.queue);
        let refuse = |message: String, hint: &str| Err(Failure::new(Exit::Usage, message).with_hint(hint));
        if queue.name.is_empty() || queue.submit.is_empty() || queue.status.is_empty() || queue.cancel.is_empty() {
            return refuse(
                "engines.launcher = \"batch\", but [queue] has no name, submit, status or cancel".to_owned(),
                "extend a profile of a queue: slurm, pbs, lsf, sge or htcondor",
            );
        }
        for (key, path) in [("engines.python", &self.python), ("engines.directory", &self.directory)] {
            if !path.is_absolute() {
                return refuse(format!("{key}: {} is not an absolute path", path.display()), "jobs start elsewhere");
            }
        }
        if batch.blocks.max > 0 && batch.engines_per_node == 0 {
            return refuse(
                format!("batch.blocks.max = {}, but batch.engines_per_node is 0", batch.blocks.max),
                "say how many engines each node of a block has",
            );
        }
        if batch.blocks.max > 0 && (batch.blocks.min > batch.blocks.max || batch.blocks.nodes == 0) {
            return refuse(
                format!("batch.blocks = {:?} cannot be", batch.blocks),
                "min is at most max, and nodes is at least 1",
            );
        }
        if batch.array && (queue.array_index.is_empty() || (queue.array.is_empty() && queue.description.is_empty())) {
            return refuse(
                format!("batch.array = true, but no job arrays are described for {}", queue.name),
                "fill in queue.array and queue.array_index, or leave out batch.array",
            );
        }
        if batch.array && batch.check_world {
            return refuse(
                "batch.array and batch.check_world exclude each other".to_owned(),
                "tasks of an array are not ranks of one MPI program",
            );
        }
        let nodes = self.first_sets(1).into_iter().map(|set| self.of_group(set.group.as_deref()).nodes_of_a_job());
        if queue.start.is_empty()
            && !batch.array
            && let Some(nodes) = nodes.max().filter(|nodes| *nodes > 1)
        {
            return refuse(
                format!("{nodes} nodes for a job, but queue.start is empty"),
                "fill in queue.start with the command that starts processes on all nodes of a job, or use one node",
            );
        }
        let numbers = [
            ("batch.poll", batch.poll, 0.1),
            ("batch.idle_time", batch.idle_time, 0.0),
            ("batch.warn_before", batch.warn_before, 0.0),
            ("batch.drain_before", batch.drain_before, 0.0),
            ("batch.queue_timeout", batch.queue_timeout, 0.0),
        ];
        for (key, value, least) in numbers {
            if !(least..=1e9).contains(&value) {
                return refuse(format!("{key} = {value} cannot be"), &format!("write at least {least} seconds"));
            }
        }
        clock::time_limit(&batch.time_limit).map(|_| ())
    }

    /// The nodes of a job, by `batch.blocks` or `batch.nodes`; 0 when neither says.
    fn nodes_of_a_job(&self) -> u32 {
        if self.batch.blocks.max > 0 { self.batch.blocks.nodes } else { self.batch.nodes }
    }

    /// The number of engines of one set when `count` are wanted: those of a block, or all.
    pub fn set_size(&self, count: u32) -> u32 {
        let blocks = self.batch.blocks;
        if blocks.max == 0 { count } else { blocks.nodes.saturating_mul(self.batch.engines_per_node).max(1) }
    }

    /// The time limit, if the profile sets one. An error when it cannot be parsed.
    pub fn time_limit(&self) -> Result<Option<Duration>, Failure> {
        clock::time_limit(&self.batch.time_limit)
    }

    /// How `count` engines are spread over nodes. A usage error when they do not fit.
    pub fn spread(&self, count: u32) -> Result<Spread, Failure> {
        let per_node = Some(self.batch.engines_per_node).filter(|number| *number > 0);
        let nodes = Some(self.nodes_of_a_job()).filter(|number| *number > 0);
        if self.batch.array {
            return Ok(Spread { nodes: None, engines_per_node: None });
        }
        if self.queue.start.is_empty() {
            return Ok(Spread { nodes: Some(1), engines_per_node: Some(count) });
        }
        let spread = match (nodes, per_node) {
            (Some(nodes), Some(per_node)) if nodes.saturating_mul(per_node) < count => {
                let message = format!("{count} engines do not fit on {nodes} nodes with {per_node} engines each");
                return Err(Failure::new(Exit::Usage, message).with_hint(format!(
                    "ask for at most {} engines, or change batch.nodes or batch.engines_per_node",
                    nodes.saturating_mul(per_node)
                )));
            }
            // Capped: a queue that counts engines per node would otherwise give some of the engines twice the room.
            (Some(nodes), Some(per_node)) => Spread { nodes: Some(nodes), engines_per_node: Some(per_node.min(count)) },
            (Some(nodes), None) => {
                Spread { nodes: Some(nodes.min(count)), engines_per_node: Some(count.div_ceil(nodes)) }
            }
            (None, Some(per_node)) => {
                Spread { nodes: Some(count.div_ceil(per_node)), engines_per_node: Some(per_node.min(count)) }
            }
            (None, None) => Spread { nodes: None, engines_per_node: None },
        };
        Ok(spread)
    }

    /// These options as they are for the jobs of a group.
    pub fn of_group(&self, group: Option<&str>) -> Self {
        let job_name = match group {
            Some(group) if !self.batch.groups.is_empty() => format!("{}-{group}", self.batch.job_name),
            _ => self.batch.job_name.clone(),
        };
        let engines = self.batch.engines_in(group, &self.engines);
        Self { batch: BatchTable { job_name, ..self.batch.of_group(group) }, engines, ..self.clone() }
    }

    /// The sets that a start has first when `count` engines are wanted: one, or one of each group.
    pub fn first_sets(&self, count: u32) -> Vec<EngineSet> {
        let groups = self.batch.groups.iter().map(|group| (Some(group.name.clone()), self.batch.engines_of(group)));
        let mut sizes: Vec<(Option<String>, u32)> = groups.collect();
        if sizes.is_empty() {
            sizes.push((None, self.set_size(count)));
        }
        let (mut sets, mut first) = (Vec::new(), 0);
        for (number, (group, count)) in (0..).zip(sizes) {
            sets.push(EngineSet { id: SetId(number), first: EngineId(first), count, group });
            first += count;
        }
        sets
    }

    /// The values of all placeholders for a set.
    pub fn values(&self, set: &EngineSet) -> Result<Values, Failure> {
        self.of_group(set.group.as_deref()).values_alike(set)
    }

    fn values_alike(&self, set: &EngineSet) -> Result<Values, Failure> {
        let batch = &self.batch;
        let spread = self.spread(set.count)?;
        let limit = self.time_limit()?;
        let files = JobFiles::of(&self.logs, set.id);
        let text = |value: &str| Some(value.to_owned()).filter(|value| !value.is_empty());
        let number = |value: u32| Some(value).filter(|value| *value > 0);
        let cores_per_engine = batch.cores_per_engine.max(1);
        let tasks = if batch.array { set.count } else { 1 };
        let cores = cores_per_engine.saturating_mul(set.count / tasks);
        let cores_per_node = spread.engines_per_node.map(|engines| engines.saturating_mul(cores_per_engine));

        let mut values = Values::default();
        values.set("job_name", text(&batch.job_name.replace("{cluster}", &self.cluster)));
        values.set("log", Some(files.log.display()));
        values.set("script", Some(files.script.display()));
        values.set("description", Some(files.description.display()));
        values.set("directory", Some(self.directory.display()));
        values.set("user", private::login_name(private::effective_user()));
        values.set("partition", text(&batch.partition));
        values.set("account", text(&batch.account));
        values.set("qos", text(&batch.qos));
        values.set("constraint", text(&batch.constraint));
        values.set("memory", text(&batch.memory));
        values.set("gpus", number(batch.gpus));
        values.set("time_limit", limit.map(clock::hours));
        values.set("minutes", limit.map(|limit| limit.as_secs().div_ceil(60)));
        values.set("seconds", limit.map(|limit| limit.as_secs()));
        // Known in a heterogeneous job alone: see [`super::inside`].
        values.set("component", None::<u32>);
        values.set("nodes", spread.nodes);
        values.set("engines", Some(set.count / tasks));
        values.set("count", Some(set.count / tasks));
        values.set("engines_per_node", spread.engines_per_node);
        values.set("cores_per_engine", number(batch.cores_per_engine));
        values.set("cores_per_node", cores_per_node);
        values.set("cores", Some(cores));
        values.set("tasks", Some(tasks));
        values.set("warn_before", Some(batch.warn_before.ceil()).filter(|seconds| *seconds > 0.0));
        Ok(values)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The options of a profile on top of the default one.
    pub fn options(profile: &str) -> BatchOptions {
        let mut tables: toml::Table =
            include_str!("../../../../profiles/default.toml").parse().expect("default profile");
        for (name, table) in profile.parse::<toml::Table>().expect("TOML") {
            let Some(target) = tables.get_mut(&name).and_then(toml::Value::as_table_mut) else { continue };
            target.extend(table.as_table().expect("a table").clone());
        }
        fn table<T: serde::de::DeserializeOwned>(tables: &toml::Table, name: &str) -> T {
            tables[name].clone().try_into().expect(name)
        }
        BatchOptions {
            cluster: "lab".to_owned(),
            batch: table(&tables, "batch"),
            queue: table(&tables, "queue"),
            engines: table(&tables, "engines"),
            python: "/opt/python/bin/python3".into(),
            directory: "/home/me/my work".into(),
            engine_file: "/home/me/clusters/lab/engine.json".into(),
            setup_file: "/home/me/clusters/lab/setup.sh".into(),
            logs: LogFolder::at("/home/me/clusters/lab/logs".into()),
            environment: BTreeMap::new(),
        }
    }

    pub fn set(count: u32) -> EngineSet {
        EngineSet { id: SetId(0), first: EngineId(0), count, group: None }
    }

    const SLURM: &str = include_str!("../../../../profiles/slurm.toml");

    fn spread(batch: &str, count: u32) -> Spread {
        let mut options = options(SLURM);
        options.batch = self::options(&format!("[batch]\n{batch}")).batch;
        options.spread(count).expect(batch)
    }

    #[test]
    fn nodes_follow_from_engines() {
        assert_eq!(spread("", 8), Spread { nodes: None, engines_per_node: None });
        assert_eq!(spread("engines_per_node = 4", 9), Spread { nodes: Some(3), engines_per_node: Some(4) });
        assert_eq!(spread("engines_per_node = 4", 2), Spread { nodes: Some(1), engines_per_node: Some(2) });
        assert_eq!(spread("nodes = 3", 8), Spread { nodes: Some(3), engines_per_node: Some(3) });
        assert_eq!(spread("nodes = 4", 2), Spread { nodes: Some(2), engines_per_node: Some(1) });
        assert_eq!(spread("array = true\nnodes = 4", 2), Spread { nodes: None, engines_per_node: None });
    }

    #[test]
    fn too_many_engines_are_refused_with_the_most_there_can_be() {
        let mut options = options(SLURM);
        (options.batch.nodes, options.batch.engines_per_node) = (2, 4);
        let failure = options.spread(9).expect_err("too many");
        assert_eq!(failure.message, "9 engines do not fit on 2 nodes with 4 engines each");
        assert!(failure.hint.expect("hint").starts_with("ask for at most 8 engines"));
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let refused = |profile: &str| options(profile).check().expect_err(profile).message;
        assert!(refused("").contains("[queue] has no name, submit, status or cancel"));
        let with = |change: fn(&mut BatchOptions)| {
            let mut options = options(SLURM);
            change(&mut options);
            options.check().map_err(|failure| failure.message)
        };
        assert_eq!(with(|_| ()), Ok(()));
        assert_eq!(
            with(|options| options.batch.blocks.max = 4),
            Err("batch.blocks.max = 4, but batch.engines_per_node is 0".to_owned())
        );
        assert!(with(|options| options.python = "python".into()).is_err());
        assert!(with(|options| options.batch.poll = f64::NAN).is_err());
        assert!(with(|options| (options.queue.start, options.batch.nodes) = (Vec::new(), 2)).is_err());
        assert!(with(|options| (options.batch.array, options.batch.check_world) = (true, true)).is_err());
    }
}
