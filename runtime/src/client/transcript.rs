//! What one call writes while it runs: one log of chunks in the order in which they were written, whatever the stream.
//! And how much of it all results of a client may keep.

use crate::wire::message::Stream;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// Text that all results of a client keep, bytes.
const KEPT_MAX: usize = 128 << 20;
/// Text of one call that is kept in any case, so that what others keep does not silence it.
const ALWAYS_KEPT: usize = 64 << 10;

/// What a line of the displays begins with that has published data: names, and the text of each value, as an object of JSON.
const PUBLISHED: &str = "{\"data\": {\"application/vnd.ipclusterz.data+json\": ";
/// Bytes of published data that are kept of one call; an engine publishes less.
const PUBLISHED_MAX: usize = 1 << 20;

/// How much text the results of a client keep, bytes; and whether it counts as full.
#[derive(Debug, Default)]
pub struct Kept(AtomicUsize, AtomicBool);

impl Kept {
    /// How many of `more` bytes a call may keep that keeps `own` bytes already.
    fn room(&self, own: usize, more: usize) -> usize {
        if self.0.load(Relaxed).saturating_add(more) <= KEPT_MAX {
            more
        } else {
            more.min(ALWAYS_KEPT.saturating_sub(own))
        }
    }

    /// So many more bytes are kept.
    fn count(&self, bytes: usize) {
        self.0.fetch_add(bytes, Relaxed);
    }

    /// Hardly any more is kept; from then on, until there is much room again.
    pub(super) fn is_full(&self) -> bool {
        let kept = self.0.load(Relaxed);
        let full = kept > if self.1.load(Relaxed) { KEPT_MAX / 2 } else { KEPT_MAX - (1 << 20) };
        self.1.store(full, Relaxed);
        full
    }

    /// These bytes are freed.
    pub(super) fn free(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Relaxed);
    }
}

#[derive(Debug)]
struct Chunk {
    stream: Stream,
    text: String,
    /// Bytes of all chunks before this one.
    start: usize,
}

/// The log of one call. Neighbours of the same stream are one chunk.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    chunks: Vec<Chunk>,
    /// Cursor behind what was taken.
    taken: usize,
    /// Bytes of text that were not kept.
    left_out: usize,
    /// Of each name the last value that was published.
    published: BTreeMap<String, String>,
}

impl Transcript {
    /// Bytes of all chunks: the cursor behind everything that is there.
    pub fn len(&self) -> usize {
        self.chunks.last().map_or(0, |last| last.start.saturating_add(last.text.len()))
    }

    /// More was written; text is only kept as far as `kept` allows.
    pub fn write(&mut self, stream: Stream, text: &str, kept: &Kept) {
        let text = &*if stream == Stream::Display { self.publish(text) } else { text.into() };
        let room = kept.room(self.len(), text.len());
        // Of what is displayed, a part is of no use.
        let fits = if stream == Stream::Display && room < text.len() { 0 } else { text.floor_char_boundary(room) };
        let (kept_text, left_out) = text.split_at_checked(fits).unwrap_or(("", text));
        if !kept_text.is_empty() {
            kept.count(kept_text.len());
            self.push(stream, kept_text);
        }
        if stream != Stream::Display {
            self.left_out = self.left_out.saturating_add(left_out.len());
        }
    }

    /// The last value of each name that was published.
    pub fn published(&self) -> Vec<(String, String)> {
        self.published.clone().into_iter().collect()
    }

