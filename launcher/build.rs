//! Hands what built this program on to `src/versions/built.rs`.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let variable = |name: &str| std::env::var(name).expect("cargo sets it");
    println!("cargo:rustc-env=IPCLUSTERZ_TARGET={}", variable("TARGET"));
    let told = Command::new(variable("RUSTC")).arg("--version").output().expect("cargo has run this compiler");
    println!("cargo:rustc-env=IPCLUSTERZ_RUSTC={}", String::from_utf8_lossy(&told.stdout).trim());
}
