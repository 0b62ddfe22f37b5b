//! Why nothing comes for now, for whoever waits: there is no connection, or a process does not go on.

use super::handle::Client;
use super::shared::{Away, Said, State};
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

    /// A line for somebody who waits for these engines, if there is something to say that was not said before.
    pub fn news(&self, engines: &[EngineId]) -> Option<String> {
        let halted = self.controller.and_then(|controller| controller.halted()).or_else(|| self.halted(engines));
        let mut state = self.shared.lock();
        let before = state.said.take();
        let worth_saying = |away: &Away| (away.nobody_listens && !self.returns) || away.since.elapsed() >= SHORT;
        let (said, line) = match (state.away, halted) {
            (Some(away), _) if worth_saying(&away) => (Some(Said::Away(away.since)), without_connection(&state, away)),
            (Some(_), _) => (before.clone(), String::new()),
            (None, Some(why)) => (Some(Said::Halted(why.clone())), why),
            (None, None) if matches!(before, Some(Said::Away(_))) && state.core.standing.is_some() => {
                return Some("connected to the controller again".to_owned());
            }
            (None, None) => (None, String::new()),
        };
        let is_new = said.is_some() && said != before;
        state.said = said;
        is_new.then_some(line)
    }
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
