//! Names of engines in lines for the user.

use ipclusterz_base::ids::EngineId;

/// `engine 3`, `engines 1, 2`, and no more than ten numbers.
pub fn name_engines(ids: &[EngineId]) -> String {
    const SHOWN: usize = 10;
    let numbers: Vec<String> = ids.iter().take(SHOWN).map(EngineId::to_string).collect();
    let more = if ids.len() > SHOWN { format!(" and {} more", ids.len() - SHOWN) } else { String::new() };
    format!("engine{} {}{more}", if ids.len() == 1 { "" } else { "s" }, numbers.join(", "))
}
