//! The target `decode` as a program of libFuzzer's.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ipclusterz_fuzz::decode(bytes));
