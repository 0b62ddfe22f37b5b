//! The last events, as chunks, and a scene of what was before them. Pure.

use super::chunk;
use super::scene::Scene;
use crate::wire::Frame;
use crate::wire::message::{AskEvents, Cursor, EventsFound, Seen};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// How much is kept, unless somebody says something else.
impl Default for Kept {
    fn default() -> Self {
        Kept { time: Duration::from_secs(3600), bytes: 32 << 20 }
    }
}

/// Most bytes of chunks in one answer; the rest is asked for next.
const ANSWER_MAX: usize = 4 << 20;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// For how long.
    pub time: Duration,
    /// Bytes of chunks.
    pub bytes: u64,
}

#[derive(Debug)]
struct Chunk {
    /// The number of its first event, and of the one behind its last.
    first: u64,
    end: u64,
    /// When its last event was.
    last: f64,
    bytes: Frame,
}

/// An answer, and its payload.
pub type Found = (EventsFound, Vec<Frame>);

/// The events of one start of a controller.
#[derive(Debug)]
pub struct Ring {
    start: u32,
    kept: Kept,
    before: Scene,
    chunks: VecDeque<Chunk>,
    bytes: u64,
    /// The number of the next event.
    next: u64,
}

impl Ring {
    /// Nothing has happened since this start of the controller.
    pub fn new(start: u32, kept: Kept) -> Ring {
        Ring { start, kept, before: Scene::default(), chunks: VecDeque::new(), bytes: 0, next: 0 }
    }

    /// These have happened, up to `now`. What is too old goes, and what is too much.
    pub fn push(&mut self, events: &[Seen], now: f64) {
        if let Some(last) = events.last() {
            let (first, bytes) = (self.next, Frame::from(chunk::encode(events)));
            self.next = first.saturating_add(events.len() as u64);
            self.bytes = self.bytes.saturating_add(bytes.len() as u64);
            self.chunks.push_back(Chunk { first, end: self.next, last: last.at, bytes });
        }
        let oldest = now - self.kept.time.as_secs_f64();
        while let Some(chunk) = self.chunks.front()
            && (chunk.last < oldest || self.bytes > self.kept.bytes)
            && let Some(chunk) = self.chunks.pop_front()
        {
            self.bytes = self.bytes.saturating_sub(chunk.bytes.len() as u64);
            add(&mut self.before, &chunk);
        }
    }

    /// What is to be told to whoever asks this; none: nothing has happened since.
    pub fn read(&self, ask: &AskEvents) -> Option<Found> {
        match ask.after.filter(|cursor| cursor.start == self.start) {
            Some(cursor) if cursor.number >= self.next => None,
            Some(cursor) if cursor.number >= self.oldest() => Some(self.behind(cursor.number, Vec::new())),
            Some(cursor) => Some(self.anew(Some(f64::NEG_INFINITY), self.oldest().saturating_sub(cursor.number))),
            // Whoever has read of another start goes on with all of this one.
            None if ask.after.is_some() => Some(self.anew(Some(f64::NEG_INFINITY), 0)),
            None => Some(self.anew(ask.since, 0)),
        }
    }

    /// The number of the first event that is kept.
    fn oldest(&self) -> u64 {
        self.chunks.front().map_or(self.next, |chunk| chunk.first)
    }

    /// The answer to whoever is told that nothing has happened.
    pub fn nothing(&self) -> Found {
        (EventsFound { next: Cursor { start: self.start, number: self.next }, anew: false, missed: 0 }, Vec::new())
    }

    /// A scene as it was at `since`, and what followed.
    fn anew(&self, since: Option<f64>, missed: u64) -> Found {
        let mut scene = self.before.clone();
        let past = |chunk: &&Chunk| since.is_none_or(|since| chunk.last < since);
        let mut number = self.oldest();
        for chunk in self.chunks.iter().take_while(past) {
            add(&mut scene, chunk);
            number = chunk.end;
        }
        let scene = Frame::from(chunk::encode(&scene.events()));
        let (found, frames) = self.behind(number, vec![scene]);
        (EventsFound { anew: true, missed, ..found }, frames)
    }

    /// These frames, and the chunks from this event on.
    fn behind(&self, mut number: u64, mut frames: Vec<Frame>) -> Found {
        let mut bytes = 0_usize;
        let from = self.chunks.partition_point(|chunk| chunk.first < number);
        for chunk in self.chunks.range(from..) {
            if bytes >= ANSWER_MAX {
                break;
            }
            bytes = bytes.saturating_add(chunk.bytes.len());
            number = chunk.end;
            frames.push(chunk.bytes.clone());
        }
        (EventsFound { next: Cursor { start: self.start, number }, anew: false, missed: 0 }, frames)
    }
}

fn add(scene: &mut Scene, chunk: &Chunk) {
    // It was encoded here.
    chunk::decode(&chunk.bytes).into_iter().flatten().for_each(|seen| scene.apply(seen));
}
