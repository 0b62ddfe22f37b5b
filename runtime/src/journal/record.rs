//! How records stand in a log: one after the other, each with its length, a CRC and a number.
//!
//! ```text
//! length of the body, 8 bytes | CRC-32 of number and body, 4 | number, 4 | body
//! ```
//!
//! All numbers are little-endian. Records are numbered from 0 in each log, so that a search finds the next one behind a
//! damaged place. A body begins with its kind: an [`Event`](Body::Event), or a [`Synced`](Body::Synced) mark that says up to where the
//! log had reached the disk. What is not whole behind the last mark is the torn end of a process or a host that died: it was never
//! said to be kept. What is not whole before a mark is damage.

/// Bytes before the body.
const HEAD: usize = 16;
const EVENT: u8 = 1;
const SYNCED: u8 = 2;

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// What whoever appended it means by it.
    Event(&'a [u8]),
    /// Up to this offset the file was on disk.
    Synced(u64),
}

/// Appends an event, which `write` adds to the buffer.
pub fn push_event(buffer: &mut Vec<u8>, number: u32, write: impl FnOnce(&mut Vec<u8>)) {
    push(buffer, number, EVENT, write);
}

/// Appends a mark.
pub fn push_synced(buffer: &mut Vec<u8>, number: u32, offset: u64) {
    push(buffer, number, SYNCED, |buffer| buffer.extend_from_slice(&offset.to_le_bytes()));
}

fn push(buffer: &mut Vec<u8>, number: u32, kind: u8, write: impl FnOnce(&mut Vec<u8>)) {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; HEAD]);
    buffer.push(kind);
    write(buffer);
    let Some((head, body)) = buffer.get_mut(start..).and_then(|record| record.split_at_mut_checked(HEAD)) else {
        return;
    };
    let crc = crc(number, body);
    let fields = (body.len() as u64).to_le_bytes().into_iter().chain(crc.to_le_bytes()).chain(number.to_le_bytes());
    head.iter_mut().zip(fields).for_each(|(byte, field)| *byte = field);
}

fn crc(number: u32, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(body);
    hasher.finalize()
}

/// The record with this number at the beginning of `bytes`, and how long it is; none if it is not whole.
fn read(bytes: &[u8], number: u32) -> Option<(Body<'_>, usize)> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let length = usize::try_from(u64::from_le_bytes(head.get(..8)?.try_into().ok()?)).ok()?;
    let stored = u32::from_le_bytes(head.get(8..12)?.try_into().ok()?);
    let its = u32::from_le_bytes(head.get(12..16)?.try_into().ok()?);
    let body = rest.get(..length).filter(|_| its == number)?;
    let (kind, content) = body.split_first().filter(|_| crc(number, body) == stored)?;
    let body = match *kind {
        EVENT => Body::Event(content),
        SYNCED => Body::Synced(u64::from_le_bytes(content.try_into().ok()?)),
        _ => return None,
    };
    Some((body, HEAD.saturating_add(length)))
}

/// How a log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With a whole record.
    Whole,
    /// What begins at this offset is not whole, and was never said to be kept.
    Torn(usize),
    /// What begins at this offset is not whole, and was on disk once.
    Damaged(usize),
}

/// Reads the records in `bytes`, which begin at `from`. Gives each event to `take`. Returns how the log ends, and the number of the
/// next record.
pub fn read_all<E>(
    bytes: &[u8],
    from: usize,
    mut take: impl FnMut(usize, &[u8]) -> Result<(), E>,
) -> Result<(End, u32), E> {
    let (mut offset, mut number) = (from, 0_u32);
    while offset < bytes.len() {
        let rest = bytes.get(offset..).unwrap_or_default();
        let Some((body, length)) = read(rest, number) else {
            let end = if was_on_disk(rest, offset, number) { End::Damaged(offset) } else { End::Torn(offset) };
            return Ok((end, number));
        };
        if let Body::Event(event) = body {
            take(offset, event)?;
        }
        offset = offset.saturating_add(length);
        number = number.wrapping_add(1);
    }
    Ok((End::Whole, number))
}

