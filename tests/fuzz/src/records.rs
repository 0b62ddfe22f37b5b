//! `cluster.json`, and what launchers elsewhere report.

use ipclusterz_launcher::remote::answers;
use ipclusterz_launchers::cluster::handle::ClusterHandle;
use std::path::Path;

/// Any bytes as a record, and as lines of a launcher on another host: refused, or what reads back.
pub fn records(bytes: &[u8]) {
    match ClusterHandle::parse(bytes, Path::new("cluster.json")) {
        Ok(handle) => {
            let again = serde_json::to_vec(&handle).expect("JSON");
            let again = ClusterHandle::parse(&again, Path::new("cluster.json")).expect("our own record");
            assert_eq!(serde_json::to_vec(&again).expect("JSON"), serde_json::to_vec(&handle).expect("JSON"));
            for set in &handle.sets {
                assert!(!set.job.to_string().is_empty());
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    let told = &*String::from_utf8_lossy(bytes);
    let _ = (answers::parse_look(told), answers::parse_report(told), answers::parse_status(told));
    let _ = (answers::parse_progress(told, 7), answers::parse_scaled(told));
}
