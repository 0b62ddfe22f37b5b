//! The order of events of a start: checks, the cluster's lock, a free name, and then the supervisor of a cluster on
//! this host or on another one.

use super::claim::claim;
use super::detached;
use super::parent::parent_to_follow;
use super::vacancy::take_name;
use crate::arguments::{SettingsArguments, StartArguments};
use crate::remote;
use crate::supervisor::program::Program;
use crate::supervisor::run::{OnReady, Plan, Supervisor};
use crate::talk::{Message, Talk};
use ipclusterz_base::places;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::signals::BlockedSignals;
use ipclusterz_host::stderr::{self, print_line};
use ipclusterz_launchers::cluster::alive::Hold;
use ipclusterz_launchers::cluster::handle::ClusterHandle;
use ipclusterz_launchers::cluster::lock::ClusterLock;
use ipclusterz_launchers::cluster::{ClusterFolder, ended, outcome};
use ipclusterz_launchers::maker::LauncherMaker;
use ipclusterz_profile::Places;
use ipclusterz_profile::environment::Variables;
use ipclusterz_profile::settings::StartSettings;
use ipclusterz_profile::tables::logs::KeepLogs;
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
    if elsewhere && arguments.no_wait {
        let message = "--no-wait: with ssh.controller this command looks after the cluster, and ends it when it goes";
        return Err(Failure::new(Exit::Usage, message).with_hint("--daemonize, or --no-wait on that host itself"));
    }
    let maker = if elsewhere { None } else { Some(LauncherMaker::new(&settings, &binary)?) };

    let folder = ClusterFolder::of(&settings.cluster)?;
    let lock = take_name(&settings.cluster, &folder, talk)?;
    let claimed = Claimed { folder: folder.clone(), lock, keep: settings.tables.logs.keep };
    let choice = arguments.journal();
    if !elsewhere {
        claim(choice, &settings, &folder, talk)?;
    }
    places::make_private_dir(folder.logs().path())?;
    folder.logs().clear().map_err(Failure::io("removing the logs of an earlier run"))?;
    // What cannot be removed now is tried again at the next start.
    let _ = ended::prune(&settings.tables.logs, Some(&settings.cluster), false);
    let detached = arguments.report_descriptor.is_some();
    if detached {
        detached::redirect_to_log(&folder.logs()).map_err(Failure::io("opening the launcher's log"))?;
    }
    // What else standard error may be is somebody else's file.
    stderr::never_wait(settings.tables.logs.limit().filter(|_| detached))
        .map_err(Failure::io("starting the thread of the log"))?;
    let signals = BlockedSignals::block().map_err(Failure::io("blocking signals"))?;
    let handle = ClusterHandle {
        end_timeout: settings.tables.engines.end_timeout,
        owned: program.is_some() || parent.is_some(),
        ..ClusterHandle::starting(&settings.cluster, &settings.profile, settings.engines)?
    };
    let hold = Hold::new(&folder, &handle.run_id, &claimed.lock)?;
    if let Some(base) = handle.socket_dir.parent() {
        places::make_private_dir(base)?;
    }
    let Some(mut maker) = maker else {
        let profile =
            remote::plan::profile_for(&arguments.settings.options(), variables, &Places::of_this_process(variables)?)?;
        let plan = remote::plan::Plan {
            settings: &settings,
            profile,
            folder,
            handle,
            hold,
            binary,
            program,
            journal: choice,
            parent,
            started,
        };
        let with_program = plan.program.is_some();
        let result = remote::supervise::supervise(plan, signals, talk, on_ready);
        claimed.tell(&result, detached, talk);
        claimed.leave_logs(is_well(&result, with_program));
        return result;
    };
    let python = maker.python().to_path_buf();
    let run_id = handle.run_id.clone();
    let mut make_launcher = |wake| maker.make(&folder, &run_id, wake);
    let (settings, folder, lease_file) = (&settings, folder.clone(), arguments.lease_file.clone());
    let plan = Plan {
        settings,
        folder,
        handle,
        hold,
        binary,
        python,
        make_launcher: &mut make_launcher,
        program,
        resume: choice.takes_up(),
        parent,
        lease_file,
        no_wait: arguments.no_wait,
        started,
    };
    let with_program = plan.program.is_some();
    let mut supervisor = Supervisor::new(plan, signals, talk)?;
    let result = supervisor.run(on_ready);
    let well = is_well(&result, with_program) && !supervisor.has_lost_engines();
    // Its guard ends with it, and looks into the folder.
    drop(supervisor);
    claimed.tell(&result, detached, talk);
    claimed.leave_logs(well);
    result
}

/// Whether a cluster, and its program if there was one, ended as they should.
fn is_well(result: &Result<u8, Failure>, with_program: bool) -> bool {
    result.as_ref().is_ok_and(|code| !with_program || *code == Exit::Ok.code())
}

/// The folder of a cluster, which this process has locked.
struct Claimed {
    folder: ClusterFolder,
    lock: ClusterLock,
    keep: KeepLogs,
}

impl Claimed {
    /// Tells who started a cluster in the background why it has failed; keeps that, if nobody hears it.
    fn tell(&self, result: &Result<u8, Failure>, detached: bool, talk: &mut Talk) {
        if let Err(failure) = result
            && detached
            && !talk.conclude(&Message::Failed(failure.clone()))
        {
            // The launcher's log has it too.
            let _ = outcome::write(&self.folder.logs(), failure);
        }
    }

    /// For a cluster that has ended: keeps the folder for its logs, or removes it.
    fn leave_logs(self, well: bool) {
        let keeps = match self.keep {
            KeepLogs::All => true,
            KeepLogs::Failures => !well,
            KeepLogs::None => false,
        };
        if !keeps && let Err(error) = ended::remove(&self.folder, self.lock) {
            print_line(&format!("the logs of the cluster stay: {error}"));
        }
    }
}

/// Merges and checks the settings of the command line, the variables and the profile.
pub fn settings(arguments: &SettingsArguments, variables: &Variables) -> Result<StartSettings, Failure> {
    let places = Places::of_this_process(variables)?;
    let mut settings = StartSettings::new(arguments.cluster.as_deref(), &arguments.options(), variables, &places)?;
    settings.python = settings.python.or_else(|| arguments.default_python.clone());
    Ok(settings)
}

/// The path of this binary, which is also the controller.
pub fn binary() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(Failure::io("finding the ipclusterz program"))
}
