//! Options that many commands have.

use clap::Args;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;

/// The cluster that a command is about: a word after the command, or an option before or after it.
#[derive(Debug, Clone, Default, Args)]
pub struct CommonArguments {
    /// Name of the cluster [default: default]
    #[arg(value_name = "NAME")]
    pub cluster_name: Option<String>,

    /// The same as an option, which may also stand before the command
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
}

impl CommonArguments {
    /// Makes one name, in `cluster`, of those that were given: before the command, as a word, and as an option.
    pub(super) fn settle(&mut self, before: Option<String>) -> Result<(), Failure> {
        self.cluster = one_of([before, self.cluster_name.take(), self.cluster.take()])?;
        Ok(())
    }
}

/// The one name that was given, perhaps several times. Fails if there are two.
pub(super) fn one_of<const N: usize>(names: [Option<String>; N]) -> Result<Option<String>, Failure> {
    let mut names = names.into_iter().flatten();
    let first = names.next();
    match names.find(|name| Some(name) != first.as_ref()) {
        None => Ok(first),
        Some(other) => {
            let message = format!("two clusters are named: {:?} and {other:?}", first.unwrap_or_default());
            Err(Failure::new(Exit::Usage, message).with_hint("give one name, as NAME or as --cluster NAME"))
        }
    }
}

/// How a command prints.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct OutputArguments {
    /// Print one versioned JSON value on stdout
    #[arg(long, global = true)]
    pub json: bool,

    /// Say nothing on stderr but errors and lost engines
    #[arg(short = 'q', long, global = true)]
    pub quiet: bool,
}