    /// Takes what is published from lines of the displays.
    fn publish<'a>(&mut self, lines: &'a str) -> Cow<'a, str> {
        if !lines.contains(PUBLISHED) {
            return lines.into();
        }
        let (data, others): (Vec<&str>, Vec<&str>) =
            lines.split_inclusive('\n').partition(|line| line.starts_with(PUBLISHED));
        for line in data {
            let object = line.get(PUBLISHED.len()..).unwrap_or_default();
            // What stands behind the object is the end of the line.
            let update = serde_json::Deserializer::from_str(object).into_iter::<BTreeMap<String, String>>().next();
            self.published.extend(update.and_then(Result::ok).unwrap_or_default());
        }
        let sizes = self.published.iter().map(|(name, value)| name.len().saturating_add(value.len()));
        let bytes = sizes.fold(0, usize::saturating_add);
        if bytes > PUBLISHED_MAX {
            self.published.clear();
        }
        others.concat().into()
    }

    /// Nothing more comes: says how much was not kept.
    pub fn end(&mut self, kept: &Kept) {
        if self.left_out > 0 {
            let note = format!("\n[{} bytes of output were not kept: results keep too much already]\n", self.left_out);
            kept.count(note.len());
            self.push(Stream::Stdout, &note);
        }
    }

    /// What was written since this was called last.
    pub fn take(&mut self) -> Vec<(Stream, String)> {
        let news = self.since(self.taken).unwrap_or_default();
        self.taken = self.len();
        news
    }

    fn push(&mut self, stream: Stream, text: &str) {
        match self.chunks.last_mut() {
            Some(last) if last.stream == stream => last.text.push_str(text),
            _ => self.chunks.push(Chunk { stream, text: text.to_owned(), start: self.len() }),
        }
    }

    /// All text of one stream.
    pub fn joined(&self, stream: Stream) -> String {
        self.chunks.iter().filter(|chunk| chunk.stream == stream).map(|chunk| chunk.text.as_str()).collect()
    }

    /// What was written behind `cursor`, in order. None: no earlier `len` was `cursor`.
    pub fn since(&self, cursor: usize) -> Option<Vec<(Stream, String)>> {
        if cursor > self.len() {
            return None;
        }
        let first = self.chunks.partition_point(|chunk| chunk.start.saturating_add(chunk.text.len()) <= cursor);
        let unseen = self.chunks.iter().skip(first).map(|chunk| {
            let seen = cursor.saturating_sub(chunk.start);
            Some((chunk.stream, chunk.text.get(seen..)?.to_owned()))
        });
        unseen.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Stream::{Stderr, Stdout};

    #[test]
    fn the_order_of_the_streams_is_kept_and_neighbours_are_one() {
        let mut log = Transcript::default();
        for (stream, text) in [(Stdout, "a"), (Stdout, "b"), (Stderr, "c"), (Stdout, "d")] {
            log.push(stream, text);
        }
        assert_eq!((log.joined(Stdout), log.joined(Stderr)), ("abd".to_owned(), "c".to_owned()));
        let all = [(Stdout, "ab"), (Stderr, "c"), (Stdout, "d")].map(|(stream, text)| (stream, text.to_owned()));
        assert_eq!(log.since(0), Some(all.to_vec()));
    }

    #[test]
    fn of_what_is_published_the_last_is_kept_and_is_no_display() {
        let (mut log, kept) = (Transcript::default(), Kept::default());
        let line = |object: &str| format!("{PUBLISHED}{object}}}, \"metadata\": {{}}}}\n");
        let figure = "{\"data\": {\"text/plain\": \"figure\"}, \"metadata\": {}}\n";
        let text = [&line(r#"{"a": "1", "b": "2"}"#), figure, &line(r#"{"a": "3"}"#), &line("no object")].concat();
        log.write(Stream::Display, &text, &kept);
        let published = [("a", "3"), ("b", "2")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!((log.published(), log.joined(Stream::Display)), (published.to_vec(), figure.to_owned()));
        log.write(Stream::Display, &line(&format!("{{\"c\": \"{}\"}}", "x".repeat(PUBLISHED_MAX))), &kept);
        assert_eq!(log.published(), [], "nobody publishes so much");
    }

    #[test]
    fn a_cursor_gives_each_byte_once() {
        let mut log = Transcript::default();
        let (mut cursor, mut seen) = (0, String::new());
        for (stream, text) in [(Stdout, "é"), (Stdout, "b"), (Stderr, "c"), (Stderr, "d"), (Stdout, "e")] {
            log.push(stream, text);
            seen.extend(log.since(cursor).expect("an earlier length").into_iter().map(|(_, text)| text));
            cursor = log.len();
            assert_eq!(log.since(cursor), Some(vec![]));
        }
        assert_eq!(seen, "ébcde");
        assert_eq!(log.since(cursor + 1), None, "beyond the end");
        assert_eq!(log.since(1), None, "inside a character");
    }
    #[test]
    fn each_piece_is_taken_once() {
        let (mut log, kept) = (Transcript::default(), Kept::default());
        log.write(Stdout, "a", &kept);
        assert_eq!(log.take(), [(Stdout, "a".to_owned())]);
        log.write(Stdout, "b", &kept);
        log.write(Stderr, "c", &kept);
        assert_eq!(log.take(), [(Stdout, "b".to_owned()), (Stderr, "c".to_owned())]);
        assert_eq!(log.take(), []);
        assert_eq!(log.joined(Stdout), "ab");
    }

    #[test]
    fn results_keep_so_much_together_and_each_call_a_little() {
        let (mut full, mut other, kept) = (Transcript::default(), Transcript::default(), Kept::default());
        full.write(Stdout, &"x".repeat(KEPT_MAX), &kept);
        other.write(Stderr, "heard", &kept);
        other.write(Stdout, &"x".repeat(ALWAYS_KEPT), &kept);
        other.end(&kept);
        let note = format!(
            "{}\n[5 bytes of output were not kept: results keep too much already]\n",
            "x".repeat(ALWAYS_KEPT - 5)
        );
        assert_eq!((other.joined(Stderr), other.joined(Stdout)), ("heard".to_owned(), note));
        assert!(kept.is_full());
        kept.free(full.len());
        assert!(!kept.is_full());
        other.write(Stdout, &"x".repeat(ALWAYS_KEPT), &kept);
        kept.free(other.len());
        assert_eq!(kept.0.load(Relaxed), 0);
    }
}
