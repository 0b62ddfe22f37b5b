//! `ipclusterz start`: in the foreground, detached, or only printing the script of a job.

use crate::arguments::StartArguments;
use crate::clusters::cluster_option;
use crate::output::Output;
use crate::report::{ScriptReport, StartReport};
use crate::start::detached::{self, Detached};
use crate::start::events::{binary, settings, supervise};
use crate::start::given::read_settings;
use crate::supervisor::lease;
use crate::talk::{Message, Talk, ask_starter};
use ipclusterz_base::places;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::stderr::print_line;
use ipclusterz_host::system;
use ipclusterz_launchers::batch;
use ipclusterz_launchers::cluster::ClusterFolder;
use ipclusterz_launchers::maker::{LauncherMaker, batch_options};
use ipclusterz_profile::environment::Variables;
use ipclusterz_profile::tables::engines::LauncherKind;
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};

/// Starts a cluster. Returns when it has ended, or, if it is detached, when it is ready. `raw` is the command line.
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
    if arguments.talk_on_stdio {
        return run_for_program(arguments, variables);
    }
    if !arguments.daemonize && !arguments.no_wait {
        let mut talk = Talk::on_stderr();
        return supervise(arguments, None, variables, &mut talk, &mut |report, talk| {
            say_how_to_connect(report, talk, true);
            output.report_if_json(report)
        });
    }
    let report = match detached::start_detached(&binary()?, raw)? {
        Detached::Ready(report) => report,
        Detached::Accepted(report) => {
            output.report(&report)?;
            return Ok(Exit::Ok.code());
        }
    };
    if arguments.lease_file.is_none() {
        print_line(&format!(
            "the cluster goes on in the background; `ipclusterz stop{}` ends it",
            cluster_option(&report.cluster)
        ));
    }
    output.report_if_json(&report)?;
    Ok(Exit::Ok.code())
}

/// The detached launcher. Until the cluster is ready it reports to the process that started it, then to its log alone.
fn run_detached(arguments: &StartArguments, descriptor: i32, variables: &Variables) -> Result<u8, Failure> {
    let pipe = system::adopt_descriptor(descriptor).map_err(Failure::io("taking over --report-descriptor"))?;
    let result = run_for_starter(arguments, pipe.into(), arguments.lease_file.is_none(), variables);
    if let Some(file) = &arguments.lease_file {
        lease::write_outcome(file, &result);
    }
    result
}

/// `--talk-on-stdio`: for a program that shows the progress and answers the questions.
fn run_for_program(arguments: &StartArguments, variables: &Variables) -> Result<u8, Failure> {
    let stdout = std::io::stdout().as_fd().try_clone_to_owned().map_err(Failure::io("taking over standard output"))?;
    let mut arguments = arguments.clone();
    arguments.settings.set.extend(read_settings()?);
    run_for_starter(&arguments, stdout.into(), false, variables)
}

/// Starts a cluster, and reports to the process that started this one until the cluster is ready.
fn run_for_starter(
    arguments: &StartArguments,
    pipe: File,
    say_how: bool,
    variables: &Variables,
) -> Result<u8, Failure> {
    let pipe = Arc::new(Mutex::new(pipe));
    ask_starter(Arc::clone(&pipe));
    let mut talk = Talk::with_starter(pipe);
    let result = supervise(arguments, None, variables, &mut talk, &mut |report, talk| {
        if say_how {
            say_how_to_connect(report, talk, false);
        }
        talk.conclude(&Message::Ready(Box::new(report.clone())));
        Ok(())
    });
    if let Err(failure) = &result {
        talk.conclude(&Message::Failed(failure.clone()));
    }
    result
}

/// `--print-script`: the script that a queue would be given; of groups, one for each, one behind the other.
fn script(arguments: &StartArguments, variables: &Variables) -> Result<ScriptReport, Failure> {
    let settings = settings(&arguments.settings, variables)?;
    let launcher = settings.tables.engines.launcher;
    if launcher != LauncherKind::Batch {
        let message = format!("--print-script: engines.launcher is {:?}, which has no jobs", launcher.word());
        return Err(Failure::new(Exit::Usage, message).with_hint("for example: --profile slurm"));
    }
    let maker = LauncherMaker::new(&settings, &binary()?)?;
    let options = batch_options(&settings, maker.python(), &ClusterFolder::of(&settings.cluster)?)?;
    options.check()?;
    let sets = options.first_sets(settings.engines);
    let rendered = sets.iter().map(|set| batch::script::render(&options, set)).collect::<Result<Vec<_>, _>>()?;
    let scripts: Vec<&str> = rendered.iter().map(|job| job.script.as_str()).collect();
    let descriptions: Vec<&str> = rendered.iter().filter_map(|job| job.description.as_deref()).collect();
    let description = (!descriptions.is_empty()).then(|| descriptions.join("\n"));
    Ok(ScriptReport { script: scripts.join("\n"), description })
}

fn say_how_to_connect(report: &StartReport, talk: &mut Talk, foreground: bool) {
    let ending = if foreground { "; Ctrl-C stops all" } else { "" };
    talk.say(format!("cluster {:?}: {} ready in {:.2} s{ending}", report.cluster, report.count(), report.seconds));
    let argument =
        if report.cluster == places::DEFAULT_CLUSTER { String::new() } else { format!("{:?}", report.client_file) };
    talk.say(format!("connect:  from ipclusterz import client; rc = client.Client({argument})"));
    talk.say(format!("file:     {}", report.client_file.display()));
}
