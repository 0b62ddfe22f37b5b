//! Whom to ask when a connection needs an answer of the user: the terminal, or who stands in for it.

use crate::asker::{Asker, Nobody};
use crate::terminal::Terminal;
use std::sync::OnceLock;

/// Makes an asker that stands in for the terminal.
type Make = Box<dyn Fn() -> Box<dyn Asker + Send> + Send + Sync>;

/// Who stands in for the terminal, in a process that has none.
static STAND_IN: OnceLock<Make> = OnceLock::new();

/// Has this asker asked instead of the terminal. Once, when this process begins; the first one stays.
pub fn ask_instead_of_terminal(make: impl Fn() -> Box<dyn Asker + Send> + Send + Sync + 'static) {
    let _ = STAND_IN.set(Box::new(make));
}

/// Whoever answers for the user where the profile allows to `ask`, else nobody.
pub fn of_terminal(ask: bool) -> Box<dyn Asker + Send> {
    match (ask, STAND_IN.get()) {
        (false, _) => Box::new(Nobody),
        (true, Some(make)) => make(),
        (true, None) => Box::new(Terminal::default()),
    }
}
