//! Any bytes as a header: refused or decoded, never a crash; what was decoded can be encoded and means the same.
//!
//! Run it with `cargo +nightly fuzz run decode` in `runtime/`.

#![no_main]

use ipclusterz_runtime::wire::codec::{decode, encode};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = decode(bytes) {
        let again = encode(&message);
        // Compared as bytes: a NaN in a time is not equal to itself.
        assert_eq!(encode(&decode(&again).expect("our own header")), again);
    }
});
