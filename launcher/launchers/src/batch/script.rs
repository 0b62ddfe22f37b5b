//! Renders the script of a job, and its description, from tables and a set.
//!
//! # Format
//!
//! The parts, in order: the shell line; directives; which engines these are; the job's end time; the working directory; the
//! threads of each engine; `pass_env`; `[engines.env]`; set-up lines, and `[engines.env]` once more, which they do not change;
//! the engines' command. Where that starts processes on other nodes, they run the set-up lines too, see [`crate::setup`]. The shell execs that command, so that signals reach it and its exit
//! code is the job's. Where the job restarts lost ranks, the shell runs the command in a loop instead, see
//! [`super::again`].
//!
//! Values of the environment are in the script alone, which only its owner can read, and never in an argument.

use super::again;
use super::options::{BatchOptions, JobFiles};
use super::placeholders::{Values, command_line};
use crate::cluster::logs;
use crate::engine_words;
use crate::seats::Seat;
use crate::set::EngineSet;
use crate::setup::{self, export, is_name};
use ipclusterz_base::private::{self, How};
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::shell::quote;
use ipclusterz_profile::settings::name_matches;
use ipclusterz_profile::tables::engines::Shared;
use std::io::{self, Write};
use std::path::Path;

/// The files that are submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// What the job runs.
    pub script: String,
    /// The description, for a queue that wants it in a file of its own.
    pub description: Option<String>,
}

impl Rendered {
    /// Writes the files, readable by their owner alone; replaces existing ones.
    pub fn write(&self, files: &JobFiles) -> io::Result<()> {
        // A queue that runs the file itself, as HTCondor does, needs it executable.
        write(&files.script, How::NewProgram, &self.script)?;
        self.description.as_ref().map_or(Ok(()), |text| write(&files.description, How::New, text))
    }
}

fn write(path: &Path, how: How, text: &str) -> io::Result<()> {
    private::remove(path)?;
    private::open_to_write(path, how)?.write_all(text.as_bytes())
}

/// Renders the script and the description of a set. Invalid settings are usage errors.
pub fn render(options: &BatchOptions, set: &EngineSet) -> Result<Rendered, Failure> {
    let options = &options.of_group(set.group.as_deref());
    let values = options.values(set)?;
    let mut lines = vec![options.queue.shell.clone()];
    lines.extend(directives(options, &values)?);
    lines.push(String::new());
    lines.push(logs::engines_line(set));
    lines.extend(end_time(options)?);
    let directory = quote(&options.directory.to_string_lossy());
    lines.push(format!("cd -- {directory} || cd"));
    lines.extend(threads(options));
    lines.extend(passed_environment(options));
    let own = own_environment(options)?;
    let setup = setup::lines_telling_file(&options.engines.setup, &options.logs.setup(set.id));
    if !setup.is_empty() {
        lines.extend(own.iter().cloned());
    }
    lines.extend(setup);
    lines.extend(own);
    let command = engines_command(options, set, &values)?;
    if options.starts_ranks_again() {
        lines.extend(again::lines(&command, &JobFiles::of(&options.logs, set.id).words));
    } else {
        lines.push(format!("exec {command}"));
    }
    Ok(Rendered { script: lines.join("\n") + "\n", description: description(options, &values)? })
}

fn directives(options: &BatchOptions, values: &Values) -> Result<Vec<String>, Failure> {
    let queue = &options.queue;
    let mut lines = Vec::new();
    let array = Some(&queue.array).filter(|array| options.batch.array && !array.is_empty());
    for template in queue.directives.iter().chain(array) {
        lines.extend(values.fill(template, "queue.directives", quote)?);
    }
    if queue.description.is_empty() {
        lines.extend(options.batch.directives.iter().cloned());
    }
    Ok(lines.into_iter().map(|line| format!("{} {line}", queue.prefix).trim_start().to_owned()).collect())
}

/// The description's lines. Further directives come before the last line, which is the one that queues the job.
fn description(options: &BatchOptions, values: &Values) -> Result<Option<String>, Failure> {
    let Some((last, first)) = options.queue.description.split_last() else { return Ok(None) };
    let fill = |template: &String| values.fill(template, "queue.description", str::to_owned);
    let mut lines: Vec<String> = first.iter().map(fill).filter_map(Result::transpose).collect::<Result<_, _>>()?;
    lines.extend(options.batch.directives.iter().cloned());
    lines.extend(fill(last)?);
    Ok(Some(lines.join("\n") + "\n"))
}

