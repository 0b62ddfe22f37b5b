//! `ipclusterz events`: what happens in a cluster, one line an event.

use crate::arguments::EventsArguments;
use crate::looking::{connect, failure};
use crate::output::Output;
use crate::times::since;
use ipclusterz_base::words::printable;
use ipclusterz_host::failure::Failure;
use ipclusterz_launchers::batch::clock;
use ipclusterz_profile::environment::Variables;
use ipclusterz_profile::settings::cluster_name;
use ipclusterz_runtime::client::ClientError;
use ipclusterz_runtime::client::events::{Follower, News};
use ipclusterz_runtime::events::Teller;
use ipclusterz_runtime::wire::message::{Happened, Seen};
use serde_json::Value;
use std::time::Duration;

/// How long one question waits for something to happen.
const WAIT: Duration = Duration::from_secs(10);

/// Prints events until the cluster has ended, or those that there are.
pub fn run(arguments: &EventsArguments, variables: &Variables, output: &mut Output) -> Result<(), Failure> {
    let cluster = cluster_name(arguments.common.cluster.as_deref(), variables)?;
    let client = connect(&cluster)?;
    let since = arguments.since.as_deref().map(|text| since(text, clock::now())).transpose()?;
    let mut telling = Telling { since, ..Telling::default() };
    let mut follower = Follower::new(since.or((!arguments.follow).then_some(0.0)));
    loop {
        let wait = if arguments.follow { WAIT } else { Duration::ZERO };
        let news = match follower.next(&client, wait) {
            Ok(news) => news,
            Err(ClientError::Disconnected(_)) if arguments.follow => return Ok(()),
            Err(error) => return Err(failure(&cluster, error)),
        };
        let over = news.events.is_empty() && !arguments.follow;
        telling.tell(&news, output)?;
        if over {
            return Ok(());
        }
    }
}

#[derive(Default)]
struct Telling {
    teller: Teller,
    /// What was before is the scene, and not told to people.
    since: Option<f64>,
}

impl Telling {
    fn tell(&mut self, news: &News, output: &mut Output) -> Result<(), Failure> {
        let mut text = String::new();
        if news.anew {
            let scene = self.teller.anew(news.missed);
            text.extend(output.is_json().then(|| format!("{scene}\n")));
        }
        for seen in &news.events {
            let told = self.teller.tell(seen);
            if output.is_json() {
                text += &format!("{told}\n");
            } else if self.since.is_none_or(|since| seen.at >= since) {
                text += &line(seen, &told);
            }
        }
        output.text(&text)
    }
}

/// An event for people: `12:03:04.567  ended  0f3c9a1e-7-0  f  engine 3  ok  0.213 s`.
fn line(seen: &Seen, told: &Value) -> String {
    let text = |name: &str| match told.get(name) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(printable(text).into_owned()),
        Some(other) => Some(other.to_string()),
    };
    let engine = text("engine").map(|engine| format!("engine {engine}"));
    let more = match &seen.what {
        Happened::Submitted(_) => vec![text("request"), text("name"), text("session")],
        Happened::Given { .. } | Happened::Returned { .. } => vec![text("task"), text("name"), engine],
        Happened::Ended(ended) => {
            let ran = (ended.started > 0.0).then(|| format!("{:.3} s", ended.completed - ended.started));
            vec![text("task"), text("name"), engine, text("state"), ran, text("why")]
        }
        Happened::EngineJoined(_) => vec![engine, text("host"), text("pid").map(|pid| format!("pid {pid}"))],
        Happened::EngineUsage { usage, .. } => {
            vec![engine, Some(format!("{} MiB", usage.resident_bytes >> 20)), Some(format!("{:.2} cpus", usage.cpus))]
        }
        Happened::EngineLeft { .. } => vec![engine, text("reason")],
        Happened::EngineAway { .. } | Happened::EngineBack { .. } => vec![engine],
        Happened::EpochBegan { .. } | Happened::EpochEnded { .. } => {
            vec![text("world"), text("epoch").map(|epoch| format!("epoch {epoch}")), text("reason")]
        }
        Happened::SessionBegan(_) => vec![text("session"), text("host"), text("pid").map(|pid| format!("pid {pid}"))],
        Happened::SessionParted { .. } | Happened::SessionEnded { .. } => vec![text("session")],
    };
    let words: Vec<String> = more.into_iter().flatten().collect();
    format!("{}  {:15} {}\n", clock::to_milliseconds(seen.at), text("event").unwrap_or_default(), words.join("  "))
}
