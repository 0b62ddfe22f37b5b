//! The command line as a whole, and the choice of a command.

use super::clusters::{
    AbortArguments, EventsArguments, GcArguments, ListArguments, LogsArguments, RestartArguments, ScaleArguments,
    StatusArguments, StopArguments, TimelineArguments, TunnelArguments, WaitArguments,
};
use super::common::{CommonArguments, OutputArguments, one_of};
use super::others::{
    AgentArguments, CompletionsArguments, ControllerArguments, EngineArguments, GuardArguments, ManArguments,
    StageArguments,
};
use super::profiles::{DoctorArguments, ProfileArguments};
use super::start::{RunArguments, StartArguments, StartCommand};
use super::tasks::TasksArguments;
use clap::{Parser, Subcommand};
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;

/// Interactive parallel Python: start engines, watch them, stop them.
///
/// `ipclusterz -n 4` is short for `ipclusterz start -n 4`.
#[derive(Debug, Parser)]
#[command(
    name = "ipclusterz",
    disable_version_flag = true,
    override_usage = "ipclusterz [OPTIONS]\n       ipclusterz <COMMAND>",
    arg_required_else_help = true,
    max_term_width = 110
)]
pub struct Arguments {
    /// What to do; `start` when absent.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Options of `start`.
    #[command(flatten)]
    pub start: StartArguments,

    /// How to print.
    #[command(flatten)]
    pub output: OutputArguments,

    /// Print the version
    #[arg(short = 'V', long)]
    pub version: bool,

    /// With --version: also what is built in, and the Python, package and MPI of the engines
    #[arg(long, requires = "version")]
    pub verbose: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a controller and engines on this host
    Start(StartCommand),
    /// Start a cluster, run a program that uses it, stop the cluster; ends with the program's exit code
    Run(RunArguments),
    /// Have more engines in a running cluster, or fewer
    Scale(ScaleArguments),
    /// Restart engines of a running cluster, under their ids
    Restart(RestartArguments),
    /// Be an engine that joins a cluster, or several, until the cluster ends
    Engine(EngineArguments),
    /// Give up the calls that wait on a cluster, those of all clients
    Abort(AbortArguments),
    /// List tasks that are under way and that have ended, show them, wait for them, abort them
    Tasks(TasksArguments),
    /// Tell what happens in a cluster, and what has happened
    Events(EventsArguments),
    /// Write a picture of what has happened in a cluster, which Perfetto and Chrome show
    Timeline(TimelineArguments),
    /// Stop a cluster, wherever it was started from
    Stop(StopArguments),
    /// Show a cluster's engines and controller
    Status(StatusArguments),
    /// List clusters, running and stale
    List(ListArguments),
    /// Print the end of a cluster's logs
    Logs(LogsArguments),
    /// Wait until a cluster has so many engines
    Wait(WaitArguments),
    /// Reach a cluster on another host through SSH
    Tunnel(TunnelArguments),
    /// Find what crashed clusters left behind, here, on other hosts and in queues, and remove it
    Gc(GcArguments),
    /// List, show, write and check profiles
    Profile(ProfileArguments),
    /// Check this host, and what a profile needs, for trouble
    Doctor(DoctorArguments),
    /// Print a script that has a shell complete commands, options, clusters and profiles
    Completions(CompletionsArguments),
    /// Print a manual page
    Man(ManArguments),
    /// Wait for the launcher's end, then end what it left elsewhere (what `start` runs)
    #[command(hide = true)]
    Guard(GuardArguments),
    /// Be what the engines of this host share to reach a controller elsewhere (what starts engines runs)
    #[command(hide = true)]
    Agent(AgentArguments),
    /// Have the environment of engines on a disk of this host (what launchers run with `engines.stage`)
    #[command(hide = true)]
    Stage(StageArguments),
    /// Run a controller in this process (what `start` runs)
    #[command(hide = true)]
    Controller(ControllerArguments),
}

