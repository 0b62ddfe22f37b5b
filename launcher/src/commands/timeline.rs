//! `ipclusterz timeline`: a picture of what has happened in a cluster, for Perfetto or Chrome.

use crate::arguments::TimelineArguments;
use crate::looking::{connect, failure};
use crate::report::TimelineReport;
use crate::times::since;
use ipclusterz_host::failure::Failure;
use ipclusterz_launchers::batch::clock;
use ipclusterz_profile::environment::Variables;
use ipclusterz_profile::settings::cluster_name;
use ipclusterz_runtime::client::events::{TimelineError, timeline};
use std::fs::File;
use std::io::BufWriter;

/// Writes the file.
pub fn run(arguments: &TimelineArguments, variables: &Variables) -> Result<TimelineReport, Failure> {
    let cluster = cluster_name(arguments.common.cluster.as_deref(), variables)?;
    let since = arguments.since.as_deref().map_or(Ok(0.0), |text| since(text, clock::now()))?;
    let client = connect(&cluster)?;
    let path = &arguments.file;
    let file = File::create(path).map_err(Failure::io(&format!("writing {}", path.display())))?;
    let events = timeline(&client, since, BufWriter::new(file)).map_err(|error| match error {
        TimelineError::Client(error) => failure(&cluster, error),
        TimelineError::Write(error) => Failure::io(&format!("writing {}", path.display()))(error),
    })?;
    Ok(TimelineReport { cluster, file: path.clone(), events })
}
