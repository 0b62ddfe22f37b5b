//! Options of the commands about tasks.

use super::numbers;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `ipclusterz tasks`
#[derive(Debug, Args)]
pub struct TasksArguments {
    /// Name of the cluster [default: default]
    #[arg(long, global = true, value_name = "NAME")]
    pub cluster: Option<String>,

    /// What to do.
    #[command(subcommand)]
    pub command: TasksCommand,
}

/// The commands about tasks.
#[derive(Debug, Subcommand)]
pub enum TasksCommand {
    /// List tasks that are under way, and that have ended
    List(ListTasksArguments),
    /// Show everything that is known of a task: what it wrote, and why it failed
    Show(ShowTaskArguments),
    /// Wait until tasks have ended; exit code 1 if one did not succeed
    Wait(WaitTasksArguments),
    /// Print the value of a task, or write it to a file
    Result(ResultArguments),
    /// Give up tasks that have not started
    Abort(AbortTasksArguments),
    /// Print tasks as lines of JSON
    Query(QueryArguments),
    /// List sessions: those with names, and those of clients that are there or may come back
    Sessions(SessionsArguments),
    /// Drop what is kept of tasks that have ended
    Purge(PurgeArguments),
}

/// Which tasks are meant.
#[derive(Debug, Clone, Default, Args)]
pub struct FilterArguments {
    /// Of this session: its name, or the beginning of its tasks' ids
    #[arg(long, value_name = "NAME")]
    pub session: Option<String>,

    /// In this state: queued, waiting, held, running, ok, error, aborted, lost, rejected, rank_lost,
    /// impossible or timed_out (repeatable)
    #[arg(long, value_name = "STATE")]
    pub state: Vec<String>,

    /// Submitted since then: 30m, 2h or 3d ago, or a time such as 2026-11-29T14:00
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,

    /// With this in the name of their function
    #[arg(long, value_name = "TEXT")]
    pub name: Option<String>,
}

/// `ipclusterz tasks list`
#[derive(Debug, Args)]
pub struct ListTasksArguments {
    /// Which tasks.
    #[command(flatten)]
    pub filter: FilterArguments,

    /// So many at most, the latest
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 1000, value_parser = numbers::tasks)]
    pub limit: u32,
}

/// `ipclusterz tasks query`
#[derive(Debug, Args)]
pub struct QueryArguments {
    /// Which tasks.
    #[command(flatten)]
    pub filter: FilterArguments,

    /// So many at most, the latest
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 100_000, value_parser = numbers::tasks)]
    pub limit: u32,
}

/// `ipclusterz tasks show`
#[derive(Debug, Args)]
pub struct ShowTaskArguments {
    /// The task, such as 0f3c9a1e-7-0
    #[arg(value_name = "ID")]
    pub id: String,
}

/// `ipclusterz tasks wait`
#[derive(Debug, Args)]
pub struct WaitTasksArguments {
    /// The tasks, such as 0f3c9a1e-7-0; 0f3c9a1e-7 stands for all of that call [default: all there are]
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,

    /// All tasks of this session: its name, or the beginning of its tasks' ids
    #[arg(long, value_name = "NAME", conflicts_with = "ids")]
    pub session: Option<String>,

    /// Seconds until giving up
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, default_value_t = 3600.0, value_parser = numbers::seconds)]
    pub timeout: f64,
}

/// `ipclusterz tasks result`
#[derive(Debug, Args)]
pub struct ResultArguments {
    /// The task, such as 0f3c9a1e-7-0
    #[arg(value_name = "ID")]
    pub id: String,

    /// Write the value to this file, for Python's pickle.load, instead of printing it
    #[arg(long, value_name = "PATH")]
    pub file: Option<PathBuf>,
}

/// `ipclusterz tasks abort`
#[derive(Debug, Args)]
pub struct AbortTasksArguments {
    /// The calls, such as 0f3c9a1e-7 or 0f3c9a1e-7-0; a call on several engines is given up on all of them
    #[arg(value_name = "ID", required_unless_present = "session")]
    pub ids: Vec<String>,

    /// All tasks of this session: its name, or the beginning of its tasks' ids
    #[arg(long, value_name = "NAME", conflicts_with = "ids")]
    pub session: Option<String>,

    /// Also raise KeyboardInterrupt in those that run
    #[arg(long)]
    pub interrupt: bool,

    /// Seconds to wait until they have ended
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, default_value_t = 10.0, value_parser = numbers::seconds)]
    pub timeout: f64,
}

/// `ipclusterz tasks sessions`
#[derive(Debug, Args)]
pub struct SessionsArguments {}

/// `ipclusterz tasks purge`
#[derive(Debug, Args)]
pub struct PurgeArguments {
    /// Which tasks.
    #[command(flatten)]
    pub filter: FilterArguments,

    /// Do not ask
    #[arg(short = 'y', long)]
    pub yes: bool,
}