/// Where a command keeps the name of its cluster.
enum Place<'a> {
    /// It takes the name as a word, too.
    Common(&'a mut CommonArguments),
    /// It takes the name as an option alone.
    Option(&'a mut Option<String>),
    /// It is not about one cluster of this host.
    Nowhere,
}

impl Arguments {
    /// Whether an option such as `--json` was given; known before the arguments are known to be right. What stands
    /// after `--` is another program's.
    pub fn has(raw: &[std::ffi::OsString], option: &str) -> bool {
        raw.iter().take_while(|argument| *argument != "--").any(|argument| argument == option)
    }

    /// Gives the command the name of the cluster that stands before it. Fails if two clusters are named, or if the
    /// command is not about one.
    pub fn settle(&mut self) -> Result<(), Failure> {
        let Some(command) = &mut self.command else { return Ok(()) };
        let before = self.start.settings.cluster.take();
        if let Command::Start(start) = command {
            let name = start.cluster_name.take();
            if let Some(number) = name.as_deref().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())) {
                return Err(number_as_name(number));
            }
            let cluster = &mut start.start.settings.cluster;
            *cluster = one_of([before, name, cluster.take()])?;
            return Ok(());
        }
        match (command.place(), before) {
            (Place::Common(common), before) => common.settle(before),
            (Place::Option(cluster), before) => one_of([before, cluster.take()]).map(|name| *cluster = name),
            (Place::Nowhere, None) => Ok(()),
            (Place::Nowhere, Some(name)) => {
                let message = format!("--cluster {name:?} stands before a command that is not about a cluster");
                Err(Failure::new(Exit::Usage, message).with_hint("leave it out"))
            }
        }
    }
}

/// `ipclusterz start 4`: engines are more likely to be meant than a cluster of that name.
fn number_as_name(number: &str) -> Failure {
    Failure::new(Exit::Usage, format!("is {number} the number of engines, or the name of the cluster?"))
        .with_hint(format!("`start -n {number}` is the number, `start --cluster {number}` the name"))
}

impl Command {
    fn place(&mut self) -> Place<'_> {
        match self {
            Command::Scale(arguments) => Place::Common(&mut arguments.common),
            Command::Restart(arguments) => Place::Common(&mut arguments.common),
            Command::Engine(arguments) => Place::Common(&mut arguments.common),
            Command::Abort(arguments) => Place::Common(&mut arguments.common),
            Command::Events(arguments) => Place::Common(&mut arguments.common),
            Command::Timeline(arguments) => Place::Common(&mut arguments.common),
            Command::Stop(arguments) => Place::Common(&mut arguments.common),
            Command::Status(arguments) => Place::Common(&mut arguments.common),
            Command::List(arguments) => Place::Common(&mut arguments.common),
            Command::Logs(arguments) => Place::Common(&mut arguments.common),
            Command::Wait(arguments) => Place::Common(&mut arguments.common),
            Command::Gc(arguments) => Place::Common(&mut arguments.common),
            Command::Start(command) => Place::Option(&mut command.start.settings.cluster),
            Command::Run(arguments) => Place::Option(&mut arguments.settings.cluster),
            Command::Tunnel(arguments) => Place::Option(&mut arguments.cluster),
            Command::Tasks(arguments) => Place::Option(&mut arguments.cluster),
            Command::Profile(_)
            | Command::Doctor(_)
            | Command::Completions(_)
            | Command::Man(_)
            | Command::Guard(_)
            | Command::Agent(_)
            | Command::Stage(_)
            | Command::Controller(_) => Place::Nowhere,
        }
    }
}

/// The parser, with the help's ending.
pub fn parser() -> clap::Command {
    use clap::CommandFactory;
    Arguments::command().after_help(format!(
        "{}\n{}\n{COMPLETIONS}",
        ipclusterz_host::exit_code::Exit::help(),
        ipclusterz_profile::environment::help()
    ))
}

/// How to install what `completions` and `man` print.
const COMPLETIONS: &str = "\
Completions, for commands, options, clusters and profiles:
  bash  echo 'source <(ipclusterz completions bash)' >> ~/.bashrc
  zsh   echo 'source <(ipclusterz completions zsh)' >> ~/.zshrc       (after compinit)
  fish  echo 'ipclusterz completions fish | source' >> ~/.config/fish/config.fish
