//! Names of engines, and what is said of several of them, in lines for the user.

use ipclusterz_base::ids::EngineId;
use ipclusterz_host::units::ranges;
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
    let ids: Vec<u32> = ids.map(|id| id.0).collect();
    let plural = if ids.len() == 1 { "" } else { "s" };
    format!("engine{plural} {}", ranges(ids))
}

/// Why engines are killed at their end.
pub fn took_too_long(many: bool, end_timeout: Duration) -> String {
    let ends = if many { "their ends" } else { "its end" };
    format!("{ends} took longer than {} s (engines.end_timeout)", end_timeout.as_secs_f64())
}
