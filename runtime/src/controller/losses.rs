//! Engines that died: those whose end the launcher or the kernel may still explain, with the answers that wait for that, and the last
//! ones. Data alone; what happens to it is in `core/losses.rs`.

use crate::wire::message::{EngineLoss, Message, Outcome, Reply};
use ipclusterz_base::ids::{EngineId, PeerId};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// How many losses are remembered.
const KEPT: usize = 10;

/// An engine that died, as long as more may be known of that.
#[derive(Debug, Serialize, Deserialize)]
pub struct Unexplained {
    /// Its id.
    pub engine: EngineId,
    /// The peer that it was.
    pub peer: PeerId,
    /// Its process is watched.
    pub watched: bool,
    /// Who may still say how it ended.
    pub awaited: Awaited,
    /// How it ended, as far as it is known.
    pub how: Option<String>,
    /// Identifies its process.
    pub uuid: String,
    /// `engine 3 (pid 17 on n1)`.
    pub who: String,
    /// What is said of it if no word comes.
    pub reason: String,
    /// When to give up the wait.
    pub until: Duration,
    /// Answers that wait.
    pub replies: Vec<(PeerId, Reply)>,
}

/// Who may still say how an engine ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaited {
    /// The launcher, which knows best.
    pub launcher: bool,
    /// The kernel of this host.
    pub kernel: bool,
}

impl Awaited {
    /// It is known already, or will never be.
    pub const NOBODY: Awaited = Awaited { launcher: false, kernel: false };

    /// Whether anybody may.
    pub fn any(self) -> bool {
        self.launcher || self.kernel
    }
}

/// Engines that died.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Losses {
    unexplained: Vec<Unexplained>,
    last: VecDeque<(Duration, EngineLoss)>,
}

impl Losses {
    /// Nobody watches the processes any more.
    pub fn restarted(&mut self) {
        for loss in &mut self.unexplained {
            (loss.watched, loss.awaited.kernel) = (false, false);
        }
    }

    /// When to give up the oldest wait for a word.
    pub fn next_tick(&self) -> Option<Duration> {
        self.unexplained.iter().map(|loss| loss.until).min()
    }

    /// The last losses, with their ages.
    pub fn last(&self, now: Duration) -> Vec<EngineLoss> {
        let aged = |(at, loss): &(Duration, EngineLoss)| EngineLoss {
            seconds_ago: now.saturating_sub(*at).as_secs_f64(),
            ..loss.clone()
        };
        self.last.iter().map(aged).collect()
    }

    /// Keeps an answer back that names an engine of which more may be known in a moment; returns any other message.
    pub fn hold(&mut self, client: PeerId, message: Message) -> Option<Message> {
        let Message::Reply(reply) = message else { return Some(message) };
        let loss = match &reply.outcome {
            Outcome::Lost(why) | Outcome::RankLost(why) => {
                self.unexplained.iter_mut().find(|loss| why.contains(&loss.reason))
            }
            _ => None,
        };
        match loss {
            Some(loss) => loss.replies.push((client, reply)),
            None => return Some(Message::Reply(reply)),
        }
        None
    }

    /// The answers that are kept back for a client.
    pub fn held(&self, client: PeerId) -> impl Iterator<Item = &Reply> {
        let replies = self.unexplained.iter().flat_map(|loss| &loss.replies);
        replies.filter(move |(of, _)| *of == client).map(|(_, reply)| reply)
    }

    /// An engine died.
    pub fn remember(&mut self, loss: EngineLoss, now: Duration) {
        self.last.push_back((now, loss));
        if self.last.len() > KEPT {
            self.last.pop_front();
        }
    }

    /// What is known now of a loss that was told.
    pub fn correct(&mut self, uuid: &str, how: &str) {
        if let Some((_, loss)) = self.last.iter_mut().rev().find(|(_, loss)| loss.uuid == uuid) {
            how.clone_into(&mut loss.how);
        }
    }

    /// Notes what is known of losses; those of which nobody will say more can be taken out then.
    pub fn note(&mut self, which: impl Fn(&Unexplained) -> bool, note: impl Fn(&mut Unexplained)) {
        self.unexplained.iter_mut().filter(|loss| which(loss)).for_each(note);
    }

    /// More may be known in a moment of one that died.
    pub fn wait_for_word(&mut self, loss: Unexplained) {
        self.unexplained.push(loss);
    }

    /// Takes out those that wait no longer for a word.
    pub fn take(&mut self, which: impl Fn(&Unexplained) -> bool) -> Vec<Unexplained> {
        self.unexplained.extract_if(.., |loss| which(loss)).collect()
    }
}