Manual pages: `ipclusterz man | man -l -`, `ipclusterz man start | man -l -`
";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::FromArgMatches;

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        let words = line.split_whitespace();
        parser().try_get_matches_from(words).and_then(|matches| Arguments::from_arg_matches(&matches))
    }

    fn settled(line: &str) -> Result<Arguments, Failure> {
        let mut arguments = parse(line).expect(line);
        arguments.settle().map(|()| arguments)
    }

    #[test]
    fn the_definition_is_consistent() {
        parser().debug_assert();
    }

    #[test]
    fn start_is_the_command_when_none_is_named() {
        let short = parse("ipclusterz -n 4 --cluster a").expect("short form");
        assert!(short.command.is_none());
        assert_eq!(short.start.settings.engines, Some(4));
        let long = parse("ipclusterz start -n 4 --cluster a").expect("long form");
        let Some(Command::Start(start)) = long.command else { panic!("not start") };
        assert_eq!(start.start.settings.engines, Some(4));
        assert_eq!(start.start.settings.cluster.as_deref(), Some("a"));
    }

    #[test]
    fn a_cluster_is_named_by_a_word_or_an_option_before_or_after_the_command() {
        let name_of = |line: &str| {
            let mut arguments = settled(line).expect(line);
            match arguments.command.as_mut().expect("a command").place() {
                Place::Common(common) => common.cluster.clone(),
                Place::Option(cluster) => cluster.clone(),
                Place::Nowhere => None,
            }
        };
        for command in ["stop", "status", "list", "logs", "wait", "gc", "start", "scale +4"] {
            for line in
                [format!("{command} lab"), format!("{command} --cluster lab"), format!("--cluster lab {command}")]
            {
                assert_eq!(name_of(&format!("ipclusterz {line}")).as_deref(), Some("lab"), "{line}");
            }
            assert_eq!(name_of(&format!("ipclusterz {command}")), None);
            assert_eq!(
                name_of(&format!("ipclusterz --cluster lab {command} lab --cluster lab")).as_deref(),
                Some("lab")
            );
            let two = settled(&format!("ipclusterz --cluster lab {command} --cluster lob")).expect_err("two names");
            assert_eq!(two.message, "two clusters are named: \"lab\" and \"lob\"");
        }
        assert_eq!(name_of("ipclusterz --cluster lab run -- python").as_deref(), Some("lab"));
        assert_eq!(name_of("ipclusterz --cluster lab tunnel me@host").as_deref(), Some("lab"));
        for line in ["tasks --cluster lab list", "tasks list --cluster lab", "--cluster lab tasks show 0f3c9a1e-7-0"] {
            assert_eq!(name_of(&format!("ipclusterz {line}")).as_deref(), Some("lab"), "{line}");
        }
        assert!(settled("ipclusterz --cluster lab doctor").is_err());
        assert!(settled("ipclusterz start 4").expect_err("a number").hint.is_some_and(|hint| hint.contains("-n 4")));
    }

    #[test]
    fn how_to_print_may_be_said_before_and_after_the_command() {
        for line in
            ["--json status", "status --json", "--json profile list", "profile list --json", "profile --json list"]
        {
            assert!(parse(&format!("ipclusterz {line}")).expect(line).output.json, "{line}");
        }
        for line in ["-q stop", "stop --quiet", "-q", "run -q -- python"] {
            assert!(parse(&format!("ipclusterz {line}")).expect(line).output.quiet, "{line}");
        }
        assert!(!parse("ipclusterz run -- python --json -q").expect("a program").output.json);
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        assert!(parse("ipclusterz logs --engine 1 --controller").is_err());
        assert!(parse("ipclusterz start --daemonize --exit-with-parent").is_err());
        assert!(parse("ipclusterz run --daemonize -- python").is_err());
        assert!(parse("ipclusterz run --print-script -- python").is_err());
    }
}
