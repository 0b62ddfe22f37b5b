//! Text that user code wrote and that is not sent yet, when more of it may be written, and how much of it is sent at all.

use crate::wire::message::{OUTPUT_WINDOW, OutputTaken, Stream};
use ipclusterz_base::ids::PeerId;
use std::collections::HashMap;
use std::time::{Duration, Instant};

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

/// How long user code waits for a client, or a controller, that takes nothing. Then its text is dropped, until it does.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest piece of text that is written in one step.
const PIECE: usize = 256 << 10;

/// What is under way for one client.
#[derive(Debug)]
struct Account {
    under_way: u64,
    /// The client keeps hardly any more.
    full: bool,
    /// When something was taken last, or began to be under way.
    moved: Instant,
}

impl Account {
    fn new(now: Instant) -> Self {
        Account { under_way: 0, full: false, moved: now }
    }
}

/// Whether user code may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// It may.
    Free,
    /// Not before more is taken, or until then.
    Until(Instant),
    /// What it writes is dropped.
    None,
}

/// What is under way for each client: an engine does not write faster than it is read. Pure.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    of: HashMap<PeerId, Account>,
}

impl Accounts {
    /// Whether something may be written for a client, before anything else is sent.
    pub fn room(&self, client: PeerId, now: Instant) -> Room {
        match self.of.get(&client) {
            Some(account) if account.under_way >= OUTPUT_WINDOW => {
                let until = account.moved + PATIENCE;
                if until <= now { Room::None } else { Room::Until(until) }
            }
            _ => Room::Free,
        }
    }

    /// So much was written for a client.
    pub fn wrote(&mut self, client: PeerId, bytes: usize, now: Instant) {
        let account = self.of.entry(client).or_insert_with(|| Account::new(now));
        if account.under_way < OUTPUT_WINDOW {
            account.moved = now;
        }
        account.under_way += bytes as u64;
    }

    /// A client has taken so much, and keeps hardly any more or goes on keeping.
    pub fn taken(&mut self, taken: OutputTaken, now: Instant) {
        let account = self.of.entry(taken.client).or_insert_with(|| Account::new(now));
        account.under_way = account.under_way.saturating_sub(taken.bytes);
        (account.full, account.moved) = (taken.full, now);
    }

    /// How much a task for this client may write at once, bytes.
    pub fn burst(&self, client: PeerId) -> usize {
        if self.of.get(&client).is_some_and(|account| account.full) { BURST_UNKEPT } else { BURST }
    }

    /// A task of this client begins. Of the others, only those are remembered that matter.
    pub fn begin(&mut self, client: PeerId) {
        self.of.retain(|other, account| *other == client || account.full || account.under_way >= OUTPUT_WINDOW / 2);
    }

    /// The session is over, and nothing is under way any more.
    pub fn clear(&mut self) {
        self.of.clear();
    }
}

/// The first part of a long text, to be written in one step, and the rest. A line of a display is not cut.
pub(super) fn first_piece(stream: Stream, text: &str) -> (&str, &str) {
    if stream == Stream::Display { (text, "") } else { text.split_at(text.floor_char_boundary(PIECE)) }
}

/// Text that a task may write at once, bytes: as much as all results of a client keep.
const BURST: usize = 128 << 20;
/// The same when the client would not keep it: a little is shown of it.
const BURST_UNKEPT: usize = 2 << 20;
/// And so much more for each second that it runs. A task that wrote too much may go on when it has as much again.
const EACH_SECOND: usize = 64 << 10;

/// How much one task may write: a flood of output is cut, and is not sent.
#[derive(Debug)]
pub(super) struct Allowance {
    began: Instant,
    sent: usize,
    /// What was cut since text was sent last, where it was written to, and why.
    left_out: Option<(Stream, usize, &'static str)>,
}

impl Allowance {
    /// Of a task that begins now.
    pub fn new(began: Instant) -> Self {
        Allowance { began, sent: 0, left_out: None }
    }

    /// The beginning of `text` that may be sent, and what to send before it, where text was left out.
    /// `burst`: what the task may write at once.
    pub fn take<'a>(
        &mut self,
        (stream, text): (Stream, &'a str),
        burst: usize,
        now: Instant,
    ) -> (Option<(Stream, String)>, &'a str) {
        let room = self.room(burst, now);
        let waits = self.left_out.is_some() && room < EACH_SECOND.max(text.len());
        let fits = if waits { "" } else { &text[..text.floor_char_boundary(room)] };
        let note = if fits.is_empty() { None } else { self.note() };
        self.sent += fits.len();
        let cut = text.len() - fits.len();
        if cut > 0 {
            self.drop(stream, cut, "it came too fast");
        }
        (note, fits)
    }

    /// So much is not sent.
    pub fn drop(&mut self, stream: Stream, bytes: usize, why: &'static str) {
        // A note would be no line of what is displayed.
        let stream = if stream == Stream::Display { Stream::Stdout } else { stream };
        let before = self.left_out.map_or(0, |(_, before, _)| before);
        self.left_out = Some((stream, before + bytes, why));
    }

