//! Text as people may be shown it: errors of the operating system as other programs print them, and what comes from
//! another process without what a terminal would obey.

use std::borrow::Cow;
use std::fmt::Write;
use std::io;
use std::path::Path;

/// `text` without the numbers that Rust adds to such an error: `No such file or directory (os error 2)`.
pub fn without_codes(text: &str) -> String {
    const BEGIN: &str = " (os error ";
    let mut parts = text.split(BEGIN);
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let number = part.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(part.len());
        match part[number..].strip_prefix(')').filter(|_| number > 0) {
            Some(rest) => plain.push_str(rest),
            None => plain.extend([BEGIN, part]),
        }
    }
    plain
}

/// `text` from another process, as one line: a newline, an escape or any other character that is not for reading is shown
/// by its number, as Python's `repr` does. Applied twice it changes nothing more.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// Whether `printable` would change nothing.
pub fn is_printable(text: &str) -> bool {
    !text.contains(is_special)
}

/// The same for text of several lines, such as a traceback: newlines and tabs stay.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |letter| matches!(letter, '\n' | '\t'))
}

/// The beginning of `text`, with a mark where more was; at most `most` bytes and the mark.
pub fn cut(text: &str, most: usize) -> Cow<'_, str> {
    match text.get(..text.floor_char_boundary(most)) {
        Some(beginning) if beginning.len() < text.len() => Cow::Owned(format!("{beginning}…")),
        _ => Cow::Borrowed(text),
    }
}

fn escaped(text: &str, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    let special = |letter: char| is_special(letter) && !stays(letter);
    if !text.contains(special) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        // Writing to a text cannot fail.
        let _ = match letter {
            '\n' if special(letter) => write!(safe, "\\n"),
            '\r' => write!(safe, "\\r"),
            '\t' if special(letter) => write!(safe, "\\t"),
            _ if !special(letter) => safe.write_char(letter),
            '\0'..='\u{ff}' => write!(safe, "\\x{:02x}", u32::from(letter)),
            '\u{100}'..='\u{ffff}' => write!(safe, "\\u{:04x}", u32::from(letter)),
            _ => write!(safe, "\\U{:08x}", u32::from(letter)),
        };
    }
    Cow::Owned(safe)
}

/// Controls (C0, C1), line ends of Unicode, what changes the direction of text, and what is not seen at all.
fn is_special(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(letter, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// The error, with the path that it is about before it.
pub fn about(path: &Path) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown_and_nothing_else() {
        let text = "n1\n\r\t\x1b[2J\u{9b}31m\u{202e}\u{2066}\u{e0041}é 名前 \\n 🦀";
        let shown = r"n1\n\r\t\x1b[2J\x9b31m\u202e\u2066\U000e0041é 名前 \n 🦀";
        assert_eq!(printable(text), shown);
        assert_eq!(printable(shown), shown);
        assert!(matches!(printable("plain"), Cow::Borrowed("plain")));
        assert_eq!(printable_lines("a\n\tb\r\x07"), "a\n\tb\\r\\x07");
    }

    #[test]
    fn long_text_is_cut_between_letters() {
        assert_eq!(cut("aéé", 3), "aé…");
        assert_eq!(cut("aéé", 4), "aé…");
        assert_eq!(cut("aéé", 5), "aéé");
    }

    #[test]
    fn numbers_of_errors_are_left_out_and_nothing_else() {
        let error = std::io::Error::from_raw_os_error(2);
        assert_eq!(
            without_codes(&format!("a: {error}; b: {error}.")),
            "a: No such file or directory; b: No such file or directory."
        );
        for text in ["", "plain", "(os error x)", " (os error )", "a (os error 2"] {
            assert_eq!(without_codes(text), text);
        }
    }
}
