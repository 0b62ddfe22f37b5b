//! Keys of tasks, the right answer to each, and random numbers that a seed decides.

/// Spreads the bits of a number over all of it: the output function of SplitMix64 (Steele, Lea, Flood 2014). No two numbers
/// give the same.
const fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// What SplitMix64 counts by.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Names a task, in the whole run: which client has submitted it, and which of its tasks it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(u64);

impl Key {
    /// Of a client's task. Another seed is another run against the same engines.
    pub fn new(seed: u16, client: u16, number: u32) -> Key {
        Key(u64::from(seed) << 48 | u64::from(client) << 32 | u64::from(number))
    }

    /// From a task's payload.
    pub fn read(bytes: &[u8]) -> Option<Key> {
        bytes.try_into().ok().map(|bytes| Key(u64::from_le_bytes(bytes)))
    }

    /// As a task's payload.
    pub fn bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }

    /// The payload of the right answer.
    pub fn answer(self) -> [u8; 8] {
        mix(self.0.wrapping_add(STEP)).to_le_bytes()
    }
}

/// SplitMix64.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// One for each peer of a run.
    pub fn new(seed: u16, peer: u16) -> Random {
        Random(mix(u64::from(seed) << 16 | u64::from(peer)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// From 0 up to, and not with, 1.
    pub fn share(&mut self) -> f64 {
        // As many bits as a mantissa has.
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// One of `count` indexes; 0 if there are none.
    pub fn index(&mut self, count: usize) -> usize {
        (self.share() * count as f64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_task_has_a_key_and_an_answer_of_its_own() {
        let clients = (0..4).flat_map(|client| (0..1000).map(move |number| Key::new(7, client, number)));
        let keys: Vec<Key> = clients.chain([Key::new(8, 0, 0)]).collect();
        let answers: HashSet<[u8; 8]> = keys.iter().map(|key| key.answer()).collect();
        assert_eq!(answers.len(), keys.len());
        assert!(keys.iter().all(|key| Key::read(&key.bytes()) == Some(*key) && key.answer() != key.bytes()));
        assert_eq!(Key::read(b"short"), None);
    }

    #[test]
    fn what_is_drawn_is_decided_by_seed_and_peer() {
        let draw = |seed, peer| {
            let mut random = Random::new(seed, peer);
            (0..1000).map(|_| random.index(10)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1, 2), draw(1, 2));
        assert!(draw(1, 2) != draw(2, 1) && draw(1, 2) != draw(1, 3));
        let found: HashSet<usize> = draw(1, 2).into_iter().collect();
        assert_eq!(found, (0..10).collect());
    }
}
