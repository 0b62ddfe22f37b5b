//! Chunks that travel compressed: LZ4 in blocks (the crate `lz4_flex`, its safe variants). Pure.

/// Bytes that are tried first, from the middle of a chunk.
const SAMPLE: usize = 16 << 10;
/// Shorter chunks are not worth it.
const LEAST: usize = 4 << 10;

/// What came does not become the chunk that was announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a compressed chunk that does not become what was announced")]
pub(super) struct Unpressable;

/// The chunk in less than its bytes; none if it does not become shorter by a fifth at least.
pub(super) fn press(chunk: &[u8]) -> Option<Vec<u8>> {
    if chunk.len() < LEAST {
        return None;
    }
    let start = chunk.len().saturating_sub(SAMPLE) / 2;
    let sample = chunk.get(start..start.saturating_add(SAMPLE)).unwrap_or(chunk);
    let tried = shorter(sample)?;
    if sample.len() == chunk.len() { Some(tried) } else { shorter(chunk) }
}

fn shorter(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut room = vec![0; lz4_flex::block::get_maximum_output_size(bytes.len())];
    let length = lz4_flex::block::compress_into(bytes, &mut room).ok()?;
    room.truncate(length);
    (length <= bytes.len() / 5 * 4).then_some(room)
}

/// Fills `room`, neither less nor more, with what was compressed.
pub(super) fn unpress(pressed: &[u8], room: &mut [u8]) -> Result<(), Unpressable> {
    match lz4_flex::block::decompress_into(pressed, room) {
        Ok(length) if length == room.len() => Ok(()),
        _ => Err(Unpressable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipclusterz_base::random::random_key;
    use proptest::prelude::*;

    fn chance(length: usize) -> Vec<u8> {
        (0..length.div_ceil(32)).flat_map(|_| random_key::<32>().expect("chance")).take(length).collect()
    }

    #[test]
    fn what_does_not_become_shorter_is_left_as_it_is() {
        assert_eq!(press(&chance(1 << 20)), None);
        assert_eq!(press(&vec![0; LEAST - 1]), None);
        // The sample is of the middle: what is around it can be like this.
        let mut half = vec![0; 1 << 20];
        half[..300 << 10].copy_from_slice(&chance(300 << 10));
        half[700 << 10..].copy_from_slice(&chance(324 << 10));
        assert_eq!(press(&half).map(|pressed| pressed.len() <= (1 << 20) / 5 * 4), Some(true));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_chunk_comes_back(length in 0..100_000_usize, period in 1..300_usize) {
            let chunk: Vec<u8> = (0..length).map(|index| (index % period) as u8).collect();
            if let Some(pressed) = press(&chunk) {
                let mut room = vec![1; length];
                prop_assert_eq!(unpress(&pressed, &mut room), Ok(()));
                prop_assert_eq!(room, chunk);
                // Of another length, it is refused.
                prop_assert_eq!(unpress(&pressed, &mut vec![0; length - 1]), Err(Unpressable));
                prop_assert_eq!(unpress(&pressed, &mut vec![0; length + 1]), Err(Unpressable));
            }
        }

        #[test]
        fn any_bytes_fill_the_room_or_are_refused(pressed: Vec<u8>, length in 0..70_000_usize) {
            let _ = unpress(&pressed, &mut vec![0; length]);
        }
    }
}
