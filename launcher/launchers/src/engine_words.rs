//! The words that the command lines of all engines have, whichever launcher writes them.

use crate::seats::Seat;
use ipclusterz_profile::tables::engines::{Bind, EnginesTable, Gpus, Shared};

/// Python's own arguments. What keeps the working folder from hiding modules is a variable: see the settings.
pub const PROGRAM: [&str; 2] = ["-m", "ipclusterz.engine"];

/// The options for an engine's part of its host: its threads, cores, GPUs and memory. `cores` is how many cores a queue
/// gives each engine, 0 if that is not known. [`Seat::ALONE`] where the engine knows its seat itself.
pub fn of_host(engines: &EnginesTable, cores: u32, seat: Seat) -> Vec<String> {
    let place = place(engines);
    let shares_threads = engines.threads == Shared::Share && cores == 0;
    let mut words = threads(engines.threads, cores);
    let mut option = |name: &str, value: u32| words.extend([name.to_owned(), value.to_string()]);
    // Which of the GPUs of its host it offers follows from its seat.
    let has_place = !place.is_empty() || !engines.resources.is_empty();
    if seat.engines > 1 && (shares_threads || has_place) {
        option("--host-engines", seat.engines);
    }
    if seat.engines > 1 && has_place {
        option("--host-index", seat.index);
    }
    words.extend(place);
    words.extend(offers(engines));
    words.extend((!engines.capture_output).then(|| "--own-output".to_owned()));
    words
}

/// The options for what an engine offers to tasks; empty if that is nothing.
fn offers(engines: &EnginesTable) -> Vec<String> {
    let amounts: Vec<String> = engines.resources.iter().map(|(name, amount)| format!("{name}={amount}")).collect();
    let options = [("--resources", amounts.join(",")), ("--tags", engines.tags.join(","))];
    let said = options.into_iter().filter(|(_, value)| !value.is_empty());
    said.flat_map(|(name, value)| [name.to_owned(), value]).collect()
}

/// The options for what engines of a host are forked from, where there are to be so many: it has no place of its own, and sets the
/// threads of what it imports.
pub fn of_server(engines: &EnginesTable, count: u32) -> Vec<String> {
    let mut words = threads(engines.threads, 0);
    if count > 1 && engines.threads == Shared::Share {
        words.extend(["--host-engines".to_owned(), count.to_string()]);
    }
    words
}

/// The number of the seat in options that [`of_host`] has made.
pub fn seat(words: &[String]) -> &str {
    let index = words.windows(2).find(|pair| pair[0] == "--host-index");
    index.map_or("0", |pair| &pair[1])
}

/// The options for `engines.threads`, where it is not the engine that divides the cores.
fn threads(threads: Shared, cores: u32) -> Vec<String> {
    let option = |value: String| vec!["--threads".to_owned(), value];
    match (threads, cores) {
        (Shared::Unset, _) => option("unset".to_owned()),
        (Shared::Number(count), _) => option(count.to_string()),
        (Shared::Share, 0) => Vec::new(),
        (Shared::Share, cores) => option(cores.to_string()),
    }
}

/// The options for what an engine of a host has for itself; empty if it has nothing.
fn place(engines: &EnginesTable) -> Vec<String> {
    let bind = (engines.bind != Bind::None).then(|| engines.bind.word().to_owned());
    let gpus = match &engines.gpus {
        Gpus::None => None,
        Gpus::Auto => Some("auto".to_owned()),
        Gpus::Ids(ids) => Some(ids.join(",")),
    };
    let memory = Some(&engines.memory).filter(|size| !size.is_empty()).cloned();
    let options = [("--bind", bind), ("--gpus", gpus), ("--memory", memory)];
    options.into_iter().filter_map(|(name, value)| Some([name.to_owned(), value?])).flatten().collect()
}

/// The option for `engines.preload`.
pub fn preload(modules: &[String]) -> Vec<String> {
    if modules.is_empty() { Vec::new() } else { vec!["--preload".to_owned(), modules.join(",")] }
}

/// The option for `engines.agent`.
pub fn agent(engines: &EnginesTable) -> Option<String> {
    engines.agent.then(|| "--with-agent".to_owned())
}

/// What to do about modules that cannot be had before engines are forked.
pub const PRELOAD_HINT: &str = "engines.preload of the profile names modules of the engines' Python, which must start no threads; \
                                `engines.fork = false` has each engine import them";

/// That engines cannot be forked because of a module; `why` is told by the process that was to fork them.
pub fn not_preloaded(why: &str) -> String {
    format!("engines.preload: {why}")
}

/// How long an engine may try to register, of the time that the launcher waits for it: less, so that the engine's reason is
/// in its log before the start is given up.
pub fn timeout(launchers: f64) -> f64 {
    const SHARE: f64 = 0.7;
    // Whole milliseconds are enough, and short to read in a list of processes.
    (launchers * SHARE * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(more: &str) -> EnginesTable {
        #[derive(serde::Deserialize)]
        struct Tables {
            engines: EnginesTable,
        }
        let mut all: toml::Table = toml::from_str(include_str!("../../../profiles/default.toml")).expect("TOML");
        let more: toml::Table = toml::from_str(more).expect("TOML");
        all["engines"].as_table_mut().expect("a table").extend(more);
        all.try_into::<Tables>().expect("tables").engines
    }

    #[test]
    fn engines_give_up_before_their_launcher_does() {
        assert_eq!((timeout(120.0), timeout(0.5), timeout(40.0)), (84.0, 0.35, 28.0));
    }

    #[test]
    fn an_engine_is_told_what_it_cannot_know_itself() {
        let words = |more, cores, index, engines| of_host(&table(more), cores, Seat { index, engines }).join(" ");
        assert_eq!(words("", 0, 2, 4), "--host-engines 4");
        assert_eq!(words("", 0, 0, 1), "");
        assert_eq!(words("", 2, 0, 4), "--threads 2");
        assert_eq!(words("threads = 3", 2, 0, 4), "--threads 3");
        assert_eq!(words("threads = \"unset\"", 2, 0, 4), "--threads unset");
        assert_eq!(words("bind = \"core\"", 0, 2, 4), "--host-engines 4 --host-index 2 --bind core");
        let all = "bind = \"numa\"\ngpus = [0, 3]\nmemory = \"4G\"";
        assert_eq!(words(all, 2, 0, 1), "--threads 2 --bind numa --gpus 0,3 --memory 4G");
        let seated = of_host(&table("bind = \"core\""), 0, Seat { index: 2, engines: 4 });
        assert_eq!((seat(&seated), seat(&[])), ("2", "0"));
        assert_eq!(of_server(&table("bind = \"core\""), 4), ["--host-engines", "4"]);
        let offers = "tags = [\"big\", \"fast\"]\nresources = { gpus = 0.5, memory = \"1K\" }";
        assert_eq!(
            words(offers, 0, 1, 2),
            "--host-engines 2 --host-index 1 --resources gpus=0.5,memory=1024 --tags big,fast"
        );
        assert_eq!(words("capture_output = false", 0, 0, 1), "--own-output");
        assert_eq!(words("gpus = \"auto\"", 2, 1, 2), "--threads 2 --host-engines 2 --host-index 1 --gpus auto");
    }
}
