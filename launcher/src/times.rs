//! Times as they are typed.

use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_launchers::batch::clock;

/// A time in seconds since 1970: `2h` before `now`, or a date with or without a time of day.
pub fn since(text: &str, now: i64) -> Result<f64, Failure> {
    let time = ago(text).map(|ago| now as f64 - ago).or_else(|| date(text).map(|epoch| epoch as f64));
    time.ok_or_else(|| {
        Failure::new(Exit::Usage, format!("--since: {text:?} is not a time")).with_hint(
            "give a time span, such as 45s, 30m, 2h or 3d, or a time, such as 2026-11-29 or 2026-11-29T14:00",
        )
    })
}

fn ago(text: &str) -> Option<f64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    number.parse::<f64>().ok().filter(|_| plain).map(|number| number * seconds)
}

/// A time of this host's time zone.
fn date(text: &str) -> Option<i64> {
    let colons = text.matches(':').count();
    let dated = text.matches('-').count() == 2;
    match (text.contains(['T', ' ']), colons) {
        _ if !dated => None,
        (false, 0) => clock::epoch_of(&format!("{text}T00:00:00")),
        (true, 1) => clock::epoch_of(&format!("{text}:00")),
        (true, 2) => clock::epoch_of(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_spans_or_dates() {
        let now = 1_000_000;
        for (text, before) in [("45s", 45.0), ("30m", 1800.0), ("2h", 7200.0), ("1.5d", 129_600.0)] {
            assert!((since(text, now).expect(text) - (now as f64 - before)).abs() < 1e-6, "{text}");
        }
        let day = since("2026-11-29", now).expect("a date");
        assert!((since("2026-11-29T02:00", now).expect("a time") - day - 7200.0).abs() < 1e-6);
        assert!((since("2026-11-29 00:00:30", now).expect("a time") - day - 30.0).abs() < 1e-6);
        for bad in ["", "h", "2", "2w", "-2h", "yesterday", "2026-11", "12:00", "2026-11-29T", "nanh", "é"] {
            let failure = since(bad, now).expect_err(bad);
            assert_eq!(failure.message, format!("--since: {bad:?} is not a time"));
        }
    }
}
