//! Asks questions on the terminal. What is typed is not shown, and the wait ends when the process is told to end.

use crate::asker::{Asker, Question, Secret};
use crate::poll::PollSet;
use ipclusterz_host::signals::{tell_to_end, told_to_end};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

/// Interval between two checks whether anybody still wants the answer.
pub const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Timeout of the thread that handles signals.
const SIGNAL_TIMEOUT: Duration = Duration::from_secs(1);
const CONTROL_C: u8 = 3;
const CONTROL_D: u8 = 4;
const CONTROL_U: u8 = 21;
const BACKSPACE: [u8; 2] = [8, 127];

const NO_TERMINAL: &str = "there is no terminal to ask on";
const NO_ANSWER: &str = "it was not answered";
const INTERRUPTED: &str = "interrupted";

/// The terminal of this process, if it has one.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    reason: &'static str,
}

impl Default for Terminal {
    fn default() -> Self {
        Self { reason: NO_TERMINAL }
    }
}

impl Asker for Terminal {
    fn ask(&mut self, question: &Question) -> Option<Secret> {
        let answer = OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(|_| NO_TERMINAL);
        let answer = answer.and_then(|mut terminal| read_answer(&mut terminal, &question.prompt));
        answer.map_err(|reason| self.reason = reason).ok()
    }

    fn reason(&self) -> &'static str {
        self.reason
    }
}

/// Keeps the terminal from showing what is typed, and from turning keys into signals: a process that a signal ends
/// would leave the terminal in this mode.
struct EchoOff<'a> {
    terminal: &'a File,
    before: libc::termios,
}

impl<'a> EchoOff<'a> {
    fn new(terminal: &'a File) -> io::Result<Self> {
        // SAFETY: termios is plain data that tcgetattr fills in.
        let mut before: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: the descriptor is open, and the structure is ours to write to.
        if unsafe { libc::tcgetattr(terminal.as_raw_fd(), &raw mut before) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let mut quiet = before;
        quiet.c_lflag &= !(libc::ECHO | libc::ICANON | libc::ISIG);
        set(terminal, &quiet)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for EchoOff<'_> {
    fn drop(&mut self) {
        // A terminal that is gone needs no settings.
        let _ = set(self.terminal, &self.before);
    }
}

fn set(terminal: &File, settings: &libc::termios) -> io::Result<()> {
    // SAFETY: the descriptor is open, and the settings are valid for reading.
    if unsafe { libc::tcsetattr(terminal.as_raw_fd(), libc::TCSADRAIN, settings) } == 0 {
        return Ok(());
    }
    Err(io::Error::last_os_error())
}

fn read_answer(terminal: &mut File, prompt: &str) -> Result<Secret, &'static str> {
    if told_to_end() {
        return Err(INTERRUPTED);
    }
    let mut output = terminal.try_clone().map_err(|_| NO_TERMINAL)?;
    let answer = {
        let settings = terminal.try_clone().map_err(|_| NO_TERMINAL)?;
        // Before the prompt: what is typed as soon as the prompt appears must not be shown either.
        let _quiet = EchoOff::new(&settings).map_err(|_| NO_TERMINAL)?;
        output.write_all(prompt.as_bytes()).map_err(|_| NO_TERMINAL)?;
        read_line(terminal)
    };
    // The key that ended the line was not shown.
    let _ = output.write_all(b"\r\n");
    if matches!(answer, Err(NoLine::Interrupt)) {
        // The signal goes to the whole process, as the terminal would have sent it. The thread that waits for signals
        // handles it. It first informs whoever must know, then ends the asking. That has to happen before this call
        // fails, so this waits for it.
        // SAFETY: kill takes two integers, and the process is this one.
        unsafe { libc::kill(libc::getpid(), libc::SIGINT) };
        let deadline = Instant::now() + SIGNAL_TIMEOUT;
        while !told_to_end() && Instant::now() < deadline {
            std::thread::sleep(CHECK_INTERVAL / 10);
        }
        tell_to_end();
    }
    answer.map_err(|key| match key {
        NoLine::EndOfInput => NO_ANSWER,
        NoLine::Interrupt | NoLine::Cancelled => INTERRUPTED,
    })
}

/// Why there is no line.
enum NoLine {
    /// Ctrl-D at the beginning of the line, or the terminal is gone.
    EndOfInput,
    /// Ctrl-C.
    Interrupt,
    /// The process was told to end.
    Cancelled,
}

fn read_line(terminal: &mut File) -> Result<Secret, NoLine> {
    let mut line = Vec::new();
    let result = loop {
        if told_to_end() {
            break Err(NoLine::Cancelled);
        }
        let mut set = PollSet::default();
        set.add(terminal.as_fd(), true, false);
        if !set.wait(Some(Instant::now() + CHECK_INTERVAL)).unwrap_or(true) {
            continue;
        }
        let mut byte = [0];
        match terminal.read(&mut byte) {
            Ok(1..) => {}
            Ok(0) | Err(_) => break Err(NoLine::EndOfInput),
        }
        match byte[0] {
            b'\r' | b'\n' => break Ok(()),
            CONTROL_C => break Err(NoLine::Interrupt),
            CONTROL_D if line.is_empty() => break Err(NoLine::EndOfInput),
            CONTROL_U => line.clear(),
            key if BACKSPACE.contains(&key) => erase(&mut line),
            key => line.push(key),
        }
    };
    let text = result.map(|()| Secret::new(String::from_utf8_lossy(&line)));
    line.fill(0);
    std::hint::black_box(&line);
    text
}

/// Deletes the last character, which may have several bytes.
fn erase(line: &mut Vec<u8>) {
    while line.pop().is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_taken_back_whole() {
        let mut line = "aé".as_bytes().to_vec();
        erase(&mut line);
        assert_eq!(line, b"a");
        erase(&mut line);
        erase(&mut line);
        assert!(line.is_empty());
    }
}
