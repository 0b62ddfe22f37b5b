//! Makes the launcher that a profile asks for, from its settings. Starts no engine.

use crate::batch;
use crate::batch::launcher::BatchLauncher;
use crate::batch::options::BatchOptions;
use crate::cluster::ClusterFolder;
use crate::contract::{Launcher, Wake};
use crate::engine_words;
use crate::local::engines::LocalEngines;
use crate::local::fork::ForkLauncher;
use crate::local::spawn::SpawnLauncher;
use crate::program::engine::EngineCommand;
use crate::program::launcher::{ProgramLauncher, ProgramSettings, Starter};
use crate::program::said::Causes;
use crate::seats::Seat;
use crate::set::EngineSet;
use crate::setup::{self, Setup};
use crate::ssh::SshLauncher;
use crate::stage::order::Secret;
use crate::stage::words::{before_engines, order_of_jobs};
use ipclusterz_base::places;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::{limits, python};
use ipclusterz_profile::settings::StartSettings;
use ipclusterz_profile::tables::engines::{EnginesTable, LauncherKind};
use ipclusterz_profile::tables::stage::Stage;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Timeout of the queue's command that tells when the surrounding job ends.
const END_TIME_PATIENCE: Duration = Duration::from_secs(10);

/// Checks what can be checked before anything is started, and makes the launcher once the controller listens.
pub struct LauncherMaker<'a> {
    settings: &'a StartSettings,
    python: PathBuf,
    starter: Option<Starter>,
}

impl<'a> LauncherMaker<'a> {
    /// Checks the settings against this host. `binary` is the path of this program. May run mpiexec to ask for its
    /// version.
    pub fn new(settings: &'a StartSettings, binary: &Path) -> Result<Self, Failure> {
        let tables = &settings.tables;
        setup::check(&tables.engines.setup)?;
        let starter = match tables.engines.launcher {
            LauncherKind::Local => {
                limits::check(settings.engines, &limits::of_this_host(settings.engines))?;
                None
            }
            LauncherKind::Mpiexec => Some(Starter::mpiexec(&tables.mpiexec)?),
            LauncherKind::Ssh | LauncherKind::Batch => None,
        };
        let search_path = std::env::var_os("PATH");
        let python = match (tables.engines.launcher, &settings.python) {
            // Whether the file exists matters on the other hosts alone.
            (LauncherKind::Ssh | LauncherKind::Batch, Some(python)) if python.contains('/') => PathBuf::from(python),
            (_, python) => python::find(python.as_deref(), binary, search_path.as_deref())?,
        };
        if matches!(tables.engines.launcher, LauncherKind::Ssh | LauncherKind::Batch) {
            refuse_bytes("the Python of the engines", "engines.python", &python)?;
            refuse_bytes("the working folder", "engines.directory", &directory(settings)?)?;
        }
        Ok(Self { settings, python, starter })
    }

    /// The Python of the engines, for messages.
    pub fn python(&self) -> &Path {
        &self.python
    }

    /// Makes the launcher. `run_id` names this run of the cluster.
    pub fn make(&mut self, folder: &ClusterFolder, run_id: &str, wake: Wake) -> Result<Box<dyn Launcher>, Failure> {
        let python = self.python.clone();
        let settings = self.settings;
        let engines = &settings.tables.engines;
        let setup = Setup::in_login_shell(&engines.setup, folder.setup_file(), folder.logs());
        setup.as_ref().map_or(Ok(()), |setup| setup.write(&engines.env))?;
        Ok(match settings.tables.engines.launcher {
            LauncherKind::Local => {
                let local = LocalEngines::new(folder.logs(), folder.engine_file(), python, setup, settings);
                // What is put before an engine is put before its interpreter.
                if engines.fork && engines.wrap.is_empty() {
                    Box::new(ForkLauncher::new(local, wake))
                } else {
                    Box::new(SpawnLauncher::new(local))
                }
            }
            LauncherKind::Mpiexec => {
                let again = || Starter::mpiexec(&settings.tables.mpiexec);
                let starter = self.starter.take().map_or_else(again, Ok)?;
                Box::new(ProgramLauncher::new(self.program_settings(folder, run_id, starter, setup)?))
            }
            LauncherKind::Ssh => {
                let run = format!("{}-{run_id}", settings.cluster);
                Box::new(SshLauncher::new(folder, &run, &python, settings, wake)?)
            }
            LauncherKind::Batch => {
                write_stage_order(settings, &self.python, folder)?;
                let options = batch_options(settings, &self.python, folder)?;
                if batch::inside::job_id(&options.queue).is_none() {
                    return Ok(Box::new(BatchLauncher::new(options, wake)?));
                }
                options.check()?;
                let template = options.queue.start.clone();
                // Its shell has had its login.
                let setup = options.setup();
                let make = move |set: &EngineSet| batch::inside::prefixes(&options, set);
                let starter = Starter::Prefix { make: Box::new(make), template };
                Box::new(ProgramLauncher::new(self.program_settings(folder, run_id, starter, setup)?))
            }
        })
    }

