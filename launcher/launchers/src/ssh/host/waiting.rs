//! Engines that wait until their environment is on a disk of the host.

use super::Worker;
use crate::set::{EngineSet, Force, SetEnd, SetEvent, SetId};
use crate::ssh::staging::Progress;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::stderr::print_problem;
use std::collections::BTreeMap;

impl Worker {
    /// Starts engines, or has them wait for their environment.
    pub(super) fn start_engines(&mut self, sets: Vec<(EngineSet, Vec<String>)>) {
        let uploaded = self.upload_connection_file().map_err(Failure::from);
        match (&mut self.staging, uploaded) {
            (_, Err(failure)) => self.not_started(&sets, &failure),
            (None, Ok(())) => self.start_with(&self.plan.clone(), &sets),
            (Some(staging), Ok(())) => {
                if self.sets.is_empty() && self.staged_for.is_empty() {
                    staging.begin_anew();
                }
                self.staged_for.extend(sets);
                self.told.clear();
            }
        }
    }

    /// Takes the next step on the way to an environment, if engines wait for it, and starts them when it is there.
    pub(super) fn go_on_staging(&mut self) {
        let Some(mut staging) = self.staging.take_if(|_| !self.staged_for.is_empty()) else { return };
        let watched = self.connection.as_ref().map(|connection| format!("{}/engine.json", connection.folder));
        let plan = self.plan.clone();
        let progress = match watched {
            Some(watched) => staging.step(&plan, &watched, &mut |script| self.run(script)),
            // The connection is lost: engines that were to be started are started anew.
            None => Err(Failure::new(Exit::StartFailed, format!("the connection to {} was lost", self.name))),
        };
        let staged = staging.plan(&plan);
        self.staging = Some(staging);
        match (progress, staged) {
            (Err(failure), _) => {
                let sets = std::mem::take(&mut self.staged_for);
                self.not_started(&sets, &failure);
            }
            (Ok(Progress::Ready(news)), Some(plan)) => {
                if let Some(news) = news {
                    print_problem(&news);
                }
                let sets = std::mem::take(&mut self.staged_for);
                self.start_with(&plan, &sets);
            }
            (Ok(Progress::Ready(why)), None) => self.say_waiting(&why.unwrap_or_default()),
            (Ok(Progress::Waits(why)), _) => self.say_waiting(&why),
        }
    }

    /// Tells why engines are not started yet, if that is news.
    fn say_waiting(&mut self, why: &str) {
        if self.told == why {
            return;
        }
        why.clone_into(&mut self.told);
        for (set, _) in &self.staged_for {
            self.news.tell(set.id, SetEvent::Waiting(format!("{}: {why}", self.name)));
        }
    }

    /// Ends engines that wait for their environment.
    pub(super) fn end_waiting(&mut self, ends: &BTreeMap<SetId, Force>) {
        let (ended, waiting) =
            std::mem::take(&mut self.staged_for).into_iter().partition(|(set, _)| ends.contains_key(&set.id));
        self.staged_for = waiting;
        let failure = Failure::new(Exit::StartFailed, "it was ended before its environment was there");
        self.not_started(&ended, &failure);
    }

    fn not_started(&self, sets: &[(EngineSet, Vec<String>)], failure: &Failure) {
        for (set, _) in sets {
            self.news.tell(set.id, SetEvent::Ended(SetEnd::not_started(failure.clone())));
        }
    }
}
