//! What becomes of the journal that an earlier cluster of the same name has left.

use crate::arguments::JournalChoice;
use crate::failures;
use crate::journals;
use crate::talk::Talk;
use ipclusterz_base::private;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::units::{bytes, count};
use ipclusterz_launchers::cluster::ClusterFolder;
use ipclusterz_profile::settings::StartSettings;
use ipclusterz_profile::tables::controller::Journal;
use ipclusterz_runtime::controller::left;

/// Does with the journal what the user wants. Fails if there is one with work in it and nothing was said about it. The caller
/// must hold the cluster's lock.
pub fn claim(
    choice: JournalChoice,
    settings: &StartSettings,
    folder: &ClusterFolder,
    talk: &mut Talk,
) -> Result<(), Failure> {
    let name = &settings.cluster;
    match choice {
        JournalChoice::None => match journals::left_by(name, folder, false) {
            None => Ok(private::remove(&folder.journal())?),
            Some(kept) => {
                let message = format!("an earlier cluster {name:?} has left a journal: {}", kept.content());
                Err(Failure::new(Exit::JournalLeft, message).with_hint(kept.hint()))
            }
        },
        JournalChoice::Discard => {
            if let Some(kept) = journals::left_by(name, folder, false) {
                talk.say(format!("the journal of an earlier cluster {name:?} is dropped: {}", kept.content()));
            }
            Ok(private::remove(&folder.journal())?)
        }
        JournalChoice::Resume | JournalChoice::Salvage => take_up(choice, settings, folder, talk),
    }
}

fn take_up(
    choice: JournalChoice,
    settings: &StartSettings,
    folder: &ClusterFolder,
    talk: &mut Talk,
) -> Result<(), Failure> {
    let name = &settings.cluster;
    if settings.tables.controller.journal == Journal::Off {
        let message = format!("--resume: controller.journal is \"off\" for cluster {name:?}");
        return Err(Failure::new(Exit::Usage, message).with_hint("set it to \"on\" or \"best-effort\""));
    }
    if !left::is_there(folder.path()) {
        return Err(nothing_to_resume(name));
    }
    if choice == JournalChoice::Salvage
        && let Some(cut) = left::salvage(folder.path()).map_err(failures::of_controller)?
    {
        talk.warn(format!(
            "{} is cut at offset {}: {} with {} are lost; a copy is {}",
            cut.path.display(),
            cut.offset,
            bytes(cut.bytes),
            count(cut.records, "whole record"),
            cut.copy.display()
        ));
    }
    let left = left::look(folder.path()).map_err(failures::of_controller)?.unwrap_or_default();
    let (tasks, results) = (count(left.tasks, "task"), count(left.results, "result"));
    talk.say(format!("cluster {name:?} is taken up again: {tasks} to be done, {results}"));
    Ok(())
}

/// The failure for a cluster that has left no journal. Its hint names those that have.
fn nothing_to_resume(name: &str) -> Failure {
    let failure = Failure::new(Exit::NoCluster, format!("--resume: cluster {name:?} has left no journal"));
    // If they cannot be listed, none is suggested.
    let others: Vec<String> = journals::all().unwrap_or_default().into_iter().map(|(name, _)| name).collect();
    if others.is_empty() {
        return failure.with_hint("no cluster has left one; leave out --resume to start an empty cluster");
    }
    failure.with_hint(format!("these have: {}", others.join(", ")))
}
