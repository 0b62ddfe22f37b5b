//! What follows for settings from the job of a queue that this process runs in.

use crate::allocation;
use crate::environment::Variables;
use crate::error::ProfileError;
use crate::profile::Profile;
use crate::tables::engines::LauncherKind;

/// Groups are jobs to be submitted. Inside a job the nodes are used that are there.
pub fn leave_groups_out(profile: &mut Profile, variables: &Variables) -> Result<(), ProfileError> {
    let (tables, queue) = (&profile.tables, &profile.tables.queue);
    let here = tables.engines.launcher == LauncherKind::Batch && tables.ssh.controller.is_empty();
    match allocation::job_id(queue, variables).filter(|_| here && !tables.batch.groups.is_empty()) {
        Some(job) => {
            let reason = format!("as the nodes of job {job} ({}) are used", queue.inside);
            profile.derive("batch.groups", toml::Value::Array(Vec::new()), reason)
        }
        None => Ok(()),
    }
}

/// How many tasks the job has that this process runs in, or why that is not known, each with the reason; `None` outside of
/// jobs, where engines would be started elsewhere, and of a queue whose jobs do not say.
pub fn tasks(profile: &Profile, variables: &Variables) -> Option<Result<(u32, String), String>> {
    let (tables, queue) = (&profile.tables, &profile.tables.queue);
    let says_nothing = queue.tasks.is_empty() && queue.slots.is_empty();
    if tables.engines.launcher != LauncherKind::Batch || !tables.ssh.controller.is_empty() || says_nothing {
        return None;
    }
    let job = format!("job {} ({})", allocation::job_id(queue, variables)?, queue.inside);
    let tasks = allocation::total(&allocation::parts(queue, variables, tables.batch.cores_per_engine));
    Some(match tasks {
        Ok(tasks) => Ok((tasks, format!("as many as the tasks of {job}"))),
        Err(why) => Err(format!("{job} does not say how many tasks it has: {why}")),
    })
}
