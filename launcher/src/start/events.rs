//! The order of events of a start: checks, the cluster's lock, a free name, and then the supervisor of a cluster on
//! this host or on another one.

use super::detached;
use super::parent::parent_to_follow;
use super::vacancy::{already_running, free_name};
use crate::arguments::{SettingsArguments, StartArguments};
use crate::remote;
use crate::supervisor::program::Program;
use crate::supervisor::run::{OnReady, Plan, Supervisor};
use crate::talk::Talk;
use ipclusterz_base::places;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::signals::BlockedSignals;
use ipclusterz_launchers::cluster::ClusterFolder;
use ipclusterz_launchers::cluster::handle::ClusterHandle;
use ipclusterz_launchers::cluster::lock::ClusterLock;
use ipclusterz_launchers::cluster::state::ClusterState;
use ipclusterz_launchers::maker::LauncherMaker;
use ipclusterz_profile::Places;
use ipclusterz_profile::environment::Variables;
use ipclusterz_profile::settings::StartSettings;
use std::io;
use std::path::PathBuf;
use std::time::Instant;

/// Starts a cluster and returns when it has ended. With a program, the cluster ends when the program exits.
pub fn supervise(
    arguments: &StartArguments,
    program: Option<Program>,
    variables: &Variables,
    talk: &mut Talk,
    on_ready: OnReady<'_>,
) -> Result<u8, Failure> {
    let started = Instant::now();
    let parent = parent_to_follow(arguments.exit_with_parent)?;
    let settings = settings(&arguments.settings, variables)?;
    let binary = binary()?;
    let elsewhere = !settings.tables.ssh.controller.is_empty();
    let maker = if elsewhere { None } else { Some(LauncherMaker::new(&settings, &binary)?) };

    let folder = ClusterFolder::of(&settings.cluster)?;
    places::refuse_foreign(&places::state_root()?)?;
    places::make_private_dir(folder.path())?;
    places::make_private_dir(folder.logs().path())?;
    let Some(_lock) = ClusterLock::take(&folder).map_err(cannot_lock)? else {
        return Err(already_running(&settings.cluster, &folder, &ClusterState::of(&folder)?));
    };
    free_name(&settings.cluster, &folder, talk)?;
    folder.logs().clear().map_err(Failure::io("removing the logs of an earlier run"))?;
    if arguments.report_descriptor.is_some() {
        detached::redirect_to_log(&folder.logs()).map_err(Failure::io("opening launcher.log"))?;
    }
    let signals = BlockedSignals::block().map_err(Failure::io("blocking signals"))?;
    let end_timeout = settings.tables.engines.end_timeout;
    let handle = ClusterHandle::starting(&settings.cluster, &settings.profile, settings.engines)?;
    let handle = ClusterHandle { end_timeout, ..handle };
    if let Some(base) = handle.socket_dir.parent() {
        places::make_private_dir(base)?;
    }
    let Some(mut maker) = maker else {
        let profile =
            remote::plan::profile_for(&arguments.settings.options(), variables, &Places::of_this_process(variables)?)?;
        let plan =
            remote::plan::Plan { settings: &settings, profile, folder, handle, binary, program, parent, started };
        return remote::supervise::supervise(plan, signals, talk, on_ready);
    };
    let python = maker.python().to_path_buf();
    let run_id = handle.run_id.clone();
    let mut make_launcher = |wake| maker.make(&folder, &run_id, wake);
    let (settings, folder, lease_file) = (&settings, folder.clone(), arguments.lease_file.clone());
    let plan = Plan {
        settings,
        folder,
        handle,
        binary,
        python,
        make_launcher: &mut make_launcher,
        program,
        parent,
        lease_file,
        started,
    };
    Supervisor::new(plan, signals, talk)?.run(on_ready)
}

fn cannot_lock(error: io::Error) -> Failure {
    Failure::io("locking the cluster's folder")(error).with_hint(places::STATE_HINT)
}

/// Merges and checks the settings of the command line, the variables and the profile.
pub fn settings(arguments: &SettingsArguments, variables: &Variables) -> Result<StartSettings, Failure> {
    let places = Places::of_this_process(variables)?;
    Ok(StartSettings::new(arguments.cluster.as_deref(), &arguments.options(), variables, &places)?)
}

/// The path of this binary, which is also the controller.
pub fn binary() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(Failure::io("finding the ipclusterz program"))
}
