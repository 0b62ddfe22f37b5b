//! Settings that a program gives on standard input, where no other user of the host can read them: values of the
//! environment may be secrets. Does not check them.
//!
//! # Format
//!
//! One line of JSON: a list of pairs, each a key or a table of the profile and its value, later ones the stronger.
//!
//! ```json
//! [["engines.count", 4], ["batch", {"partition": "gpu", "blocks": {"max": 4}}]]
//! ```

use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_profile::KeyPath;
use serde_json::Value;
use std::io;

/// Reads the line, and gives it as values of `--set`.
pub fn read_settings() -> Result<Vec<String>, Failure> {
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(Failure::io("reading settings from standard input"))?;
    assignments(&line).map_err(|error| {
        Failure::new(Exit::Usage, format!("the settings on standard input cannot be read: {error}"))
            .with_hint("give one line of JSON, such as [[\"engines.count\", 4]]")
    })
}

fn assignments(line: &str) -> serde_json::Result<Vec<String>> {
    let pairs: Vec<(String, Value)> = serde_json::from_str(line)?;
    let mut found = Vec::new();
    for (key, value) in &pairs {
        assign(key, value, &mut found)?;
    }
    Ok(found)
}

/// Adds the assignments of a value; a table is one for each of its keys.
fn assign(key: &str, value: &Value, found: &mut Vec<String>) -> serde_json::Result<()> {
    let Value::Object(table) = value else {
        let value: toml::Value = serde_json::from_value(value.clone())?;
        found.push(format!("{key}={value}"));
        return Ok(());
    };
    table.iter().try_for_each(|(name, value)| {
        let name = KeyPath::from_parts(vec![name.clone()]);
        assign(&format!("{key}.{name}"), value, found)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_become_assignments_and_lists_stay_whole() {
        let line = r#"[["engines.count", 2], ["batch", {"partition": "a\"b", "blocks": {"max": 4}}], ["env", {"A.B": "x"}],
            ["ssh.hosts", [{"host": "n1", "engines": 2}]], ["engines.timeout", 1.5], ["engines.restart", true]]"#;
        assert_eq!(
            assignments(line).expect("good"),
            [
                "engines.count=2",
                "batch.blocks.max=4",
                "batch.partition='a\"b'",
                "env.\"A.B\"=\"x\"",
                "ssh.hosts=[{ engines = 2, host = \"n1\" }]",
                "engines.timeout=1.5",
                "engines.restart=true"
            ]
        );
        assert_eq!(assignments("[]").expect("good"), [""; 0]);
        for bad in ["", "{}", "[[1, 2]]", r#"[["a", null]]"#] {
            assert!(assignments(bad).is_err(), "{bad}");
        }
    }
}
