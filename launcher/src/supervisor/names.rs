//! Names of engines, and what is said of several of them, in lines for the user.

use ipclusterz_base::ids::EngineId;
use std::time::Duration;

/// `engine 3`, `engines 1, 2`, and no more than ten numbers.
pub fn name_engines(ids: &[EngineId]) -> String {
    const SHOWN: usize = 10;
    let numbers: Vec<String> = ids.iter().take(SHOWN).map(EngineId::to_string).collect();
    let more = if ids.len() > SHOWN { format!(" and {} more", ids.len() - SHOWN) } else { String::new() };
    format!("engine{} {}{more}", if ids.len() == 1 { "" } else { "s" }, numbers.join(", "))
}

/// `engines 0-4, 6, 8-17`, of ids in their order.
pub fn name_ranges(ids: impl Iterator<Item = EngineId>) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for EngineId(id) in ids {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == id => *last = id,
            _ => ranges.push((id, id)),
        }
    }
    let names = ranges.iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}-{last}"),
    });
    let names: Vec<String> = names.collect();
    let plural = if ranges.iter().map(|(first, last)| last - first + 1).sum::<u32>() == 1 { "" } else { "s" };
    format!("engine{plural} {}", names.join(", "))
}

/// Why engines are killed at their end.
pub fn took_too_long(many: bool, end_timeout: Duration) -> String {
    let ends = if many { "their ends" } else { "its end" };
    format!("{ends} took longer than {} s (engines.end_timeout)", end_timeout.as_secs_f64())
}
