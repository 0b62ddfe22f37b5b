//! Hands the place where libsodium was built on to `src/lib.rs`.

fn main() {
    for (from, to) in [("DEP_SODIUM_INCLUDE", "SODIUM_INCLUDE"), ("DEP_SODIUM_LIB", "SODIUM_LIB")] {
        let value = std::env::var(from).expect("libsodium-sys-stable says where it was built");
        println!("cargo:rustc-env={to}={value}");
    }
}
