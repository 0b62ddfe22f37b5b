//! `ipclusterz tasks sessions`.

use super::history::History;
use crate::report::tasks::SessionsReport;
use ipclusterz_host::failure::Failure;

/// Lists sessions.
pub fn run(history: &History) -> Result<SessionsReport, Failure> {
    Ok(SessionsReport { cluster: history.cluster.clone(), sessions: history.sessions()? })
}