/// The lines that tell the engines when the job reaches its time limit: as the queue says, else counted from the job's
/// start.
fn end_time(options: &BatchOptions) -> Result<Vec<String>, Failure> {
    let limit = options.time_limit()?.map(|limit| format!("$(($(date +%s) + {}))", limit.as_secs()));
    let queue = Some(&options.queue.end_time).filter(|shell| !shell.is_empty());
    let mut lines = Vec::new();
    if let Some(shell) = queue {
        lines.push(format!("IPCLUSTERZ_END_TIME=$({shell})"));
        let otherwise = match limit {
            Some(limit) => format!("IPCLUSTERZ_END_TIME={limit}"),
            None => "unset IPCLUSTERZ_END_TIME".to_owned(),
        };
        lines.push(format!("case $IPCLUSTERZ_END_TIME in *[!0-9]* | '') {otherwise} ;; esac"));
    } else if let Some(limit) = limit {
        lines.push(format!("IPCLUSTERZ_END_TIME={limit}"));
    } else {
        // The job may have inherited the variable of another job.
        return Ok(vec!["unset IPCLUSTERZ_END_TIME".to_owned()]);
    }
    lines.push("export IPCLUSTERZ_END_TIME".to_owned());
    Ok(lines)
}

/// The threads of each engine, for what is run before and around it as well. A queue may hand on a value that was meant for the host
/// on which the job is submitted.
fn threads(options: &BatchOptions) -> Option<String> {
    let count = match options.engines.threads {
        Shared::Share => Some(options.batch.cores_per_engine).filter(|cores| *cores > 0),
        Shared::Number(count) => Some(count),
        Shared::Unset => None,
    };
    count.map(|count| export("OMP_NUM_THREADS", &count.to_string()))
}

fn passed_environment(options: &BatchOptions) -> Vec<String> {
    let patterns = &options.engines.pass_env;
    let chosen = |name: &str| is_name(name) && patterns.iter().any(|pattern| name_matches(pattern, name));
    let passed = options.environment.iter().filter(|(name, _)| chosen(name));
    passed.map(|(name, value)| export(name, value)).collect()
}

fn own_environment(options: &BatchOptions) -> Result<Vec<String>, Failure> {
    let variables = &options.engines.env;
    if let Some(name) = variables.keys().find(|name| !is_name(name)) {
        let message = format!("engines.env: {name:?} is not the name of a variable");
        return Err(Failure::new(Exit::Usage, message).with_hint("letters, digits and _ only, no digit first"));
    }
    Ok(variables.iter().map(|(name, value)| export(name, value)).collect())
}

