//! Which part of a map each request of a submission is. The submission says that of itself, for whoever makes its result
//! again; here it is read for whoever looks on.

use crate::wire::message::PartOfMap;
use ipclusterz_base::ids::RequestId;
use serde::Deserialize;

/// What a submission says of itself if it is one of a map.
#[derive(Deserialize)]
struct About {
    #[serde(rename = "as")]
    kind: String,
    /// Elements of its requests: how many, and of how many requests in a row.
    #[serde(default)]
    sizes: Vec<(u64, u32)>,
    /// The first request of the map, if this submission is not its first.
    #[serde(default)]
    head: Option<u64>,
    /// How many elements the map has, if there are several submissions.
    #[serde(default)]
    length: Option<u64>,
}

/// The parts that the requests from `first` on are. Nothing where they are of no map.
pub(super) fn parts(about: Option<&[u8]>, first: RequestId) -> Vec<PartOfMap> {
    // Nearly all others are known by that.
    let told = about.filter(|about| about.starts_with(b"{\"as\":\"map\""));
    let Some(About { kind, sizes, head, length }) = told.and_then(|about| serde_json::from_slice(about).ok()) else {
        return Vec::new();
    };
    if kind != "map" {
        return Vec::new();
    }
    let all = sizes.iter().map(|(elements, times)| elements.saturating_mul(u64::from(*times)));
    let of = Some(length.unwrap_or_else(|| all.fold(0, u64::saturating_add)));
    let head = head.map_or(first, RequestId);
    let part = |elements| PartOfMap { head, elements, of };
    sizes.into_iter().flat_map(|(elements, times)| std::iter::repeat_n(part(elements), times as usize)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_map_are_known_by_what_it_says_of_itself() {
        let part = |head, elements, of| PartOfMap { head: RequestId(head), elements, of: Some(of) };
        let about: &[u8] = br#"{"as":"map","sizes":[[4,2],[3,1]],"ordered":true}"#;
        assert_eq!(parts(Some(about), RequestId(7)), [part(7, 4, 11), part(7, 4, 11), part(7, 3, 11)]);
        let about: &[u8] = br#"{"as":"map","sizes":[[1,1]],"first":9,"length":100,"head":3}"#;
        assert_eq!(parts(Some(about), RequestId(8)), [part(3, 1, 100)]);
        for other in [None, Some(&br#"{"as":"gather","dist":"b"}"#[..]), Some(b"{\"as\":\"map\""), Some(b"")] {
            assert!(parts(other, RequestId(1)).is_empty());
        }
    }
}
