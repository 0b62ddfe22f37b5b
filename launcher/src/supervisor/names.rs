//! Names of engines in lines for the user.

use ipclusterz_base::ids::EngineId;

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
    format!("engines {}", names.collect::<Vec<_>>().join(", "))
}
