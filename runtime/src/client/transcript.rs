//! What one call writes while it runs: one log of chunks in the order in which they were written, whatever the stream.

use crate::wire::message::Stream;

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
}

impl Transcript {
    /// Bytes of all chunks: the cursor behind everything that is there.
    pub fn len(&self) -> usize {
        self.chunks.last().map_or(0, |last| last.start + last.text.len())
    }

    /// More was written.
    pub fn push(&mut self, stream: Stream, text: &str) {
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
        let first = self.chunks.partition_point(|chunk| chunk.start + chunk.text.len() <= cursor);
        let unseen = self.chunks[first..].iter().map(|chunk| {
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
}
