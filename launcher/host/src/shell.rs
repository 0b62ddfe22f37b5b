//! Quoting for a shell, on this host or another.

/// Quotes `word` as one word of any Bourne shell, and of csh and fish if it has no `!` or newline.
pub fn quote(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:=@%+,".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A command line that has `sh` run `script`, whatever the login shell is.
pub fn sh(script: &str) -> String {
    format!("exec sh -c {}", quote(script))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for word in ["plain", "", "two words", "it's", "$HOME `id` \\ \"x\"", "a\nb", "*?[~#&;|<>"] {
            let script = sh(&format!("printf %s {}", quote(word)));
            let output = std::process::Command::new("sh").args(["-c", &script]).output().expect("sh");
            assert_eq!(String::from_utf8(output.stdout).expect("UTF-8"), word);
        }
    }
}
