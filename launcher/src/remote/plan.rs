//! What a start on another host is given: the merged profile as a file, and all that is settled here.

use crate::supervisor::program::Program;
use ipclusterz_host::failure::Failure;
use ipclusterz_launchers::cluster::ClusterFolder;
use ipclusterz_launchers::cluster::handle::ClusterHandle;
use ipclusterz_profile::environment::Variables;
use ipclusterz_profile::settings::{StartSettings, merged_profile};
use ipclusterz_profile::{Options, Places, Profile};
use std::path::PathBuf;
use std::time::Instant;

/// All that is settled before the host is asked for anything.
pub struct Plan<'a> {
    /// What was asked for.
    pub settings: &'a StartSettings,
    /// The profile for the start there.
    pub profile: String,
    /// Where the record is, here; locked.
    pub folder: ClusterFolder,
    /// The record.
    pub handle: ClusterHandle,
    /// This binary.
    pub binary: PathBuf,
    /// What the cluster is started for, if it ends with that.
    pub program: Option<Program>,
    /// Pid of a process that must not be outlived.
    pub parent: Option<u32>,
    /// When the command was given.
    pub started: Instant,
}

/// All layers of the profile merged, as a text for a start on the host itself.
pub fn profile_for(options: &Options, variables: &Variables, places: &Places) -> Result<String, Failure> {
    profile_of_host(merged_profile(options, variables, places)?)
}

/// The text of a merged profile for that host, on which the cluster is no cluster elsewhere.
pub fn profile_of_host(mut merged: Profile) -> Result<String, Failure> {
    merged.derive("ssh.controller", "".into(), "the host itself".to_owned())?;
    Ok(ipclusterz_profile::write(&merged.entries, false))
}