/// How many events in `bytes` are whole, wherever they begin.
pub fn count_whole(bytes: &[u8]) -> u64 {
    let (mut offset, mut count) = (0_usize, 0_u64);
    while let Some(rest) = bytes.get(offset..).filter(|rest| rest.len() > HEAD) {
        let number = rest.get(12..16).and_then(|field| field.try_into().ok()).map(u32::from_le_bytes);
        match number.and_then(|number| read(rest, number)) {
            Some((body, length)) => {
                count = count.saturating_add(u64::from(matches!(body, Body::Event(_))));
                offset = offset.saturating_add(length);
            }
            None => offset = offset.saturating_add(1),
        }
    }
    count
}

/// Whether a mark behind the place at `offset` says that it was on disk.
fn was_on_disk(rest: &[u8], offset: usize, number: u32) -> bool {
    (1..rest.len()).any(|skip| {
        let Some(candidate) = rest.get(skip..).filter(|candidate| candidate.len() > HEAD) else { return false };
        let its = candidate.get(12..16).and_then(|field| field.try_into().ok()).map(u32::from_le_bytes);
        // Nearly all places fail here.
        let Some(its) = its.filter(|its| *its > number && its.wrapping_sub(number) as usize <= rest.len()) else {
            return false;
        };
        matches!(read(candidate, its), Some((Body::Synced(until), _)) if until > offset as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Records, and where each ends.
    fn log(events: &[Vec<u8>], marks: &[usize]) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut ends, mut number) = (Vec::new(), Vec::new(), 0);
        for (index, event) in events.iter().enumerate() {
            push_event(&mut bytes, number, |buffer| buffer.extend_from_slice(event));
            number += 1;
            ends.push(bytes.len());
            if marks.contains(&index) {
                let until = bytes.len() as u64;
                push_synced(&mut bytes, number, until);
                number += 1;
            }
        }
        (bytes, ends)
    }

    fn events(bytes: &[u8]) -> (Vec<Vec<u8>>, End) {
        let mut found = Vec::new();
        let take = |_, event: &[u8]| -> Result<(), ()> {
            found.push(event.to_vec());
            Ok(())
        };
        let (end, _) = read_all(bytes, 0, take).expect("nothing is refused");
        (found, end)
    }

    proptest! {
        #[test]
        fn a_log_that_is_cut_anywhere_has_the_records_before_the_cut(
            written in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..12),
            marks in proptest::collection::vec(0..12_usize, 0..3),
            cut in any::<proptest::sample::Index>(),
        ) {
            let (bytes, ends) = log(&written, &marks);
            prop_assert_eq!(events(&bytes), (written.clone(), End::Whole));
            let cut = cut.index(bytes.len() + 1);
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let (found, end) = events(&bytes[..cut]);
            prop_assert_eq!(&found[..], &written[..whole]);
            prop_assert!(matches!(end, End::Whole | End::Torn(_)));
        }

        #[test]
        fn what_was_on_disk_and_is_not_whole_is_damage(
            written in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 2..12),
            at in any::<proptest::sample::Index>(),
            flip in 1..=255_u8,
        ) {
            let last = written.len() - 1;
            let (mut bytes, ends) = log(&written, &[last]);
            let place = at.index(ends[last]);
            bytes[place] ^= flip;
            let start = ends.iter().rfind(|end| **end <= place).copied().unwrap_or_default();
            let (found, end) = events(&bytes);
            prop_assert_eq!(found.len(), ends.iter().filter(|end| **end <= place).count());
            prop_assert_eq!(end, End::Damaged(start));
            // Without the mark nobody was told that it is kept.
            let (mut bytes, ends) = log(&written, &[]);
            bytes[at.index(ends[last])] ^= flip;
            prop_assert!(matches!(events(&bytes).1, End::Torn(_)));
        }
    }
}
