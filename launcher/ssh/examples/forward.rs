//! Forwards a port through SSH until its standard input ends: for `tests/bench/tunnels`, which measures what passes.
//!
//! `forward BACKEND DIRECTION PORT HOST FOLDER`: `there` carries connections from a free port of this host to PORT of the
//! other, `back` from a free port of the other to PORT of this. FOLDER has `config`, `known_hosts` and a key. It prints
//! the free port.

use ipclusterz_profile::tables::ssh::BackendKind;
use ipclusterz_ssh::{Endpoint, LocalListener, Nobody, connect};
use std::error::Error;
use std::io::Read;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [backend, direction, port, host, folder] = &arguments[..] else {
        return Err("usage: forward BACKEND DIRECTION PORT HOST FOLDER".into());
    };
    let mut table = ipclusterz_profile::default_tables()?.ssh;
    table.backend = match backend.as_str() {
        "libssh2" => BackendKind::Libssh2,
        "openssh" => BackendKind::Openssh,
        other => return Err(format!("BACKEND is libssh2 or openssh, not {other:?}").into()),
    };
    table.config = format!("{folder}/config");
    table.known_hosts = vec![format!("{folder}/known_hosts")];
    table.identity_files = vec![format!("{folder}/id_ed25519")];
    table.agent = false;
    let mut remote = connect(host, &table, &mut Nobody)?;
    let to = Endpoint::loopback(port.parse()?);
    let forward = match direction.as_str() {
        "there" => remote.forward_local(LocalListener::tcp(0)?, &to)?,
        "back" => remote.forward_back(&Endpoint::loopback(0), &to)?,
        other => return Err(format!("DIRECTION is there or back, not {other:?}").into()),
    };
    println!("{}", forward.listens());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