    /// The settings of a launcher that starts its ranks by mpiexec, or by a queue's start command inside a job.
    fn program_settings(
        &self,
        folder: &ClusterFolder,
        run_id: &str,
        starter: Starter,
        setup: Option<Setup>,
    ) -> Result<ProgramSettings, Failure> {
        let tables = &self.settings.tables;
        let in_job = matches!(starter, Starter::Prefix { .. });
        let mut environment = self.settings.engine_environment.clone();
        if in_job && let Some(end) = batch::inside::end_time(&tables.queue, END_TIME_PATIENCE) {
            environment.insert("IPCLUSTERZ_END_TIME".to_owned(), end.to_string());
        }
        let command = EngineCommand {
            wrap: wrap(self.settings, &self.python, folder),
            setup,
            python: self.python.clone(),
            connection_file: folder.engine_file(),
            lease: Some(tables.engines.lease),
            end_timeout: tables.engines.end_timeout,
            timeout: engine_words::timeout(self.settings.timeout.as_secs_f64()),
            // The ranks know themselves which of them share a host.
            shares: engine_words::of_host(
                &tables.engines,
                if in_job { tables.batch.cores_per_engine } else { 0 },
                Seat::ALONE,
            ),
            one_parent: in_job && tables.queue.start.is_empty(),
            fork: tables.engines.fork,
            agent: tables.engines.agent,
            preload: engine_words::preload(&tables.engines.preload),
            check_world: if in_job { tables.batch.check_world } else { tables.mpiexec.check_world },
            on_rank_loss: tables.engines.on_rank_loss,
            says_end: false,
        };
        Ok(ProgramSettings {
            starter,
            command,
            // Names, not patterns, and without duplicates: the variables of `environment` are passed anyway.
            pass: self
                .settings
                .passed_environment()
                .into_keys()
                .filter(|name| !environment.contains_key(name))
                .collect(),
            environment,
            directory: directory(self.settings)?,
            logs: folder.logs(),
            // Private, on a disk of this host, and removed with the cluster.
            scratch: places::run_dirs(&self.settings.cluster, run_id)?.socket_dir,
            run_id: run_id.to_owned(),
            causes: Causes::new(&tables.queue.causes)?,
        })
    }
}

/// The options that jobs are made from; also for `--print-script` and `profile check`, which start nothing.
pub fn batch_options(settings: &StartSettings, python: &Path, folder: &ClusterFolder) -> Result<BatchOptions, Failure> {
    let tables = &settings.tables;
    let environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let engines = EnginesTable { wrap: wrap(settings, python, folder), ..tables.engines.clone() };
    Ok(BatchOptions {
        cluster: settings.cluster.clone(),
        batch: tables.batch.clone(),
        queue: tables.queue.clone(),
        engines,
        python: python.to_path_buf(),
        directory: directory(settings)?,
        engine_file: folder.engine_file(),
        setup_file: folder.setup_file(),
        logs: folder.logs(),
        environment: environment.collect(),
    })
}

/// The words before the Python of engines in jobs.
fn wrap(settings: &StartSettings, python: &Path, folder: &ClusterFolder) -> Vec<String> {
    let engines = &settings.tables.engines;
    let mut words = Vec::new();
    if engines.launcher == LauncherKind::Batch && engines.stage != Stage::Off {
        words = before_engines(python, &folder.stage_file());
    }
    words.extend(engines.wrap.iter().cloned());
    words
}

/// Writes what hosts of jobs are told about the environment of engines, if they are to have it on their disks.
fn write_stage_order(settings: &StartSettings, python: &Path, folder: &ClusterFolder) -> Result<(), Failure> {
    let stage = &settings.tables.engines.stage;
    if *stage == Stage::Off {
        return Ok(());
    }
    let no_key = || Failure::new(Exit::Failure, "the kernel gives no random bytes for a key");
    let secret = Secret::new().ok_or_else(no_key)?;
    let order = order_of_jobs(python, stage.archive(), secret, &folder.engine_file(), &folder.stage_meeting());
    Ok(places::write_private(&folder.stage_file(), &serde_json::to_vec(&order).unwrap_or_default())?)
}

/// Refuses a path that cannot stand in a script for another host or a job.
fn refuse_bytes(what: &str, key: &str, path: &Path) -> Result<(), Failure> {
    if path.to_str().is_some() {
        return Ok(());
    }
    let message = format!("{what}, {path:?}, is not UTF-8 text, as scripts for other hosts and jobs are");
    Err(Failure::new(Exit::Usage, message).with_hint(format!("name another one in {key} of the profile")))
}

/// The working directory of the engines, as an absolute path.
fn directory(settings: &StartSettings) -> Result<PathBuf, Failure> {
    let wanted = &settings.tables.engines.directory;
    if wanted.is_empty() {
        return std::env::current_dir().map_err(Failure::io("finding the working directory"));
    }
    std::path::absolute(wanted)
        .map_err(|error| Failure::new(Exit::Usage, format!("engines.directory = {wanted:?}: {error}")))
}
