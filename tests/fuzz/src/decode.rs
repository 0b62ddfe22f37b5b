//! A header from the wire.

use ipclusterz_runtime::wire::codec;

/// Any bytes as a header: refused, or a message that means the same after another way to bytes and back.
pub fn decode(bytes: &[u8]) {
    if let Ok(message) = codec::decode(bytes) {
        let again = codec::encode(&message);
        // Compared as bytes: a NaN in a time is not equal to itself.
        assert_eq!(codec::encode(&codec::decode(&again).expect("our own header")), again);
    }
}
