//! Selects who answers when a connection needs the user: the terminal, or what replaces it in a process that has none.

use crate::asker::{Asker, Nobody};
use crate::terminal::Terminal;
use std::sync::OnceLock;

/// Makes an asker that replaces the terminal.
type Make = Box<dyn Fn() -> Box<dyn Asker + Send> + Send + Sync>;

/// What replaces the terminal, in a process that has none.
static STAND_IN: OnceLock<Make> = OnceLock::new();

/// Replaces the terminal by the askers that `make` makes. To be called once, when the process begins: the first call
/// counts.
pub fn ask_instead_of_terminal(make: impl Fn() -> Box<dyn Asker + Send> + Send + Sync + 'static) {
    let _ = STAND_IN.set(Box::new(make));
}

/// Who answers for the user: the terminal or its replacement when `ask` is true, as the profile says; else nobody.
pub fn of_terminal(ask: bool) -> Box<dyn Asker + Send> {
    match (ask, STAND_IN.get()) {
        (false, _) => Box::new(Nobody),
        (true, Some(make)) => make(),
        (true, None) => Box::new(Terminal::default()),
    }
}
