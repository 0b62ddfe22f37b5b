//! `ipclusterz start`: checks everything that can be checked, then hands over to the supervisor.

use super::is_a_tunnel;
use crate::arguments::StartArguments;
use crate::batch;
use crate::cluster::ClusterFolder;
use crate::cluster::cleanup::remove_remains;
use crate::cluster::handle::{ClusterHandle, HANDLE_VERSION, Phase};
use crate::cluster::identity::{self, Fate, ProcessIdentity};
use crate::cluster::lock::ClusterLock;
use crate::cluster::state::ClusterState;
use crate::cluster::tunnel::TunnelRecord;
use crate::daemon;
use crate::environment::Variables;
use crate::exit_code::Exit;
use crate::failure::Failure;
use crate::launchers::maker::{LauncherMaker, batch_options};
use crate::launchers::{EngineSet, SetId};
use crate::output::Output;
use crate::profile::Places;
use crate::remote;
use crate::report::{ScriptReport, StartReport};
use crate::settings::StartSettings;
use crate::ssh::asker;
use crate::supervisor::lease;
use crate::supervisor::program::Program;
use crate::supervisor::run::{OnReady, Plan, Supervisor};
use crate::supervisor::signals::BlockedSignals;
use crate::system;
use crate::tables::engines::LauncherKind;
use crate::talk::{Message, Talk, print_line};
use ipclusterz_runtime::ids::EngineId;
use ipclusterz_runtime::places;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Starts a cluster, in the foreground until it ends or detached until it is ready. `raw` is the command line.
pub fn run(
    arguments: &StartArguments,
    raw: &[OsString],
    variables: &Variables,
    output: &mut Output,
) -> Result<u8, Failure> {
    if arguments.print_script {
        output.report(&script(arguments, variables)?)?;
        return Ok(Exit::Ok.code());
    }
    if let Some(descriptor) = arguments.report_descriptor {
        return run_detached(arguments, descriptor, variables);
    }
    if !arguments.daemonize {
        let mut talk = Talk::on_stderr();
        return supervise(arguments, None, variables, &mut talk, &mut |report, talk| {
            say_how_to_connect(report, talk, true);
            output.report_if_json(report)
        });
    }
    let report = daemon::start_detached(&binary()?, raw)?;
    if arguments.lease_file.is_none() {
        print_line(&format!(
            "the cluster goes on in the background; `ipclusterz stop{}` ends it",
            cluster_option(&report.cluster)
        ));
    }
    output.report_if_json(&report)?;
    Ok(Exit::Ok.code())
}

/// The detached launcher: its starter hears of everything until the cluster is ready, its log from then on.
fn run_detached(arguments: &StartArguments, descriptor: i32, variables: &Variables) -> Result<u8, Failure> {
    let pipe = system::adopt_descriptor(descriptor).map_err(Failure::io("taking over --report-descriptor"))?;
    let pipe = Arc::new(Mutex::new(pipe.into()));
    asker::ask_starter(Arc::clone(&pipe));
    let mut talk = Talk::with_starter(pipe);
    let result = supervise(arguments, None, variables, &mut talk, &mut |report, talk| {
        if arguments.lease_file.is_none() {
            say_how_to_connect(report, talk, false);
        }
        talk.conclude(&Message::Ready(Box::new(report.clone())));
        Ok(())
    });
    if let Some(file) = &arguments.lease_file {
        lease::leave_word(file, &result);
    }
    if let Err(failure) = &result {
        talk.conclude(&Message::Failed(failure.clone()));
    }
    result
}

/// For `--print-script`: what a queue would be given.
fn script(arguments: &StartArguments, variables: &Variables) -> Result<ScriptReport, Failure> {
    let settings = StartSettings::new(arguments, variables, &Places::of_this_process(variables)?)?;
    let launcher = settings.tables.engines.launcher;
    if launcher != LauncherKind::Batch {
        let message = format!("--print-script: engines.launcher is {:?}, which has no jobs", launcher.word());
        return Err(Failure::new(Exit::Usage, message).with_hint("for example: --profile slurm"));
    }
    let maker = LauncherMaker::new(&settings, &binary()?)?;
    let options = batch_options(&settings, maker.python(), &ClusterFolder::of(&settings.cluster)?)?;
    options.check()?;
    let count = settings.engines_per_block().unwrap_or(settings.engines);
    let rendered = batch::script::render(&options, &EngineSet { id: SetId(0), first: EngineId(0), count })?;
    Ok(ScriptReport { script: rendered.script, description: rendered.description })
}

