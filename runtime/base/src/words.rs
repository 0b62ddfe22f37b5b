//! The text of errors of the operating system, as other programs print it.

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

/// The error, with the path that it is about before it.
pub fn about(path: &Path) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

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
