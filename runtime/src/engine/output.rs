//! Text that user code wrote and that is not sent yet, and how much of it is sent at all.

use crate::wire::message::Stream;
use std::time::Instant;

/// Text is sent at once when there is so much of it.
pub(super) const OUTPUT_CHUNK: usize = 64 << 10;

/// Pieces in the order in which they were written. Neighbours of the same stream are one piece, and nothing is ever
/// cut: what was written in one call travels in one message.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pieces: Vec<(Stream, String)>,
    bytes: usize,
}

impl Gathered {
    /// Bytes of all pieces.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// More was written.
    pub fn push(&mut self, stream: Stream, text: &str) {
        match self.pieces.last_mut() {
            Some((last, gathered)) if *last == stream => gathered.push_str(text),
            _ => self.pieces.push((stream, text.to_owned())),
        }
        self.bytes += text.len();
    }

    /// Everything, to be sent.
    pub fn take(&mut self) -> Vec<(Stream, String)> {
        self.bytes = 0;
        std::mem::take(&mut self.pieces)
    }
}

/// Text that a task may write at once, bytes.
const BURST: usize = 2 << 20;
/// And so much more for each second that it runs. A task that wrote too much may go on when it has as much again.
const EACH_SECOND: usize = 64 << 10;

/// How much one task may write: a flood of output is cut, and is not sent.
#[derive(Debug)]
pub(super) struct Allowance {
    began: Instant,
    sent: usize,
    /// What was cut since text was sent last, and where it was written to.
    left_out: Option<(Stream, usize)>,
}

impl Allowance {
    /// Of a task that begins now.
    pub fn new(began: Instant) -> Self {
        Allowance { began, sent: 0, left_out: None }
    }

    /// The beginning of `text` that may be sent, and what to send before it, where text was left out.
    pub fn take<'a>(&mut self, stream: Stream, text: &'a str, now: Instant) -> (Option<(Stream, String)>, &'a str) {
        let room = self.room(now);
        let waits = self.left_out.is_some() && room < EACH_SECOND.max(text.len());
        let fits = if waits { "" } else { &text[..text.floor_char_boundary(room)] };
        let note = if fits.is_empty() { None } else { self.note() };
        self.sent += fits.len();
        let cut = text.len() - fits.len();
        if cut > 0 {
            let (_, before) = self.left_out.unwrap_or((stream, 0));
            self.left_out = Some((stream, before + cut));
        }
        (note, fits)
    }

    /// What to say of that which was left out; once.
    pub fn note(&mut self) -> Option<(Stream, String)> {
        let (stream, bytes) = self.left_out.take()?;
        Some((stream, format!("\n[{bytes} bytes of output were left out: it came too fast]\n")))
    }

    fn room(&self, now: Instant) -> usize {
        let ran = now.saturating_duration_since(self.began).as_millis();
        let earned = usize::try_from(ran).unwrap_or(usize::MAX).saturating_mul(EACH_SECOND) / 1000;
        BURST.saturating_add(earned).saturating_sub(self.sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Stream::{Display, Stderr, Stdout};
    use std::time::Duration;

    #[test]
    fn the_order_between_streams_is_kept_and_lines_stay_whole() {
        let mut gathered = Gathered::default();
        let line = format!("{{\"data\": \"{}\"}}\n", "x".repeat(100_000));
        for (stream, text) in [(Stdout, "a"), (Display, &line[..]), (Display, &line), (Stdout, "b"), (Stderr, "c")] {
            gathered.push(stream, text);
        }
        assert_eq!(gathered.bytes(), 3 + 2 * line.len());
        let pieces = [(Stdout, "a".to_owned()), (Display, line.repeat(2)), (Stdout, "b".into()), (Stderr, "c".into())];
        assert_eq!(gathered.take(), pieces);
        assert_eq!((gathered.bytes(), gathered.take()), (0, vec![]));
    }
    #[test]
    fn a_flood_is_cut_and_what_was_left_out_is_counted() {
        let began = Instant::now();
        let mut allowance = Allowance::new(began);
        let much = "ü".repeat(BURST);
        let (note, fits) = allowance.take(Stdout, &much, began);
        assert_eq!((note, fits.len()), (None, BURST));
        assert_eq!(allowance.take(Stderr, "more", began), (None, ""));
        let soon = began + Duration::from_millis(500);
        assert_eq!(allowance.take(Stderr, "more", soon), (None, ""), "not a little now and then");
        let said = format!("\n[{} bytes of output were left out: it came too fast]\n", BURST + 8);
        let later = began + Duration::from_secs(1);
        assert_eq!(allowance.take(Stdout, "again", later), (Some((Stderr, said)), "again"));
        assert_eq!(allowance.note(), None);
    }

    #[test]
    fn what_comes_slowly_comes_whole() {
        let began = Instant::now();
        let mut allowance = Allowance::new(began);
        let line = "x".repeat(EACH_SECOND);
        for second in 0..1000 {
            let now = began + Duration::from_secs(second);
            assert_eq!(allowance.take(Stdout, &line, now), (None, &line[..]));
        }
    }
}
