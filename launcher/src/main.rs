//! The binary `ipclusterz`. All of it is in the library.

fn main() -> std::process::ExitCode {
    ipclusterz_launcher::commands::main(std::env::args_os().collect())
}
