//! Lines that come again and again are counted, not written. Pure.
//!
//! Lines are of one kind when they differ in numbers and addresses alone. The first of a kind are written. What comes
//! beyond is held back, and once a second one line says how many there were. A kind that was silent for a while is new.

use std::collections::HashMap;
use std::time::Duration;

/// How long lines are held back.
const HOLD: Duration = Duration::from_secs(1);
/// A kind of which nothing came for so long is forgotten.
const SILENCE: Duration = Duration::from_secs(10);
/// Kinds that are told apart; what comes beyond is of one kind together.
const KINDS_MAX: usize = 1000;
/// Bytes of a line that tell its kind.
const KIND_BYTES: usize = 200;

#[derive(Debug)]
struct Kind {
    written: u32,
    latest: Duration,
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    line: String,
    count: u64,
    until: Duration,
}

/// What was said of late, by kind.
#[derive(Debug, Default)]
pub struct Repeats {
    kinds: HashMap<String, Kind>,
}

impl Repeats {
    /// A line at time `now`, of whose kind `most` are written before others are held back. Gives it back if it is to be
    /// written.
    pub fn line(&mut self, line: String, most: u32, now: Duration) -> Option<String> {
        let mut key = kind_of(&line);
        if self.kinds.len() >= KINDS_MAX && !self.kinds.contains_key(&key) {
            key.clear();
        }
        let kind = self.kinds.entry(key).or_insert(Kind { written: 0, latest: now, held: None });
        kind.latest = now;
        if kind.held.is_none() && kind.written < most {
            kind.written += 1;
            return Some(line);
        }
        let held = kind.held.get_or_insert(Held { line: String::new(), count: 0, until: now + HOLD });
        held.line = line;
        held.count += 1;
        None
    }

    /// What was held back for long enough, to be written now.
    pub fn due(&mut self, now: Duration) -> Vec<String> {
        let due = self.kinds.values_mut().filter_map(|kind| kind.held.take_if(|held| held.until <= now)).collect();
        self.kinds.retain(|_, kind| kind.held.is_some() || kind.latest + SILENCE > now);
        told(due)
    }

    /// Everything that is held back.
    pub fn rest(&mut self) -> Vec<String> {
        told(self.kinds.values_mut().filter_map(|kind| kind.held.take()).collect())
    }

    /// When `due` has something.
    pub fn next_due(&self) -> Option<Duration> {
        self.kinds.values().filter_map(|kind| kind.held.as_ref().map(|held| held.until)).min()
    }
}

/// In the order in which they began to be held back.
fn told(mut due: Vec<Held>) -> Vec<String> {
    due.sort_by_key(|held| held.until);
    due.into_iter().map(Held::tell).collect()
}

impl Held {
    /// The last of them, and how many more there were.
    fn tell(self) -> String {
        let more = self.count - 1;
        let line = self.line.trim_end_matches('\n');
        if more == 0 { self.line } else { format!("{line} (… and {} more like it in 1 s)\n", grouped(more)) }
    }
}

/// The line without what differs between lines of one kind: words with a digit, and runs of hexadecimal digits.
fn kind_of(line: &str) -> String {
    let end = line.floor_char_boundary(KIND_BYTES);
    let mut kind = String::with_capacity(end);
    for word in line[..end].split_inclusive(|letter: char| !letter.is_alphanumeric()) {
        let letters = word.trim_end_matches(|letter: char| !letter.is_alphanumeric());
        let hexadecimal = letters.len() >= 4 && letters.bytes().all(|byte| byte.is_ascii_hexdigit());
        if hexadecimal || letters.contains(|letter: char| letter.is_ascii_digit()) {
            kind.push('#');
            kind.push_str(&word[letters.len()..]);
        } else {
            kind.push_str(word);
        }
    }
    kind
}

/// `2871` as `2,871`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_flood_is_one_line_a_second_and_hides_no_other_line() {
        let mut repeats = Repeats::default();
        let mut written = Vec::new();
        for number in 0..30_000_u32 {
            let now = SECOND * number / 10_000;
            written.extend(repeats.due(now));
            let line = format!("WARN rejected: connection {number}: it broke the handshake off");
            written.extend(repeats.line(line, 5, now));
            if number == 15_000 {
                written.extend(repeats.line("INFO engine 3 registered".to_owned(), 5, now));
            }
        }
        written.extend(repeats.rest());
        assert_eq!(written.len(), 5 + 3 + 1, "{written:#?}");
        assert!(written.contains(&"INFO engine 3 registered".to_owned()));
        assert!(written.last().is_some_and(|line| line.ends_with(" more like it in 1 s)\n")), "{written:#?}");
    }

    #[test]
    fn kinds_differ_in_words_and_not_in_numbers() {
        let same = ["hello from 3f8a-beef:90 at 10.0.0.1", "hello from 77aa-cafe:8 at 192.168.77.10"];
        assert_eq!(kind_of(same[0]), kind_of(same[1]));
        assert_ne!(kind_of("engine 1 joined"), kind_of("engine 1 left"));
        assert_eq!(kind_of("ü".repeat(300).as_str()).len(), KIND_BYTES);
        assert_eq!([0, 12, 123, 1234, 1_234_567].map(grouped), ["0", "12", "123", "1,234", "1,234,567"]);
    }

    proptest! {
        /// Whatever comes whenever: each line is written, or counted in a line that is.
        #[test]
        fn no_line_is_lost(steps in proptest::collection::vec((0..5_usize, 0..900_u64), 0..400)) {
            let kinds = ["one", "two", "three", "four", "five"];
            let (mut repeats, mut now, mut told, mut given) = (Repeats::default(), Duration::ZERO, 0, [0_u64; 5]);
            let count = |line: &str| 1 + line.split("and ").nth(1).map_or(0, |rest| {
                rest.split(' ').next().unwrap_or_default().replace(',', "").parse::<u64>().expect("a number")
            });
            for (kind, pause) in steps {
                now += Duration::from_millis(pause);
                prop_assert!(repeats.next_due().is_none_or(|at| at <= now + HOLD));
                told += repeats.due(now).iter().map(|line| count(line)).sum::<u64>();
                prop_assert!(repeats.next_due().is_none_or(|at| at > now));
                told += repeats.line(format!("{} {}", kinds[kind], now.as_millis()), 2, now).map_or(0, |_| 1);
                given[kind] += 1;
            }
            told += repeats.rest().iter().map(|line| count(line)).sum::<u64>();
            prop_assert_eq!(told, given.iter().sum::<u64>());
            prop_assert_eq!(repeats.next_due(), None);
        }

        /// However many kinds there are, a bounded number is kept, and a bounded number of lines written in a second.
        #[test]
        fn kinds_are_bounded(words in proptest::collection::vec("[g-z]{6}", 0..3000)) {
            let mut repeats = Repeats::default();
            let written = words.iter().filter(|word| repeats.line((*word).clone(), 1, SECOND).is_some()).count();
            prop_assert!(written <= KINDS_MAX + 1);
            prop_assert!(repeats.kinds.len() <= KINDS_MAX + 1);
            drop(repeats.due(SECOND * 20));
            prop_assert!(repeats.kinds.is_empty() || repeats.kinds.len() <= 1);
        }
    }
}
