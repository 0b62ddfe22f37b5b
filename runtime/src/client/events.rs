//! What happens in the cluster, as whoever looks on follows it.

use super::error::ClientError;
use super::handle::Client;
use crate::events::{Timeline, chunk};
use crate::wire::message::{Ask, AskEvents, Cursor, Seen};
use std::io::{self, Write};
use std::time::Duration;

/// How much longer than it was asked to wait the controller may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How far somebody who looks on has read.
#[derive(Debug, Default, Clone, Copy)]
pub struct Follower {
    after: Option<Cursor>,
    since: Option<f64>,
}

/// What has happened since the last time.
#[derive(Debug, Default)]
pub struct News {
    /// These begin with a scene of the cluster: what was said before is void.
    pub anew: bool,
    /// So many events in between are not kept any more.
    pub missed: u64,
    /// The events, in order.
    pub events: Vec<Seen>,
}

impl Follower {
    /// From the cluster as it is now, or as it was at `since`, seconds since 1970, or as long ago as is kept.
    pub fn new(since: Option<f64>) -> Follower {
        Follower { after: None, since }
    }

    /// Asks what has happened, and waits for that up to `wait`. The number of the question.
    ///
    /// # Errors
    /// As of [`Client::ask`].
    pub fn ask(&self, client: &Client, wait: Duration) -> Result<u64, ClientError> {
        if !client.hears_events()? {
            let why = "the controller is of an older release, which tells no events".to_owned();
            return Err(ClientError::NoHistory(why));
        }
        client.ask(Ask::Events(AskEvents { after: self.after, since: self.since, wait: wait.as_secs_f64() }))
    }

    /// The answer to a question, which is waited for so long.
    ///
    /// # Errors
    /// `NoHistory` where the cluster tells no events, or is too old; `Timeout` when the controller does not answer in time.
    pub fn answer(&mut self, client: &Client, number: u64, timeout: Duration) -> Result<News, ClientError> {
        let answered = client.answer(number, timeout)?;
        let Some(found) = answered.found.events else { return Ok(News::default()) };
        let mut news = News { anew: found.anew, missed: found.missed, events: Vec::new() };
        for bytes in &answered.chunks {
            news.events.extend(chunk::decode(bytes).map_err(|error| ClientError::NoHistory(error.to_string()))?);
        }
        self.after = Some(found.next);
        Ok(news)
    }

    /// What has happened since the last time; waits for that, up to `wait`.
    ///
    /// # Errors
    /// As of [`Follower::answer`].
    pub fn next(&mut self, client: &Client, wait: Duration) -> Result<News, ClientError> {
        let number = self.ask(client, wait)?;
        self.answer(client, number, wait.saturating_add(PATIENCE))
    }
}

/// Why a timeline could not be written.
#[derive(Debug, thiserror::Error)]
pub enum TimelineError {
    /// The controller does not tell.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It could not be written.
    #[error("the timeline cannot be written: {0}")]
    Write(#[from] io::Error),
}

/// Writes a timeline of what has happened since then, seconds since 1970, and is kept. How many events it is made of.
///
/// # Errors
/// As of [`Follower::answer`], and what `out` refuses.
pub fn timeline(client: &Client, since: f64, out: impl Write) -> Result<u64, TimelineError> {
    let (mut follower, mut line) = (Follower::new(Some(since)), Timeline::new(out, since)?);
    let mut count = 0_u64;
    loop {
        let news = follower.next(client, Duration::ZERO)?;
        if news.events.is_empty() {
            line.finish()?;
            return Ok(count);
        }
        count = count.saturating_add(news.events.len() as u64);
        news.events.iter().try_for_each(|seen| line.add(seen))?;
    }
}
