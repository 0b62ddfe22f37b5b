//! Options of the commands about profiles, and of `doctor`.

use clap::{Args, Subcommand};

/// `ipclusterz profile`
#[derive(Debug, Args)]
pub struct ProfileArguments {
    /// What to do.
    #[command(subcommand)]
    pub command: ProfileCommand,
}

/// The commands about profiles.
#[derive(Debug, Subcommand)]
pub enum ProfileCommand {
    /// List profiles: yours, the site's, and those that come with the program
    List,
    /// Print a complete profile as TOML, all layers merged
    Show(ProfileShowArguments),
    /// Write a profile of your own to start from, every key explained
    Init(ProfileInitArguments),
    /// Try each stage of a start, and say which one fails; without --run nothing is started
    Check(ProfileCheckArguments),
}

/// `ipclusterz profile show`
#[derive(Debug, Args)]
pub struct ProfileShowArguments {
    /// A name, or the path of a .toml file [default: the one that `start` would use]
    #[arg(value_name = "NAME|PATH")]
    pub profile: Option<String>,

    /// Say after each value where it came from
    #[arg(long)]
    pub origin: bool,

    /// Set a key, such as batch.partition=gpu (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// `ipclusterz profile init`
#[derive(Debug, Args)]
pub struct ProfileInitArguments {
    /// What to call it: letters, digits, '_', '.' and '-'
    pub name: String,

    /// The profile that it is to extend [default: the one of the same name, else default]
    #[arg(long, value_name = "NAME|PATH")]
    pub from: Option<String>,

    /// Replace a profile of that name
    #[arg(long)]
    pub force: bool,
}

/// `ipclusterz profile check`
#[derive(Debug, Args)]
pub struct ProfileCheckArguments {
    /// A name, or the path of a .toml file [default: the one that `start` would use]
    #[arg(value_name = "NAME|PATH")]
    pub profile: Option<String>,

    /// Then start one engine, in a job where the profile has jobs, and try there what engines need
    #[arg(long)]
    pub run: bool,

    /// Set a key, such as batch.partition=gpu (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// `ipclusterz doctor`
#[derive(Debug, Args)]
pub struct DoctorArguments {
    /// Profile: a name, or the path of a .toml file
    #[arg(long, value_name = "NAME|PATH")]
    pub profile: Option<String>,

    /// Set a key of the profile, such as batch.partition=gpu (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}