fn engines_command(options: &BatchOptions, set: &EngineSet, values: &Values) -> Result<String, Failure> {
    let (queue, engines, batch) = (&options.queue, &options.engines, &options.batch);
    let mut words: Vec<String> = Vec::new();
    if !batch.array {
        words.extend(values.command(&queue.start, "queue.start")?);
    }
    // What has been started may be on other nodes than the script.
    if !words.is_empty() {
        let setup = options.setup().into_iter().flat_map(|setup| setup.words(set.id));
        words.extend(setup.map(|word| word.to_string_lossy().into_owned()));
    }
    words.extend(engines.wrap.iter().cloned());
    words.push(options.python.to_string_lossy().into_owned());
    words.extend(engine_words::PROGRAM.map(str::to_owned));
    words.push("--connection-file".to_owned());
    words.push(options.engine_file.to_string_lossy().into_owned());
    let first = set.first.0;
    let mut line = command_line(&words);
    line += &if batch.array {
        format!(" --engine-id $(({first} + ({}) - 1))", queue.array_index)
    } else if queue.start.is_empty() {
        format!(" --engines {} --first-engine-id {first}", set.count)
    } else {
        format!(" --first-engine-id {first} --ranks {}", set.count)
    };
    line += &format!(" --lease {} --end-timeout {}", engines.lease, engines.end_timeout);
    line += &format!(" --timeout {}", engine_words::timeout(engines.timeout));
    line += &format!(" --warn-before {} --drain-before {}", batch.warn_before, batch.drain_before);
    let shares = engine_words::of_host(engines, batch.cores_per_engine, Seat::ALONE);
    let preload = engine_words::preload(&engines.preload);
    line.extend(shares.iter().chain(&preload).map(|word| format!(" {}", quote(word))));
    // Only one process that starts several can fork them.
    if engines.fork && !batch.array && queue.start.is_empty() {
        line += " --fork";
    }
    // Tasks of an array are jobs of their own, which end each for itself.
    if !batch.array {
        line.extend(engine_words::agent(engines).map(|word| format!(" {word}")));
    }
    if options.starts_engines_again() {
        let words = JobFiles::of(&options.logs, set.id).words;
        line += &format!(" --again {}", quote(&words.to_string_lossy()));
    }
    if let Some(group) = &set.group {
        line += &format!(" --group {}", quote(group));
    }
    if batch.check_world {
        line += &format!(" --check-world --on-rank-loss {}", options.rank_loss().policy.word());
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::super::options::tests::{options, set};
    use super::*;
    use ipclusterz_profile::tables::engines::OnRankLoss;
    use std::process::Command;

    const SLURM: &str = include_str!("../../../../profiles/slurm.toml");
    const HTCONDOR: &str = include_str!("../../../../profiles/htcondor.toml");
    const SGE: &str = include_str!("../../../../profiles/sge.toml");

    #[test]
    fn a_script_for_slurm() {
        let mut options = options(SLURM);
        options.batch.time_limit = "1-00:00:00".to_owned();
        options.batch.engines_per_node = 4;
        options.batch.partition = "short".to_owned();
        options.batch.directives = vec!["--exclusive".to_owned()];
        options.engines.pass_env = vec!["OMP_*".to_owned()];
        options.engines.env.insert("GREETING".to_owned(), "it's\n$HOME".to_owned());
        options.environment.insert("OMP_NUM_THREADS".to_owned(), "2".to_owned());
        options.environment.insert("SECRET".to_owned(), "x".to_owned());
        let script = render(&options, &set(8)).expect("a script").script;
        let expected = "#!/bin/bash
#SBATCH --job-name=ipclusterz-lab
#SBATCH --output=/home/me/clusters/lab/logs/job-0.log
#SBATCH --open-mode=append
#SBATCH --no-requeue
#SBATCH --no-kill
#SBATCH --partition=short
#SBATCH --time=24:00:00
#SBATCH --nodes=2
#SBATCH --ntasks=8
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=1
#SBATCH --exclusive

";
        assert!(script.starts_with(expected), "{script}");
        let rest = &script[expected.len()..];
        assert!(rest.contains("IPCLUSTERZ_END_TIME=$(($(date +%s) + 86400)) ;; esac\n"), "{rest}");
        let body = &rest[rest.find("cd --").expect("cd")..];
        assert_eq!(
            body,
            "cd -- '/home/me/my work' || cd
export OMP_NUM_THREADS=1
export OMP_NUM_THREADS=2
export GREETING='it'\\''s
$HOME'
exec srun --ntasks=8 --nodes=2 --ntasks-per-node=4 --cpus-per-task=1 --kill-on-bad-exit=0 --no-kill --wait=0 --overlap --label \
/opt/python/bin/python3 -m ipclusterz.engine --connection-file /home/me/clusters/lab/engine.json \
--first-engine-id 0 --ranks 8 --lease 60 --end-timeout 2 --timeout 84 --warn-before 60 --drain-before 120 --threads 1 --with-agent
"
        );
    }

    #[test]
    fn the_setup_is_in_the_script_and_before_each_process_that_it_starts() {
        let mut options = options(SLURM);
        options.engines.setup = vec!["module load python".to_owned()];
        options.engines.env.insert("LAB".to_owned(), "blue".to_owned());
        let lines = |options: &BatchOptions| -> Vec<String> {
            render(options, &set(2)).expect("a script").script.lines().map(str::to_owned).collect()
        };
        let script = lines(&options);
        let at = |line: &str| script.iter().position(|other| other == line).expect(line);
        assert!(at("ipclusterz_report=/home/me/clusters/lab/logs/job-0.setup") < at("module load python"));
        let own: Vec<usize> = (0..script.len()).filter(|line| script[*line] == "export LAB=blue").collect();
        assert!(own.len() == 2 && own[0] < at("module load python") && at("trap - EXIT") < own[1], "{script:?}");
        let wrapper = " --label /bin/bash /home/me/clusters/lab/setup.sh /home/me/clusters/lab/logs/job-0.setup /opt/";
        assert!(script.last().expect("a line").contains(wrapper), "{script:?}");
        // Here the script's own shell is that of the engines.
        options.batch.array = true;
        assert!(lines(&options).last().expect("a line").starts_with("exec /opt/python/bin/python3 -m "));
    }

    #[test]
    fn engines_have_as_many_threads_as_cores() {
        let exported = |cores, threads| {
            let mut options = options(SLURM);
            (options.batch.cores_per_engine, options.engines.threads) = (cores, threads);
            let script = render(&options, &set(2)).expect("a script").script;
            script.lines().find(|line| line.contains("OMP_NUM_THREADS")).map(str::to_owned)
        };
        assert_eq!(exported(4, Shared::Share).as_deref(), Some("export OMP_NUM_THREADS=4"));
        assert_eq!(exported(4, Shared::Number(2)).as_deref(), Some("export OMP_NUM_THREADS=2"));
        assert_eq!((exported(4, Shared::Unset), exported(0, Shared::Share)), (None, None));
    }

    #[test]
    fn ranks_of_one_world_are_started_again_in_their_job() {
        let script = |on_rank_loss| {
            let mut options = options(include_str!("../../../../profiles/slurm-mpi.toml"));
            options.engines.on_rank_loss = on_rank_loss;
            render(&options, &set(4)).expect("a script").script
        };
        let restart = script(OnRankLoss::Restart);
        assert!(restart.contains("\n  srun --mpi=pmix --ntasks=4 "), "{restart}");
        assert!(restart.contains(" --check-world --on-rank-loss restart &\n"), "{restart}");
        assert!(restart.contains("wc -l < /home/me/clusters/lab/logs/job-0.words"), "{restart}");
        for other in [OnRankLoss::Shrink, OnRankLoss::Stop] {
            assert!(script(other).contains("\nexec srun --mpi=pmix"), "{other:?}");
        }
    }

    #[test]
    fn an_array_has_one_engine_in_each_task() {
        let mut options = options(SLURM);
        options.batch.array = true;
        let script = render(&options, &EngineSet { first: ipclusterz_base::ids::EngineId(4), ..set(3) });
        let script = script.expect("a script").script;
        assert!(script.contains("#SBATCH --array=1-3\n"), "{script}");
        assert!(script.contains("#SBATCH --ntasks=1\n"), "{script}");
        assert!(script.contains("\nexec /opt/python/bin/python3 -m ipclusterz.engine"), "{script}");
        assert!(script.contains(" --engine-id $((4 + (SLURM_ARRAY_TASK_ID) - 1)) --lease"), "{script}");
    }

    #[test]
    fn engines_that_come_back_have_a_parent_that_is_told_so() {
        for (batch, told) in [("", true), ("array = true", true), ("check_world = true", false)] {
            let mut options = options(&format!("{SLURM}\n[batch]\n{batch}"));
            options.engines.restart = true;
            let script = render(&options, &set(2)).expect("a script").script;
            let again = " --again /home/me/clusters/lab/logs/job-0.words\n";
            assert_eq!(script.contains(again), told, "{script}");
        }
    }

    #[test]
    fn without_a_start_command_one_process_has_the_engines() {
        let mut options = options(SGE);
        options.batch.cores_per_engine = 2;
        let script = render(&options, &set(4)).expect("a script").script;
        assert!(script.contains("engine.json --engines 4 --first-engine-id 0 --lease"), "{script}");
        assert!(script.contains("#$ -pe smp 8\n"), "{script}");
        assert!(script.contains("unset IPCLUSTERZ_END_TIME\n"), "{script}");
        assert!(script.ends_with(" --fork --with-agent\n"), "{script}");
        options.engines.fork = false;
        options.engines.preload = vec!["numpy".to_owned(), "scipy.linalg".to_owned()];
        let script = render(&options, &set(4)).expect("a script").script;
        assert!(script.ends_with(" --preload numpy,scipy.linalg --with-agent\n"), "{script}");
    }

    #[test]
    fn a_description_stands_beside_the_script() {
        let mut options = options(HTCONDOR);
        options.batch.memory = "4G".to_owned();
        options.batch.directives = vec!["requirements = (Arch == \"X86_64\")".to_owned()];
        let description = render(&options, &set(4)).expect("rendered").description.expect("a description");
        assert!(description.contains("executable = /home/me/clusters/lab/logs/job-0.sh\n"), "{description}");
        assert!(description.contains("request_memory = 4G\n"), "{description}");
        assert!(!description.contains("request_gpus"), "{description}");
        assert!(description.ends_with("requirements = (Arch == \"X86_64\")\nqueue 1\n"), "{description}");
    }

    #[test]
    fn a_group_has_what_it_says_and_else_what_all_have() {
        let options = options(&format!(
            "{SLURM}\n[batch]\npartition = \"p\"\nmemory = \"1G\"\ngroups = [{{ name = \"big\", engines = 3, \
             memory = \"9G\", gpus = 2 }}, {{ name = \"small\", nodes = 2, engines_per_node = 4 }}]\n"
        ));
        let sets = options.first_sets(11);
        assert_eq!(sets.iter().map(|set| (set.first.0, set.count)).collect::<Vec<_>>(), [(0, 3), (3, 8)]);
        let [big, small] = [0, 1].map(|number| render(&options, &sets[number]).expect("a script").script);
        for line in ["--job-name=ipclusterz-lab-big", "--partition=p", "--mem=9G", "--gpus-per-node=2", "--ntasks=3"] {
            assert!(big.contains(&format!("#SBATCH {line}\n")), "{line}: {big}");
        }
        for line in ["--job-name=ipclusterz-lab-small", "--partition=p", "--mem=1G", "--nodes=2", "--ntasks=8"] {
            assert!(small.contains(&format!("#SBATCH {line}\n")), "{line}: {small}");
        }
        assert!(!small.contains("--gpus"), "{small}");
        assert!(small.contains(" --first-engine-id 3 --ranks 8 ") && small.contains(" --group small\n"), "{small}");
    }

    #[test]
    fn variables_have_names() {
        let mut options = options(SLURM);
        options.engines.env.insert("A B".to_owned(), String::new());
        let failure = render(&options, &set(1)).expect_err("a bad name");
        assert_eq!(failure.message, "engines.env: \"A B\" is not the name of a variable");
    }

    #[test]
    fn the_profiles_of_queues_are_whole() {
        let profiles = [
            SLURM,
            include_str!("../../../../profiles/pbs.toml"),
            include_str!("../../../../profiles/lsf.toml"),
            include_str!("../../../../profiles/sge.toml"),
            include_str!("../../../../profiles/htcondor.toml"),
        ];
        for profile in profiles {
            for more in ["", "array = true", "time_limit = \"90\"\nmemory = \"4G\"\ngpus = 2\npartition = \"p\""] {
                let mut options = options(profile);
                options.batch = self::options(&format!("[batch]\n{more}")).batch;
                options.check().expect(profile);
                super::super::answers::Reader::new(&options.queue).expect(profile);
                let script = render(&options, &set(4)).expect(profile).script;
                assert!(script.lines().all(|line| !line.contains("{}") && !line.contains("[[")), "{script}");
                for command in [&options.queue.submit, &options.queue.check] {
                    options.values(&set(4)).expect(profile).command(command, "queue.submit").expect(profile);
                }
            }
        }
    }

    /// Runs the whole script in a shell; its start command and Python only print what they were given.
    #[test]
    fn a_shell_runs_it() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let mut options = options(SLURM);
        options.batch.time_limit = "10".to_owned();
        options.queue.end_time = "false".to_owned();
        options.queue.start = vec!["/usr/bin/env".to_owned()];
        options.engines.wrap = vec!["A=b c".to_owned(), "sh".to_owned(), "-c".to_owned()];
        options.engines.wrap.push("pwd; echo \"$A|$VALUE|$IPCLUSTERZ_END_TIME|$*\"".to_owned());
        options.engines.env.insert("VALUE".to_owned(), "'\"; exit 7 #\\".to_owned());
        options.directory = folder.path().to_path_buf();
        let rendered = render(&options, &set(2)).expect("a script");
        let files = JobFiles::of(&crate::cluster::logs::LogFolder::at(folder.path().into()), set(2).id);
        rendered.write(&files).expect("write");
        rendered.write(&files).expect("write again");
        let output = Command::new("sh").arg(&files.script).output().expect("sh");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], folder.path().to_str().expect("UTF-8"), "{}", String::from_utf8_lossy(&output.stderr));
        let parts: Vec<&str> = lines[1].split('|').collect();
        assert_eq!(parts[..2], ["b c", "'\"; exit 7 #\\"]);
        let left = parts[2].parse::<i64>().expect("a time") - super::super::clock::now();
        assert!((590..=600).contains(&left), "{left}");
        assert!(parts[3].starts_with("-m ipclusterz.engine --connection-file"), "{}", parts[3]);
    }
}
