//! The format of answers between processes, as lines on a pipe: `+` and the secret, or `-` for none. Questions are not
//! written here.

use crate::asker::Secret;
use crate::poll::PollSet;
use crate::terminal::CHECK_INTERVAL;
use ipclusterz_host::signals::told_to_end;
use std::io::BufRead;
use std::os::fd::AsFd;
use std::time::Instant;

/// Waits until standard input can be read; `None` once a signal has told this process to end.
fn wait_for_answer() -> Option<()> {
    let stdin = std::io::stdin();
    while !told_to_end() {
        let mut set = PollSet::default();
        set.add(stdin.as_fd(), true, false);
        // An error of poll is one that reading reports as well.
        if set.wait(Some(Instant::now() + CHECK_INTERVAL)).unwrap_or(true) {
            return Some(());
        }
    }
    None
}

/// Reads the answer to a question from standard input. Blocks until it comes; `None` when there is none, or when this
/// process is told to end.
pub fn read_answer() -> Option<Secret> {
    wait_for_answer()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).ok()?;
    let answer = Secret::new(answer);
    answer.reveal().trim_end_matches(['\r', '\n']).strip_prefix('+').map(Secret::new)
}

/// Formats an answer for [`read_answer`].
pub fn written_answer(answer: Option<&Secret>) -> Secret {
    Secret::new(answer.map_or_else(|| "-\n".to_owned(), |answer| format!("+{}\n", answer.reveal())))
}
