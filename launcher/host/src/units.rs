//! Times and sizes: as profiles and queues write them, and as people read them.

use std::time::Duration;

/// How long a job may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeLimit(Duration);

/// Text that is no time limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a time limit: give HH:MM:SS, D-HH:MM:SS or minutes")]
pub struct BadTimeLimit(pub String);

impl TimeLimit {
    /// Reads `HH:MM:SS`, `D-HH:MM:SS` or minutes.
    ///
    /// Two numbers are refused: Slurm reads them as minutes and seconds, LSF as hours and minutes.
    pub fn parse(text: &str) -> Result<Self, BadTimeLimit> {
        let bad = || BadTimeLimit(text.to_owned());
        let number = |text: &str| {
            let digits = !text.is_empty() && text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit());
            if digits { text.parse::<u64>().ok() } else { None }
        };
        let (days, rest) = match text.split_once('-') {
            Some((days, rest)) => (Some(number(days).ok_or_else(bad)?), rest),
            None => (None, text),
        };
        let parts: Option<Vec<u64>> = rest.split(':').map(number).collect();
        let seconds = match (days, parts.as_deref()) {
            (None, Some([minutes])) => minutes * 60,
            (days, Some([hours, minutes @ 0..60, seconds @ 0..60])) if days.is_none() || *hours < 24 => {
                days.unwrap_or(0) * 86_400 + hours * 3600 + minutes * 60 + seconds
            }
            _ => return Err(bad()),
        };
        if seconds == 0 { Err(bad()) } else { Ok(Self(Duration::from_secs(seconds))) }
    }

    /// As a duration.
    pub fn duration(self) -> Duration {
        self.0
    }

    /// In whole seconds.
    pub fn seconds(self) -> u64 {
        self.0.as_secs()
    }

    /// In minutes, rounded up.
    pub fn minutes(self) -> u64 {
        self.seconds().div_ceil(60)
    }
}

/// `HH:MM:SS`, with as many hours as it takes.
impl std::fmt::Display for TimeLimit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.seconds();
        write!(formatter, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}

/// The number of bytes in a size such as `16G`, `16GB`, `16gib` or `1.5T`; `None` if the text is no size.
///
/// A number without a unit is refused: Slurm reads it as mebibytes, PBS and Grid Engine as bytes.
pub fn memory(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let unit_start = lower.find(|letter: char| letter.is_ascii_alphabetic())?;
    let (number, unit) = lower.split_at(unit_start);
    let unit = unit.strip_suffix('b').unwrap_or(unit);
    let power = match unit.strip_suffix('i').unwrap_or(unit) {
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = number.parse().ok().filter(|_| plain)?;
    let bytes = number * 1024_f64.powi(power);
    (bytes >= 1.0 && bytes < u64::MAX as f64).then_some(bytes as u64)
}

/// A size for people: a binary unit and about three digits.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// A number of things for people: `1 task`, `2 tasks`.
pub fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// A time span for people, in its two largest units.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{whole} s"),
        (0, 0, _) => format!("{minutes} min {} s", whole % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// `0-4, 6, 8-17`, of numbers in their order.
pub fn ranges(numbers: impl IntoIterator<Item = u32>) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let written = ranges.iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}-{last}"),
    });
    written.collect::<Vec<String>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_limits_are_read_and_written() {
        let seconds = |text| TimeLimit::parse(text).map(TimeLimit::seconds);
        assert_eq!(seconds("01:30:00"), Ok(5400));
        assert_eq!(seconds("100:00:05"), Ok(360_005));
        assert_eq!(seconds("2-03:00:00"), Ok(183_600));
        assert_eq!(seconds("30"), Ok(1800));
        let limit = TimeLimit::parse("1-01:01:01").expect("good");
        assert_eq!((limit.minutes(), limit.to_string()), (1502, "25:01:01".to_owned()));
        for bad in
            ["", "0", "00:00:00", "1:2", "1:60:00", "1-24:00:00", "1-12", "1h", "-5", "1:-2:3", "5 ", "9999999999"]
        {
            assert!(TimeLimit::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn sizes_have_a_unit() {
        assert_eq!(memory("16G"), Some(16 << 30));
        assert_eq!(memory("512mb"), Some(512 << 20));
        assert_eq!(memory("1.5TiB"), Some(3 << 39));
        for bad in ["", "16", "G", "16X", "-1G", "1e3G", "nanG", "0G", "16 G"] {
            assert_eq!(memory(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn sizes_and_spans_are_short() {
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(12 << 20), "12.0 MiB");
        assert_eq!((count(1, "task"), count(2, "task")), ("1 task".to_owned(), "2 tasks".to_owned()));
        assert_eq!(duration(59.9), "59 s");
        assert_eq!(duration(192.0), "3 min 12 s");
        assert_eq!(duration(7_260.0), "2 h 1 min");
        assert_eq!(duration(90_000.0), "1 d 1 h");
    }
}
