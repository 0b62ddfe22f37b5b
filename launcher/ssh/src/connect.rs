//! Connects to a host with the backend that a profile asks for.

use crate::asker::Asker;
use crate::error::SshError;
use crate::remote::Remote;
use crate::{config, libssh2, openssh};
use ipclusterz_profile::tables::ssh::{BackendKind, SshTable};

/// Connects to `host`, as a user writes it, with the backend of `table`. Asks `asker` for passphrases and passwords.
/// Blocks until the connection is ready, has failed or has timed out; answers do not count towards the timeout.
pub fn connect(host: &str, table: &SshTable, asker: &mut dyn Asker) -> Result<Box<dyn Remote>, SshError> {
    match table.backend {
        BackendKind::Libssh2 => {
            let resolved = config::Resolver::new(table)?.resolve(host)?;
            Ok(Box::new(libssh2::connect(&resolved, table, asker)?))
        }
        BackendKind::Openssh => Ok(Box::new(openssh::connect(&host.parse()?, table, asker)?)),
    }
}
