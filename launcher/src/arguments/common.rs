//! Options that most commands have.

use clap::Args;

/// Options that most commands have.
#[derive(Debug, Clone, Args)]
pub struct CommonArguments {
    /// Name of the cluster [default: default]
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,

    /// Print one versioned JSON value on stdout
    #[arg(long)]
    pub json: bool,
}
