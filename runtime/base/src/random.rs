//! Random names and tokens.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// A key: random bytes from the kernel; none where it gives none.
pub fn random_key<const BYTES: usize>() -> Option<[u8; BYTES]> {
    let mut key = [0; BYTES];
    getrandom::fill(&mut key).ok()?;
    Some(key)
}

/// `bytes` random bytes from the kernel, in hexadecimal. Takes no descriptor.
pub fn random_hex(bytes: usize) -> String {
    let mut buffer = vec![0_u8; bytes];
    if getrandom::fill(&mut buffer).is_err() {
        // No kernel that runs this program lacks the call; a filter of system calls might. The standard library has
        // random keys for its hash maps, or this program would not have come here.
        let keys = RandomState::new();
        for (index, part) in buffer.chunks_mut(8).enumerate() {
            let random = keys.hash_one(index).to_le_bytes();
            part.copy_from_slice(&random[..part.len()]);
        }
    }
    buffer.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_another_and_as_long_as_asked_for() {
        assert_eq!((random_hex(0).len(), random_hex(5).len(), random_hex(16).len()), (0, 10, 32));
        assert_ne!(random_hex(16), random_hex(16));
        assert_ne!(random_key::<16>(), random_key::<16>());
    }
}
