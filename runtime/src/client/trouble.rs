//! Why nothing comes for now, for whoever waits: there is no connection, or a process does not go on.

use super::handle::Client;
use super::shared::{Away, Said, State};
use crate::system::wall_clock;
use ipclusterz_base::ids::EngineId;
use std::time::{Duration, Instant};

/// So long nobody is told of a connection that is broken and may come back at any moment.
const SHORT: Duration = Duration::from_secs(3);

impl Client {
    /// Why nothing comes for now.
    pub fn trouble(&self) -> Option<String> {
        let state = self.shared.lock();
        let away = state.away.map(|away| without_connection(&state, away));
        drop(state);
        away.or_else(|| self.controller?.halted())
    }

    /// Which of these engines, of those on this host, does not go on.
    pub fn halted(&self, engines: &[EngineId]) -> Option<String> {
        let infos: Vec<_> = {
            let state = self.shared.lock();
            engines.iter().filter_map(|id| state.core.engines.get(id)).map(|(info, _)| info.clone()).collect()
        };
        infos.iter().find_map(|info| info.birth?.halted(&format!("engine {}", info.id), info.pid))
    }

    /// Why one of these engines gives no answer for now: it does not go on, or has no connection.
    pub fn held_up(&self, engines: &[EngineId]) -> Option<String> {
        self.halted(engines).or_else(|| absent(&self.shared.lock(), engines).map(|(_, why)| why))
    }

    /// A line for somebody who waits for these engines, if there is something to say that was not said before.
    pub fn news(&self, engines: &[EngineId]) -> Option<String> {
        let halted = self.controller.and_then(|controller| controller.halted()).or_else(|| self.halted(engines));
        let mut state = self.shared.lock();
        let before = state.said.take();
        let worth_saying = |away: &Away| (away.nobody_listens && !self.returns) || away.since.elapsed() >= SHORT;
        let absent = absent(&state, engines);
        let none = without_engines(&mut state, engines);
        let (said, line) = match (state.away, halted) {
            (Some(away), _) if worth_saying(&away) => (Some(Said::Away(away.since)), without_connection(&state, away)),
            (Some(_), _) => (before.clone(), String::new()),
            (None, Some(why)) => (Some(Said::Halted(why.clone())), why),
            (None, None) if matches!(before, Some(Said::Away(_))) && state.core.standing.is_some() => {
                return Some("connected to the controller again".to_owned());
            }
            (None, None) => match (absent, before.clone()) {
                (Some((engine, why)), _) => (Some(Said::EngineAway(engine)), why),
                (None, _) if none.is_some() => (none.clone().map(Said::NoEngine), none.unwrap_or_default()),
                (None, Some(Said::NoEngine(_))) if !state.core.engines.is_empty() => {
                    return Some("there are engines now".to_owned());
                }
                (None, Some(Said::EngineAway(engine))) if state.core.engines.contains_key(&engine) => {
                    return Some(format!("engine {engine} is connected again"));
                }
                (None, _) => (None, String::new()),
            },
        };
        let is_new = said.is_some() && said != before;
        state.said = said;
        is_new.then_some(line)
    }
}

/// What calls for any engine wait for where there has been none for a while, in words.
fn without_engines(state: &mut State, engines: &[EngineId]) -> Option<String> {
    let since = state.core.engines.is_empty().then(|| *state.no_engine.get_or_insert_with(Instant::now));
    if since.is_none() {
        state.no_engine = None;
    }
    let expected = state.core.expected.as_ref().filter(|expected| expected.coming && !expected.why.is_empty())?;
    let is_long = engines.is_empty() && since?.elapsed() >= SHORT;
    is_long.then(|| format!("there is no engine yet: {}", expected.why))
}

/// The first of these engines that has had no connection for a while, in words.
fn absent(state: &State, engines: &[EngineId]) -> Option<(EngineId, String)> {
    engines.iter().find_map(|id| {
        let (away, said) = state.core.absent.get(id)?;
        let away = away.later(Duration::try_from_secs_f64(wall_clock() - said).unwrap_or_default().as_secs());
        let (info, _) = state.core.engines.get(id).filter(|_| away.silent || away.seconds >= SHORT.as_secs())?;
        Some((*id, away.of(&format!("engine {id} (pid {} on {})", info.pid, info.host))))
    })
}

/// `no connection to the controller for 12 s: …; what is under way is kept for 288 s more`.
fn without_connection(state: &State, away: Away) -> String {
    let seconds = away.since.elapsed().as_secs();
    let left = away.give_up.saturating_duration_since(Instant::now()).as_secs();
    format!(
        "no connection to the controller for {seconds} s: {}; what is under way is kept for {left} s more \
         (controller.session_grace)",
        state.problem
    )
}
