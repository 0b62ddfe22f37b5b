//! Text that user code wrote and that is not sent yet.

use crate::wire::message::Stream;

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

#[cfg(test)]
mod tests {
    use super::*;
    use Stream::{Display, Stderr, Stdout};

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
}
