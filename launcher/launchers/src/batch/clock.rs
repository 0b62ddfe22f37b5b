//! Time limits as people write them, and times of day as queues print them. Responsible for parsing and formatting
//! alone.

use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Parses `batch.time_limit`: minutes, `HH:MM:SS`, `D-HH`, `D-HH:MM` or `D-HH:MM:SS`. `None` when it is empty; zero and
/// anything else are usage errors.
pub fn time_limit(text: &str) -> Result<Option<Duration>, Failure> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let seconds = seconds_of(text).filter(|seconds| *seconds > 0);
    seconds.map(|seconds| Some(Duration::from_secs(seconds))).ok_or_else(|| {
        // HH:MM and MM:SS look alike, and queues disagree about which of them it is.
        Failure::new(Exit::Usage, format!("batch.time_limit = {text:?} is not a time"))
            .with_hint("write minutes (\"90\"), \"HH:MM:SS\" or \"D-HH:MM:SS\"")
    })
}

fn seconds_of(text: &str) -> Option<u64> {
    let number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<u32>().ok())?;
    let (days, rest) = match text.split_once('-') {
        Some((days, rest)) => (Some(number(days)?), rest),
        None => (None, text),
    };
    let parts = rest.split(':').map(number).collect::<Option<Vec<u32>>>()?;
    let parts: Vec<u64> = parts.into_iter().map(u64::from).collect();
    match (days.map(u64::from), parts.as_slice()) {
        (None, [minutes]) => Some(minutes * 60),
        (None, [hours, minutes, seconds]) => Some(hours * 3600 + minutes * 60 + seconds),
        (Some(days), [hours, rest @ ..]) if rest.len() <= 2 => {
            let (minutes, seconds) = (rest.first().unwrap_or(&0), rest.get(1).unwrap_or(&0));
            Some(days * 86_400 + hours * 3600 + minutes * 60 + seconds)
        }
        _ => None,
    }
}

