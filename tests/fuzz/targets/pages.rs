//! Any bytes as successive pages.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| pollcast_fuzz::check::pages::check(input));