/// Starts a cluster and stays until it has ended; with a program, until that has.
pub(super) fn supervise(
    arguments: &StartArguments,
    program: Option<Program>,
    variables: &Variables,
    talk: &mut Talk,
    on_ready: OnReady<'_>,
) -> Result<u8, Failure> {
    let started = Instant::now();
    let parent = parent_to_follow(arguments.exit_with_parent)?;
    let settings = StartSettings::new(arguments, variables, &Places::of_this_process(variables)?)?;
    let binary = binary()?;
    let elsewhere = !settings.tables.ssh.controller.is_empty();
    let maker = if elsewhere { None } else { Some(LauncherMaker::new(&settings, &binary)?) };

    let folder = ClusterFolder::of(&settings.cluster)?;
    places::make_private_dir(folder.path())?;
    places::make_private_dir(folder.logs().path())?;
    let Some(_lock) = ClusterLock::take(&folder).map_err(Failure::io("locking the cluster's folder"))? else {
        return Err(already_running(&settings.cluster, &folder, &ClusterState::of(&folder)?));
    };
    clear_the_way(&settings.cluster, &folder, talk)?;
    folder.logs().clear().map_err(Failure::io("removing the logs of an earlier run"))?;
    if arguments.report_descriptor.is_some() {
        daemon::redirect_to_log(&folder.logs()).map_err(Failure::io("opening launcher.log"))?;
    }
    let signals = BlockedSignals::block().map_err(Failure::io("blocking signals"))?;
    let handle = new_handle(&settings)?;
    let Some(mut maker) = maker else {
        let profile = remote::profile_for(arguments, variables, &Places::of_this_process(variables)?)?;
        let plan = remote::Plan { settings: &settings, profile, folder, handle, binary, program, parent, started };
        return remote::supervise(plan, signals, talk, on_ready);
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

/// For `--exit-with-parent`: has the kernel tell when the parent is gone.
pub(super) fn parent_to_follow(wanted: bool) -> Result<Option<u32>, Failure> {
    if !wanted {
        return Ok(None);
    }
    let parent = system::parent_pid();
    system::signal_when_parent_ends(libc::SIGUSR1).map_err(Failure::io("asking to be told of the parent's end"))?;
    // It may have ended before the kernel was asked.
    if parent == 1 || system::parent_pid() != parent {
        return Err(Failure::new(Exit::Interrupted, "the process that started this one is gone already"));
    }
    Ok(Some(parent))
}

/// This binary, which also is the controller.
fn binary() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(Failure::io("finding the ipclusterz program"))
}

/// With the lock held: removes what a dead launcher left, and refuses when the cluster is alive on another host.
fn clear_the_way(name: &str, folder: &ClusterFolder, talk: &mut Talk) -> Result<(), Failure> {
    match ClusterState::of(folder)? {
        ClusterState::Absent => match TunnelRecord::read(folder)? {
            None => Ok(()),
            Some(record) if record.owner.fate() == Fate::Gone => {
                record.remove_remains(folder)?;
                talk.say(format!("{name:?} was a tunnel {}, whose process is gone", record.where_to()));
                Ok(())
            }
            Some(_) => Err(already_running(name, folder, &ClusterState::Absent)),
        },
        ClusterState::Stale(handle) => {
            let cleaned = remove_remains(folder, &handle)?;
            let killed = match cleaned.killed.len() {
                0 => String::new(),
                count => format!(", {count} of its processes still ran and were killed"),
            };
            let ended =
                if cleaned.ended.is_empty() { String::new() } else { format!(", ended {}", cleaned.ended.join(", ")) };
            talk.say(format!(
                "cluster {name:?} was stale: its launcher (pid {}) is gone{killed}{ended}",
                handle.launcher.pid
            ));
            Ok(())
        }
        // A live one holds the lock, unless its file system has no locks; that is caught here.
        state => Err(already_running(name, folder, &state)),
    }
}

fn already_running(name: &str, folder: &ClusterFolder, state: &ClusterState) -> Failure {
    let Some(handle) = state.handle() else {
        if let Ok(Some(record)) = TunnelRecord::read(folder) {
            let failure = is_a_tunnel(name, &record);
            return Failure::new(Exit::AlreadyRunning, failure.message)
                .with_hint(format!("choose another name with --cluster NAME; {}", failure.hint.unwrap_or_default()));
        }
        return Failure::new(
            Exit::AlreadyRunning,
            format!("cluster {name:?} is being started or stopped by another ipclusterz"),
        )
        .with_hint("try again in a moment, or choose another name with --cluster NAME");
    };
    let message =
        format!("cluster {name:?} is {} on {} (launcher pid {})", state.word(), handle.host, handle.launcher.pid);
    match state {
        ClusterState::Elsewhere(handle) => Failure::new(Exit::AlreadyRunning, message.replace("elsewhere", "running"))
            .with_hint(format!(
                "choose another name with --cluster NAME, or stop it there; should {} be gone for good, remove {}",
                handle.host,
                ClusterFolder::of(name).map(|folder| folder.handle_file().display().to_string()).unwrap_or_default()
            )),
        _ => Failure::new(Exit::AlreadyRunning, message).with_hint(format!(
            "choose another name with --cluster NAME, or stop it: `ipclusterz stop{}`",
            cluster_option(name)
        )),
    }
}

fn new_handle(settings: &StartSettings) -> Result<ClusterHandle, Failure> {
    let run_id = places::random_hex(4);
    let places::RunDirs { socket_dir, shared_memory_dir } = places::run_dirs(&settings.cluster, &run_id)?;
    Ok(ClusterHandle {
        version: HANDLE_VERSION,
        cluster: settings.cluster.clone(),
        run_id,
        phase: Phase::Starting,
        host: places::host_name(),
        boot_id: identity::boot_id(),
        started: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        profile: settings.profile.clone(),
        engines_wanted: settings.engines,
        launcher: ProcessIdentity::of(std::process::id()).map_err(Failure::io("reading /proc/self/stat"))?,
        controller: None,
        sets: Vec::new(),
        socket_dir,
        shared_memory_dir,
    })
}

/// `--cluster NAME` as the user has to type it, unless it is the default.
fn cluster_option(name: &str) -> String {
    if name == places::DEFAULT_CLUSTER { String::new() } else { format!(" --cluster {name}") }
}

fn say_how_to_connect(report: &StartReport, talk: &mut Talk, foreground: bool) {
    let count = report.engines.len();
    let ending = if foreground { "; Ctrl-C stops all" } else { "" };
    talk.say(format!(
        "cluster {:?}: {count} engine{} ready in {:.2} s{ending}",
        report.cluster,
        if count == 1 { "" } else { "s" },
        report.seconds
    ));
    let argument =
        if report.cluster == places::DEFAULT_CLUSTER { String::new() } else { format!("{:?}", report.client_file) };
    talk.say(format!("connect:  from ipclusterz import client; rc = client.Client({argument})"));
    talk.say(format!("file:     {}", report.client_file.display()));
}
