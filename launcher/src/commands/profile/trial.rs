//! `ipclusterz profile check --run`: a start with one engine, whose command is preceded by a trial of what it needs. What is
//! tried, and what the answers mean, is in [`crate::doctor::job`].
//!
//! It is a cluster as any other, with a name of its own: Ctrl-C, deadlines and whoever cleans up after a process that was
//! killed are those of a start.

use crate::arguments::{ProfileCheckArguments, SettingsArguments, StartArguments};
use crate::doctor::job::{Trial, queue_timeout};
use crate::report::finding::Finding;
use crate::start::events::supervise;
use crate::talk::Talk;
use ipclusterz_base::places;
use ipclusterz_base::private;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_launchers::cluster::lock::ClusterLock;
use ipclusterz_launchers::cluster::{ClusterFolder, ended};
use ipclusterz_profile::Profile;
use ipclusterz_profile::environment::Variables;
use ipclusterz_profile::tables::engines::LauncherKind;
use std::path::Path;

/// Starts one engine with the profile, and returns what was found on its host. Fails when it was interrupted.
pub fn run(
    arguments: &ProfileCheckArguments,
    profile: &Profile,
    python: &Path,
    variables: &Variables,
) -> Result<Vec<Finding>, Failure> {
    let tables = &profile.tables;
    let name = format!("check-{}", places::random_hex(4));
    let folder = ClusterFolder::of(&name)?;
    let answers = folder.probe_file();
    let trial = Trial {
        wrap: &tables.engines.wrap,
        python: &python.to_string_lossy(),
        setup: tables.engines.setup.len(),
        in_job: tables.engines.launcher == LauncherKind::Batch,
        mpi: match tables.engines.launcher {
            LauncherKind::Mpiexec => tables.mpiexec.check_world,
            LauncherKind::Batch => tables.batch.check_world,
            LauncherKind::Local | LauncherKind::Ssh => false,
        },
        folder: folder.path(),
        answers: &answers,
    };
    if tables.engines.launcher == LauncherKind::Ssh {
        let outcome = start(arguments, &name, one_engine(profile, None), variables);
        remove(&folder);
        return Ok(vec![of_ssh(outcome)?]);
    }
    // Before the job starts: NFS remembers for up to a minute that a file does not exist.
    places::make_private_dir(folder.path())?;
    private::write_private(&answers, b"")?;
    let outcome = start(arguments, &name, one_engine(profile, Some(&trial.words())), variables);
    let said = std::fs::read(&answers).unwrap_or_default();
    remove(&folder);
    match outcome {
        Err(failure) if failure.exit() == Exit::Interrupted => Err(failure),
        outcome => Ok(trial.findings(&String::from_utf8_lossy(&said), &outcome)),
    }
}

/// The settings that make one engine of a profile, with `words` before its command.
fn one_engine(profile: &Profile, words: Option<&[String]>) -> Vec<String> {
    let tables = &profile.tables;
    let mut set =
        vec!["engines.count=1".to_owned(), "engines.restart=false".to_owned(), "engines.retries=0".to_owned()];
    set.push("logs.keep=\"all\"".to_owned());
    if let Some(words) = words {
        set.push(format!("engines.wrap={}", toml::Value::from(words.to_vec())));
    }
    if tables.engines.launcher == LauncherKind::Batch {
        set.extend(["batch.blocks.max=0", "batch.blocks.min=0", "batch.renew=false"].map(str::to_owned));
        set.push(format!("batch.nodes={}", tables.batch.nodes.min(1)));
        set.push(format!("batch.engines_per_node={}", tables.batch.engines_per_node.min(1)));
        set.push(format!("batch.queue_timeout={:?}", queue_timeout(&tables.batch)));
    }
    set
}

/// Starts the cluster, and ends it as soon as its engine is there.
fn start(
    arguments: &ProfileCheckArguments,
    name: &str,
    set: Vec<String>,
    variables: &Variables,
) -> Result<crate::report::StartReport, Failure> {
    let settings = SettingsArguments {
        profile: arguments.profile.clone(),
        set: arguments.set.iter().cloned().chain(set).collect(),
        cluster: Some(name.to_owned()),
        ..SettingsArguments::default()
    };
    let start = StartArguments { settings, ..StartArguments::default() };
    let mut there = None;
    let ended = supervise(&start, None, variables, &mut Talk::on_stderr(), &mut |report, _| {
        there = Some(report.clone());
        Err(Failure::new(Exit::Ok, "all that was wanted is known"))
    });
    match (there, ended) {
        (Some(report), _) => Ok(report),
        (None, Err(failure)) => Err(failure),
        (None, Ok(_)) => Err(Failure::new(Exit::Interrupted, "ended before the engine was ready")),
    }
}

fn of_ssh(outcome: Result<crate::report::StartReport, Failure>) -> Result<Finding, Failure> {
    match outcome {
        Ok(report) => {
            let host = report.engines.first().map(|engine| engine.host.clone()).unwrap_or_default();
            Ok(Finding::ok("way back", format!("the engine on {host} has registered with the controller")))
        }
        Err(failure) if failure.exit() == Exit::Interrupted => Err(failure),
        Err(failure) => Ok(Finding::of_failure("way back", failure)),
    }
}

/// Removes what is left of the cluster: its folder. One that has something in it which was not ended stays, for `gc`.
fn remove(folder: &ClusterFolder) {
    if let Ok(Some(lock)) = ClusterLock::take(folder) {
        let _ = ended::remove(folder, lock);
    }
}
