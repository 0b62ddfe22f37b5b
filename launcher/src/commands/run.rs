//! `ipclusterz run -n 8 -- python analysis.py`: a cluster for as long as one program runs.

use crate::arguments::{RunArguments, StartArguments};
use crate::output::Output;
use crate::start::events::supervise;
use crate::supervisor::program::Program;
use crate::talk::Talk;
use ipclusterz_host::failure::Failure;
use ipclusterz_profile::environment::{CLUSTER, Variables};

/// Starts the cluster, runs the program in an environment in which a client finds the cluster, and stops everything.
/// Returns the program's exit code if the program was started.
pub fn run(mut arguments: RunArguments, variables: &Variables, output: &mut Output) -> Result<u8, Failure> {
    if arguments.settings.cluster.is_none() && variables.get(CLUSTER).is_none() {
        // A name of its own, so that it disturbs no other cluster of the user's.
        arguments.settings.cluster = Some(format!("run-{}-{}", short_host_name(), std::process::id()));
    }
    let program = Program::new(arguments.program);
    let start = StartArguments { settings: arguments.settings, ..StartArguments::default() };
    let mut talk = Talk::on_stderr();
    supervise(&start, Some(program), variables, &mut talk, &mut |report, talk| {
        talk.say(format!("cluster {:?}: {} ready in {:.2} s", report.cluster, report.count(), report.seconds));
        output.report_if_json(report)
    })
}

/// Part of the name, because jobs on several hosts may share the folder of clusters, and pids are unique per host only.
fn short_host_name() -> String {
    let name = ipclusterz_base::places::host_name();
    let short = name.split('.').next().unwrap_or_default();
    let kept: String =
        short.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '-').take(24).collect();
    kept
}
