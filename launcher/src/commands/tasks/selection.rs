//! Which tasks are meant, as options say it.

use super::history::{FAILED, OPEN};
use crate::arguments::FilterArguments;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::suggestion::nearest;
use ipclusterz_launchers::batch::clock;
use ipclusterz_runtime::wire::message::Filter;

/// The longest name that is looked for.
const NAME_MAX: usize = 512;

/// The filter that the options mean.
pub fn filter(arguments: &FilterArguments, limit: Option<u32>) -> Result<Filter, Failure> {
    arguments.state.iter().try_for_each(|state| check_state(state))?;
    check_length("--session", arguments.session.as_deref())?;
    check_length("--name", arguments.name.as_deref())?;
    Ok(Filter {
        session: arguments.session.clone(),
        requests: None,
        states: arguments.state.clone(),
        since: arguments.since.as_deref().map(|text| since(text, clock::now())).transpose()?,
        name: arguments.name.clone(),
        limit: limit.map(u64::from),
    })
}

/// Refuses what no session and no function is called.
pub fn check_length(option: &str, name: Option<&str>) -> Result<(), Failure> {
    match name.map(str::len) {
        Some(length) if length > NAME_MAX => {
            let message = format!("{option}: a name of {length} bytes is too long");
            Err(Failure::new(Exit::Usage, message).with_hint(format!("names have at most {NAME_MAX} bytes")))
        }
        _ => Ok(()),
    }
}

fn check_state(state: &str) -> Result<(), Failure> {
    let known: Vec<&str> = OPEN.into_iter().chain(["ok"]).chain(FAILED).collect();
    if known.contains(&state) {
        return Ok(());
    }
    let likely = nearest(state, known.iter().copied()).map(|likely| format!("did you mean {likely:?}? "));
    let hint = format!("{}states there are: {}", likely.unwrap_or_default(), known.join(", "));
    Err(Failure::new(Exit::Usage, format!("--state: there is no state {state:?}")).with_hint(hint))
}

/// A time in seconds since 1970: `2h` before `now`, or a date with or without a time of day.
fn since(text: &str, now: i64) -> Result<f64, Failure> {
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

    #[test]
    fn a_state_that_is_none_is_refused_with_those_that_are() {
        let arguments = FilterArguments { state: vec!["runing".to_owned()], ..FilterArguments::default() };
        let failure = filter(&arguments, None).expect_err("no state");
        assert_eq!(failure.message, "--state: there is no state \"runing\"");
        let hint = failure.hint.expect("a hint");
        assert!(
            hint.starts_with("did you mean \"running\"? states there are: queued, waiting, held, running, ok, "),
            "{hint}"
        );
    }
}
