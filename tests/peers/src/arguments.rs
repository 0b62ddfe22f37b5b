//! The command line. What it accepts is checked here, so that the rest need not.

use clap::{Args, Parser, Subcommand};
use ipclusterz_base::ids::EngineId;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// Simulated engines and clients for tests of load and loss.
#[derive(Debug, Parser)]
#[command(name = "ipclusterz-peers")]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Engines that answer each task with a number that is made of the task's key.
    Engines(EngineOptions),
    /// Clients that submit tasks and check every answer; exits with 1 if one is wrong, doubled or missing.
    Clients(ClientOptions),
    /// How fast a link of bulk connections is over this host's loopback.
    Bulk(BulkOptions),
}

#[derive(Debug, Args)]
pub struct BulkOptions {
    /// How many parcels are sent.
    #[arg(long, value_name = "COUNT", default_value = "64", value_parser = clap::value_parser!(u16).range(1..))]
    pub parcels: u16,
    /// MiB of each.
    #[arg(long, value_name = "MIB", default_value = "64", value_parser = mebibytes)]
    pub mebibytes: usize,
    /// Not encrypted.
    #[arg(long)]
    pub plain: bool,
    /// Compressed if the link is slow.
    #[arg(long)]
    pub compress: bool,
}

fn mebibytes(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=4096).contains(count));
    count.ok_or_else(|| "a number of MiB, 1 to 4096".to_owned())
}

#[derive(Debug, Args)]
pub struct EngineOptions {
    /// The cluster's connection file for engines.
    #[arg(long, value_name = "FILE", required_unless_present = "instead_of")]
    pub connection: Option<PathBuf>,
    /// How many.
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    pub number: u16,
    /// Seconds that a task takes, drawn from LEAST..MOST. It ends up to 10 ms later.
    #[arg(long, value_name = "LEAST..MOST", default_value = "0..0", value_parser = seconds_range)]
    pub busy: RangeInclusive<f64>,
    /// The share of tasks that end with an error.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    pub fail: f64,
    /// The share of tasks that are answered wrongly, to see whether the clients notice.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    pub wrong: f64,
    /// Decides what is drawn.
    #[arg(long, default_value_t = 0)]
    pub seed: u16,
    /// Append the key of each task that begins, as 8 bytes in little-endian order.
    #[arg(long, value_name = "FILE")]
    pub executions: Option<PathBuf>,
    /// How long an engine without a controller waits for one.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub lease: Duration,
    /// The command of an engine that a launcher would have started, whose connection file and id these engines take: so
    /// they can be in `engines.wrap` of a profile.
    #[arg(last = true, value_name = "COMMAND", conflicts_with = "connection")]
    pub instead_of: Vec<String>,
}

impl EngineOptions {
    /// The connection file; none: the command of an engine does not name it.
    pub fn connection(&self) -> Option<PathBuf> {
        self.connection.clone().or_else(|| self.of_command("--connection-file").map(PathBuf::from))
    }

    /// The id that the first of them asks for.
    pub fn wanted_id(&self) -> Option<EngineId> {
        self.of_command("--engine-id")?.parse().ok().map(EngineId)
    }

    /// The value of an option in the command of an engine.
    fn of_command(&self, option: &str) -> Option<&str> {
        let mut words = self.instead_of.iter().skip_while(|word| *word != option);
        words.nth(1).map(String::as_str)
    }
}

#[derive(Debug, Args)]
pub struct ClientOptions {
    /// The cluster's connection file for clients.
    #[arg(long, value_name = "FILE")]
    pub connection: PathBuf,
    /// How many.
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    pub number: u16,
    /// How many tasks all of them submit together.
    #[arg(long, value_name = "COUNT")]
    pub tasks: u32,
    /// The share of tasks that are sent to one engine by its id; the others are balanced.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    pub direct: f64,
    /// How often a balanced task may be run again when its engine is lost.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub retries: u32,
    /// How many tasks each client has under way.
    #[arg(long, value_name = "COUNT", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..))]
    pub window: u32,
    /// Each client waits for an answer before it submits the next task, and the report says how long that takes.
    #[arg(long, conflicts_with = "window")]
    pub one_by_one: bool,
    /// Is a part of each key, and decides what is drawn.
    #[arg(long, default_value_t = 0)]
    pub seed: u16,
    /// How long all of it may take: what has no answer then is missing.
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = seconds)]
    pub deadline: Duration,
}

impl ClientOptions {
    /// How many tasks a client may have under way.
    pub fn window(&self) -> usize {
        if self.one_by_one { 1 } else { self.window as usize }
    }
}

/// A number from 0 to 1.
fn share(text: &str) -> Result<f64, String> {
    let valid = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    valid.ok_or_else(|| format!("{text:?} is no share: give a number from 0 to 1, such as 0.1"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let valid = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    valid.ok_or_else(|| format!("{text:?} is no number of seconds: give one that is not below 0, such as 2.5"))
}

fn seconds_range(text: &str) -> Result<RangeInclusive<f64>, String> {
    let parts = text.split_once("..");
    let valid = parts.and_then(|(least, most)| Some((seconds(least).ok()?, seconds(most).ok()?)));
    let ordered = valid.filter(|(least, most)| least <= most);
    let (least, most) =
        ordered.ok_or_else(|| format!("{text:?} is no range of seconds: give LEAST..MOST, such as 0..0.002"))?;
    Ok(least.as_secs_f64()..=most.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_take_the_place_of_one_that_a_launcher_starts() {
        let words = "peers engines -n 3 -- python -m engine --connection-file /c/engine.json --engine-id 4 --lease 60";
        let Command::Engines(options) = Arguments::parse_from(words.split(' ')).command else { panic!("{words}") };
        assert_eq!(options.connection(), Some(PathBuf::from("/c/engine.json")));
        assert_eq!((options.wanted_id(), options.number), (Some(EngineId(4)), 3));
    }

    #[test]
    fn a_range_has_two_ends_in_order() {
        assert_eq!(seconds_range("0..0.002"), Ok(0.0..=0.002));
        for text in ["", "1", "2..1", "-1..1", "0..x", "0..nan"] {
            let refused = seconds_range(text).expect_err(text);
            assert!(refused.contains(&format!("{text:?}")) && refused.contains("such as 0..0.002"), "{refused}");
        }
    }

    #[test]
    fn a_share_is_no_percentage() {
        assert_eq!((share("0"), share("1")), (Ok(0.0), Ok(1.0)));
        for text in ["10", "-0.1", "nan", "a"] {
            assert!(share(text).is_err_and(|refused| refused.contains("from 0 to 1")), "{text}");
        }
    }
}