/// Formats as `HH:MM:SS`, without days: hours may exceed 23.
pub fn hours(duration: Duration) -> String {
    let seconds = duration.as_secs();
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Formats as `40 s`, `12 min`, `3 h 5 min` or `2 days`: as precise as a waiting person needs.
pub fn rough(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// The current time, in seconds since 1970.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// Parses a time as queues print it, `YYYY-MM-DDTHH:MM:SS` in this host's time zone or seconds since 1970, into seconds
/// since 1970.
pub fn epoch_of(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<i64>() {
        return Some(seconds);
    }
    let (date, time) = text.split_once(['T', ' '])?;
    let numbers = |text: &str, separator| text.split(separator).map(|part| part.parse::<i32>().ok()).collect();
    let date: Option<Vec<i32>> = numbers(date, '-');
    let time: Option<Vec<i32>> = numbers(time, ':');
    let (date, time) = (date?, time?);
    let ([year, month, day], [hour, minute, second]) = (date.as_slice(), time.as_slice()) else { return None };
    // SAFETY: tm is plain data, for which all zeroes is a value.
    let mut parts: libc::tm = unsafe { std::mem::zeroed() };
    parts.tm_year = year.checked_sub(1900)?;
    parts.tm_mon = month.checked_sub(1)?;
    parts.tm_mday = *day;
    parts.tm_hour = *hour;
    parts.tm_min = *minute;
    parts.tm_sec = *second;
    parts.tm_isdst = -1;
    // SAFETY: parts is valid for reading and writing.
    let epoch = unsafe { libc::mktime(&raw mut parts) };
    (epoch >= 0).then_some(epoch)
}

/// Formats a time as `14:05`, or as `2026-11-24 14:05` when it is not within a day of `now`, in this host's time zone.
pub fn time_of_day(epoch: i64, now: i64) -> String {
    // SAFETY: tm is plain data, for which all zeroes is a value.
    let mut parts: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to values on this stack.
    if unsafe { libc::localtime_r(&raw const epoch, &raw mut parts) }.is_null() {
        return format!("{epoch} s after 1970");
    }
    let time = format!("{:02}:{:02}", parts.tm_hour, parts.tm_min);
    if epoch.abs_diff(now) < 86_400 {
        return time;
    }
    format!("{}-{:02}-{:02} {time}", i64::from(parts.tm_year) + 1900, parts.tm_mon + 1, parts.tm_mday)
}

/// Formats a time as `14:05:07.250`, in this host's time zone.
pub fn to_milliseconds(epoch: f64) -> String {
    let (whole, milliseconds) = ((epoch * 1000.0) as i64 / 1000, (epoch * 1000.0) as i64 % 1000);
    // SAFETY: tm is plain data, for which all zeroes is a value.
    let mut parts: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to values on this stack.
    if unsafe { libc::localtime_r(&raw const whole, &raw mut parts) }.is_null() {
        return format!("{epoch} s after 1970");
    }
    format!("{:02}:{:02}:{:02}.{milliseconds:03}", parts.tm_hour, parts.tm_min, parts.tm_sec)
}

/// Formats the expected start that a queue printed: `expected to start at 14:05, in 12 min`. A time that cannot be
/// parsed is shown as printed.
pub fn expected_start(text: &str, now: i64) -> String {
    let Some(epoch) = epoch_of(text) else { return format!("expected to start: {text}") };
    match u64::try_from(epoch.saturating_sub(now)) {
        Ok(seconds) if seconds > 0 => {
            let left = rough(Duration::from_secs(seconds));
            format!("expected to start at {}, in {left}", time_of_day(epoch, now))
        }
        _ => "expected to start now".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn limits_in_every_form() {
        let seconds = |text: &str| time_limit(text).expect(text).map(|limit| limit.as_secs());
        assert_eq!(seconds(""), None);
        assert_eq!(seconds("90"), Some(5400));
        assert_eq!(seconds("01:30:00"), Some(5400));
        assert_eq!(seconds("1-00:00:00"), Some(86_400));
        assert_eq!(seconds("2-12"), Some(2 * 86_400 + 12 * 3600));
        assert_eq!(seconds("0-00:30"), Some(1800));
        for bad in ["1:30", "0", "an hour", "1-", "-5", "1h", "1-2-3", "99999999999", "+5"] {
            let failure = time_limit(bad).expect_err(bad);
            assert_eq!(failure.message, format!("batch.time_limit = {bad:?} is not a time"));
        }
        assert_eq!(hours(Duration::from_secs(90_061)), "25:01:01");
    }

    #[test]
    fn a_start_is_told_with_the_time_left() {
        let now = epoch_of("2026-11-23T13:53:00").expect("a time");
        assert_eq!(expected_start("2026-11-23T14:05:30", now), "expected to start at 14:05, in 12 min");
        assert_eq!(expected_start("2026-11-26T14:05:00", now), "expected to start at 2026-11-26 14:05, in 3 days");
        assert_eq!(expected_start("2026-11-23T13:00:00", now), "expected to start now");
        assert_eq!(expected_start("Mon Nov 23", now), "expected to start: Mon Nov 23");
        assert_eq!(epoch_of("1795442400"), Some(1_795_442_400));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "\\PC{0,24}") {
            let _ = (time_limit(&text), epoch_of(&text), expected_start(&text, 0));
        }
        #[test]
        fn any_time_is_told_without_panic(epoch in any::<i64>(), now in any::<i64>(), parts in any::<[i32; 6]>()) {
            let [year, month, day, hour, minute, second] = parts;
            let _ = expected_start(&epoch.to_string(), now);
            let _ = expected_start(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}"), now);
        }
        #[test]
        fn hours_read_back(seconds in 1u64..10_000_000) {
            let limit = Duration::from_secs(seconds);
            prop_assert_eq!(time_limit(&hours(limit)).expect("a time"), Some(limit));
        }
    }
}