    /// What to say of that which was left out; once.
    pub fn note(&mut self) -> Option<(Stream, String)> {
        let (stream, bytes, why) = self.left_out.take()?;
        Some((stream, format!("\n[{bytes} bytes of output were left out: {why}]\n")))
    }

    fn room(&self, burst: usize, now: Instant) -> usize {
        let ran = now.saturating_duration_since(self.began).as_millis();
        let earned = usize::try_from(ran).unwrap_or(usize::MAX).saturating_mul(EACH_SECOND) / 1000;
        burst.saturating_add(earned).saturating_sub(self.sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Stream::{Display, Stderr, Stdout};
    use proptest::prelude::*;
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
        let burst = BURST_UNKEPT;
        let much = "ü".repeat(burst);
        let (note, fits) = allowance.take((Stdout, &much), burst, began);
        assert_eq!((note, fits.len()), (None, burst));
        assert_eq!(allowance.take((Stderr, "more"), burst, began), (None, ""));
        let soon = began + Duration::from_millis(500);
        assert_eq!(allowance.take((Stderr, "more"), burst, soon), (None, ""), "not a little now and then");
        let said = format!("\n[{} bytes of output were left out: it came too fast]\n", burst + 8);
        let later = began + Duration::from_secs(1);
        assert_eq!(allowance.take((Stdout, "again"), burst, later), (Some((Stderr, said)), "again"));
        assert_eq!(allowance.note(), None);
    }

    #[test]
    fn what_comes_slowly_comes_whole() {
        let began = Instant::now();
        let mut allowance = Allowance::new(began);
        let line = "x".repeat(EACH_SECOND);
        for second in 0..1000 {
            let now = began + Duration::from_secs(second);
            assert_eq!(allowance.take((Stdout, &line), BURST_UNKEPT, now), (None, &line[..]));
        }
    }

    #[test]
    fn long_text_is_cut_between_characters_and_lines_of_displays_are_not() {
        let text = "ü".repeat(PIECE);
        let (first, rest) = first_piece(Stdout, &text);
        assert_eq!((first.len(), rest.len()), (PIECE, PIECE));
        assert_eq!(first_piece(Display, &text), (&text[..], ""));
        assert_eq!(first_piece(Stderr, "short"), ("short", ""));
    }

    #[test]
    fn a_client_that_takes_nothing_is_waited_for_once() {
        let (mut accounts, begin, client) = (Accounts::default(), Instant::now(), PeerId(1));
        accounts.wrote(client, OUTPUT_WINDOW as usize, begin);
        assert_eq!(accounts.room(client, begin), Room::Until(begin + PATIENCE));
        let later = begin + PATIENCE;
        assert_eq!((accounts.room(client, later), accounts.room(PeerId(2), later)), (Room::None, Room::Free));
        accounts.begin(PeerId(2));
        assert_eq!(accounts.room(client, later), Room::None, "nor is it for its next task");
        accounts.taken(OutputTaken { client, bytes: 1, full: false }, later);
        assert_eq!(accounts.room(client, later), Room::Free);
        accounts.wrote(client, 1, later);
        assert_eq!(accounts.room(client, later), Room::Until(later + PATIENCE), "again, when it has taken something");
        accounts.clear();
        assert_eq!(accounts.room(client, later), Room::Free);
    }

    #[test]
    fn what_a_client_would_not_keep_is_cut_early() {
        let (mut accounts, now) = (Accounts::default(), Instant::now());
        let told = |number, full| OutputTaken { client: PeerId(number), bytes: 0, full };
        accounts.taken(told(1, true), now);
        accounts.begin(PeerId(2));
        assert_eq!([1, 2].map(|number| accounts.burst(PeerId(number))), [BURST_UNKEPT, BURST]);
        accounts.taken(told(1, false), now);
        assert_eq!(accounts.burst(PeerId(1)), BURST);
    }

    proptest! {
        /// Whoever writes and takes: little more than the window is under way, and what is taken makes room.
        #[test]
        fn what_is_under_way_is_bounded(steps in proptest::collection::vec((0..3_u64, 0..2 * PIECE, any::<bool>()), 0..300)) {
            let (mut accounts, mut now) = (Accounts::default(), Instant::now());
            let mut model = [0_u64; 3];
            for (number, bytes, writes) in steps {
                let (client, sum) = (PeerId(number), &mut model[number as usize]);
                now += Duration::from_millis(10);
                if writes && accounts.room(client, now) == Room::Free {
                    accounts.wrote(client, bytes, now);
                    *sum += bytes as u64;
                } else if !writes {
                    let taken = (*sum).min(bytes as u64);
                    accounts.taken(OutputTaken { client, bytes: taken, full: false }, now);
                    *sum -= taken;
                }
                prop_assert!(*sum < OUTPUT_WINDOW + 2 * PIECE as u64);
                prop_assert_eq!(accounts.room(client, now) == Room::Free, *sum < OUTPUT_WINDOW);
                prop_assert_eq!(accounts.room(client, now + PATIENCE) == Room::None, *sum >= OUTPUT_WINDOW);
            }
        }
    }
}
