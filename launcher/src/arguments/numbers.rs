//! Numbers on the command line: what is not one is refused in words of our own.

/// A value that is refused, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadNumber {
    /// What is wrong, with the value.
    pub message: String,
    /// What would be right.
    pub hint: &'static str,
}

const ENGINES: &str = "give a whole number, such as `-n 4`";

/// A number of engines.
pub fn engines(text: &str) -> Result<u32, BadNumber> {
    whole(text, "a number of engines", ENGINES)
}

/// A number of engines that is not 0.
pub fn some_engines(text: &str) -> Result<u32, BadNumber> {
    match engines(text)? {
        0 => Err(BadNumber { message: "0 engines cannot do anything".to_owned(), hint: ENGINES }),
        count => Ok(count),
    }
}

/// The id of an engine.
pub fn engine_id(text: &str) -> Result<u32, BadNumber> {
    whole(text, "the number of an engine", "`ipclusterz status` lists the engines of a cluster with their numbers")
}

/// A number of lines.
pub fn lines(text: &str) -> Result<u32, BadNumber> {
    whole(text, "a number of lines", "give a whole number, such as `-n 100`")
}

/// A number of tasks.
pub fn tasks(text: &str) -> Result<u32, BadNumber> {
    whole(text, "a number of tasks", "give a whole number, such as `--limit 100`")
}

/// A number of seconds. How long it may be is checked with the values of profiles.
pub fn seconds(text: &str) -> Result<f64, BadNumber> {
    let refused = |_| BadNumber {
        message: format!("{text:?} is not a number of seconds to wait"),
        hint: "give a number above 0, such as 30 or 0.5",
    };
    text.parse().map_err(refused)
}

fn whole(text: &str, what: &str, hint: &'static str) -> Result<u32, BadNumber> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().map_err(|_| {
        let message = if is_number(text) {
            format!("{text} is too large for {what}: the largest is {}", u32::MAX)
        } else if text.strip_prefix('-').is_some_and(is_number) {
            format!("{text} is not {what}: it is below 0")
        } else {
            format!("{text:?} is not {what}")
        };
        BadNumber { message, hint }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_refused_with_the_reason() {
        assert_eq!(engines("4"), Ok(4));
        for (text, message) in [
            ("-1", "-1 is not a number of engines: it is below 0"),
            ("4294967296", "4294967296 is too large for a number of engines: the largest is 4294967295"),
            ("four", "\"four\" is not a number of engines"),
            ("1.5", "\"1.5\" is not a number of engines"),
            ("", "\"\" is not a number of engines"),
            ("\x1b[2J", "\"\\u{1b}[2J\" is not a number of engines"),
        ] {
            assert_eq!(engines(text).expect_err(text).message, message);
        }
        assert_eq!(seconds("0.5"), Ok(0.5));
        assert_eq!(seconds("soon").expect_err("no number").message, "\"soon\" is not a number of seconds to wait");
    }
}
