//! A connection file: its format; how it is read, checked and written.
//!
//! # Format
//!
//! JSON, mode 0600, one for clients (`client.json`) and one for engines (`engine.json`), written anew by every
//! controller. `version` is read first, with `release` for the error: so these two are in every version. What else is
//! there and not known is passed over.
//!
//! ```json
//! {"version": 1, "release": "0.1.0", "role": "client", "cluster": "default", "run_id": "0f3c9a1e", "host": "n1",
//!  "addresses": ["ipc:///run/user/1000/ipclusterz/default-0f3c9a1e/controller.sock", "tcp://n1:10101"],
//!  "shared_memory": "/dev/shm/ipclusterz-1000-default-0f3c9a1e",
//!  "curve": {"server": "…", "public": "…", "secret": "…"},
//!  "controller": {"pid": 4711, "table": {"boot": [1, 2], "namespace": 4026531836}, "start_time": 987654},
//!  "keeper": {"pid": 4710, "table": {"boot": [1, 2], "namespace": 4026531836}, "start_time": 987650}}
//! ```
//!
//! `controller` and `keeper` are there where the kernel tells which processes they are. `keeper` is the launcher, if it
//! starts the controller again when that dies: as long as the keeper lives, a dead controller is not the end.
//!
//! For peers behind a tunnel there are copies with `"forwarded": true`. Their addresses are near ends of forwards on
//! the peer's own host, and are dialled although `host` is another one. `"through_ssh": true` says that it is SSH that
//! forwards: so the way between the two hosts is encrypted.

use super::CONNECTION_FILE_VERSION;
use super::error::ConnectionError;
use super::keys::{CurveKeys, Role};
use crate::places::{self, PlacesError};
use crate::private::{self, Trust};
use crate::process::{Birth, Condition};
use crate::words::is_printable;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// See the module's documentation for the format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionFile {
    /// [`CONNECTION_FILE_VERSION`].
    pub version: u64,
    /// Whom it admits.
    pub role: Role,
    /// Name of the cluster.
    #[serde(deserialize_with = "plain")]
    pub cluster: String,
    /// Changes with every start of the cluster's controller.
    #[serde(deserialize_with = "plain")]
    pub run_id: String,
    /// Host of the controller; only peers there use its unix socket.
    #[serde(deserialize_with = "plain")]
    pub host: String,
    /// `ipc://…` first, if there is one, then `tcp://host:port`.
    #[serde(deserialize_with = "all_plain")]
    pub addresses: Vec<String>,
    /// Folder of segments for large payloads, on the controller's host.
    pub shared_memory: Option<PathBuf>,
    /// Keys for TCP; none when the controller listens on its unix socket alone.
    pub curve: Option<CurveKeys>,
    /// The addresses are near ends of tunnels on the peer's own host; whatever is behind them is not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forwarded: bool,
    /// The tunnels are of SSH, from this file's host on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub through_ssh: bool,
    /// The number of the controller's release, for errors.
    #[serde(default, deserialize_with = "number_of_release", skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The controller's process, for peers of its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller: Option<ControllerProcess>,
    /// The process that starts the controller again when that dies, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keeper: Option<ControllerProcess>,
    /// Where it was read from.
    #[serde(skip)]
    pub path: Option<PathBuf>,
}

/// Which process a controller is, or its keeper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControllerProcess {
    /// Its process id.
    pub pid: u32,
    /// What makes that identify it.
    #[serde(flatten)]
    pub birth: Birth,
}

impl ControllerProcess {
    /// The process that has this pid now; `None` if there is none, or the kernel does not tell.
    pub fn of(pid: u32) -> Option<Self> {
        Birth::of(pid).map(|birth| Self { pid, birth })
    }

    /// Whether it has ended, where this host can see that.
    fn has_ended(self) -> Option<bool> {
        self.birth.condition(self.pid).map(|condition| condition == Condition::Gone)
    }

    /// Why it does not go on, where this host can see that.
    pub fn halted(self) -> Option<String> {
        self.birth.halted("the controller", self.pid)
    }
}

/// The number of a release, which is for people alone: whatever else stands there is passed over.
fn number_of_release<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let found = serde_json::Value::deserialize(deserializer)?;
    let is_plain = |text: &&str| {
        text.len() <= 32 && text.chars().all(|letter| letter.is_ascii_alphanumeric() || ".-+".contains(letter))
    };
    Ok(found.as_str().filter(is_plain).map(str::to_owned))
}

/// A text that is shown, and has nothing in it that a terminal would obey.
fn plain<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if is_printable(&text) { Ok(text) } else { Err(D::Error::custom("characters that cannot be shown")) }
}

fn all_plain<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let plain = texts.iter().all(|text| is_printable(text));
    if plain { Ok(texts) } else { Err(D::Error::custom("characters that cannot be shown")) }
}

impl ConnectionFile {
    /// Reads and checks `path`.
    pub fn read(path: &Path) -> Result<Self, ConnectionError> {
        let unreadable = |source| ConnectionError::Unreadable { path: path.to_path_buf(), source };
        let file = private::open(path, Trust::OurFile).map_err(|error| match error {
            error if error.is_missing() => ConnectionError::Missing(path.to_path_buf()),
            PlacesError::Io { source, .. } => unreadable(source),
            error => ConnectionError::Place(error),
        })?;
        let mode = file.metadata().map_err(unreadable)?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(ConnectionError::NotPrivate { path: path.to_path_buf(), mode });
        }
        let text = io::read_to_string(file).map_err(unreadable)?;
        Ok(Self { path: Some(path.to_path_buf()), ..Self::parse(&text, path)? })
    }

    /// Parses the text of a connection file; `path` is for errors alone.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConnectionError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u64,
            #[serde(default, deserialize_with = "number_of_release")]
            release: Option<String>,
        }
        let damaged = |error: serde_json::Error| ConnectionError::Damaged {
            path: path.to_path_buf(),
            line: error.line(),
            column: error.column(),
        };
        let Versioned { version, release } = serde_json::from_str(text).map_err(damaged)?;
        if version != CONNECTION_FILE_VERSION {
            let by = release.map_or(String::new(), |release| format!(" of ipclusterz {release}"));
            return Err(ConnectionError::Version { path: path.to_path_buf(), found: version, by });
        }
        serde_json::from_str(text).map_err(damaged)
    }

    /// The same controller at `address` alone, with these keys.
    pub fn at(self, address: &str) -> Result<Self, ConnectionError> {
        let tcp = |rest: &str| {
            let (host, port) = rest.rsplit_once(':')?;
            (!host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)).then_some(())
        };
        if !is_printable(address) {
            return Err(ConnectionError::BadAddress(address.to_owned()));
        }
        if let Some(rest) = address.strip_prefix("tcp://") {
            tcp(rest).ok_or_else(|| ConnectionError::BadAddress(address.to_owned()))?;
            if self.curve.is_none() {
                return Err(ConnectionError::NoKeys(address.to_owned()));
            }
        } else if !address.starts_with("ipc:///") {
            return Err(ConnectionError::BadAddress(address.to_owned()));
        }
        // What is there may be another cluster's, of which this file has the key alone, and the way there may be any.
        let through_ssh = false;
        let (controller, keeper, path) = (None, None, None);
        Ok(ConnectionFile { addresses: vec![address.to_owned()], through_ssh, controller, keeper, path, ..self })
    }

    /// Writes it to `path` with mode 0600, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), ConnectionError> {
        let text = serde_json::to_vec_pretty(self).map_err(|error| PlacesError::Io {
            what: "encoding",
            path: path.to_path_buf(),
            source: error.into(),
        })?;
        Ok(places::write_private(path, &text)?)
    }

    /// Why the cluster, at which nobody listens any more, has ended for good; `None`: this host does not see that.
    pub fn ended(&self) -> Option<String> {
        if let Some(controller) = self.controller.filter(|_| self.controller_is_gone_for_good()) {
            return Some(format!("the controller (pid {}) has ended", controller.pid));
        }
        let path = self.path.as_deref()?;
        match ConnectionFile::read(path) {
            Err(ConnectionError::Missing(_)) => {
                let what = if self.forwarded { "the cluster, or the tunnel to it," } else { "the cluster" };
                Some(format!("{what} has ended: {} is gone", path.display()))
            }
            Ok(file) if file.run_id != self.run_id => {
                Some(format!("the cluster has ended, and another one of that name was started ({})", path.display()))
            }
            _ => None,
        }
    }

    /// Whether the controller has ended, and nobody is there who starts it again.
    fn controller_is_gone_for_good(&self) -> bool {
        let is_gone = |process: ControllerProcess| process.has_ended() == Some(true);
        self.controller.is_some_and(is_gone) && self.keeper.is_none_or(is_gone)
    }

    /// The unix socket, for a peer on the controller's own host.
    pub fn local_address(&self) -> Option<&str> {
        let address = self.addresses.iter().find(|address| address.starts_with("ipc://"))?;
        let socket = Path::new(&address["ipc://".len()..]);
        (!self.forwarded && self.host == places::host_name() && socket.exists()).then_some(address.as_str())
    }

    /// The addresses to dial from this host: the unix socket alone if it is here, else those of TCP; all of them when
    /// they are near ends of tunnels.
    pub fn reachable_addresses(&self) -> Vec<&str> {
        match self.local_address() {
            Some(socket) => vec![socket],
            None => {
                let reachable = |address: &&String| self.forwarded || address.starts_with("tcp://");
                self.addresses.iter().filter(reachable).map(String::as_str).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release;
    use std::fs;

    fn example() -> ConnectionFile {
        ConnectionFile {
            version: CONNECTION_FILE_VERSION,
            role: Role::Client,
            cluster: "default".to_owned(),
            run_id: "0f3c9a1e".to_owned(),
            host: "n1".to_owned(),
            addresses: vec!["tcp://n1:10101".to_owned()],
            shared_memory: None,
            curve: Some(CurveKeys { server: "s".repeat(40), public: "p".repeat(40), secret: "t".repeat(40) }),
            forwarded: false,
            through_ssh: false,
            release: Some("0.1.0".to_owned()),
            controller: None,
            keeper: None,
            path: None,
        }
    }

    #[test]
    fn a_cluster_has_ended_when_its_file_or_its_controller_is_gone() {
        let root = tempfile::tempdir().expect("temporary folder");
        let path = root.path().join("client.json");
        let mut child = sleeping();
        let controller = ControllerProcess::of(child.id());
        assert!(controller.is_some());
        ConnectionFile { controller, ..example() }.write(&path).expect("write");
        let file = ConnectionFile::read(&path).expect("read");
        assert_eq!((file.controller, file.ended()), (controller, None));
        ConnectionFile { run_id: "another".to_owned(), ..file.clone() }.write(&path).expect("write");
        assert!(file.ended().is_some_and(|why| why.contains("another one of that name")));
        fs::remove_file(&path).expect("remove");
        assert!(file.ended().is_some_and(|why| why.ends_with("client.json is gone")));
        let file = ConnectionFile { path: None, ..file };
        assert_eq!(file.ended(), None);
        child.kill().expect("kill");
        child.wait().expect("reap");
        assert_eq!(file.ended(), Some(format!("the controller (pid {}) has ended", child.id())));
        assert_eq!(file.at("tcp://n1:10101").expect("an address").ended(), None, "perhaps not that one's");
    }

    fn sleeping() -> std::process::Child {
        std::process::Command::new("sleep").arg("1000").spawn().expect("sleep")
    }

    #[test]
    fn a_dead_controller_is_no_end_while_its_keeper_lives() {
        let root = tempfile::tempdir().expect("temporary folder");
        let path = root.path().join("client.json");
        let (mut controller, mut keeper) = (sleeping(), sleeping());
        let [first, second] = [&controller, &keeper].map(|child| ControllerProcess::of(child.id()));
        ConnectionFile { controller: first, keeper: second, ..example() }.write(&path).expect("write");
        let file = ConnectionFile::read(&path).expect("read");
        controller.kill().expect("kill");
        controller.wait().expect("reap");
        assert_eq!((file.keeper, file.ended()), (second, None));
        let elsewhere = second.map(|ControllerProcess { pid, birth }| {
            let table = crate::process::Table { namespace: 0, ..birth.table };
            ControllerProcess { pid, birth: Birth { table, ..birth } }
        });
        assert_eq!(ConnectionFile { keeper: elsewhere, ..file.clone() }.ended(), None, "it cannot be seen");
        fs::remove_file(&path).expect("remove");
        assert!(file.ended().is_some_and(|why| why.ends_with("client.json is gone")));
        keeper.kill().expect("kill");
        keeper.wait().expect("reap");
        assert_eq!(file.ended(), Some(format!("the controller (pid {}) has ended", controller.id())));
    }

    #[test]
    fn written_files_read_back_and_are_private() {
        let root = tempfile::tempdir().expect("temporary folder");
        let path = root.path().join("client.json");
        example().write(&path).expect("write");
        let file = ConnectionFile { path: Some(path.clone()), ..example() };
        assert_eq!(ConnectionFile::read(&path).expect("read"), file);
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("chmod");
        assert!(matches!(ConnectionFile::read(&path), Err(ConnectionError::NotPrivate { mode: 0o644, .. })));
    }

    #[test]
    fn each_kind_of_damage_has_its_own_error() {
        let path = Path::new("client.json");
        let text = serde_json::to_string(&example()).expect("encode");
        assert!(matches!(ConnectionFile::parse(&text[..text.len() / 2], path), Err(ConnectionError::Damaged { .. })));
        let newer = text.replace("\"version\":1", "\"version\":2");
        let refused = ConnectionFile::parse(&newer, path).expect_err("another version");
        let own = release::number();
        assert_eq!(
            refused.to_string(),
            format!(
                "the connection file client.json of ipclusterz 0.1.0 has version 2; this ipclusterz {own} reads version 1"
            )
        );
        // Whatever else a later version changes.
        let newest = r#"{"version": 7, "release": {"major": 9}, "role": ["client"]}"#;
        assert!(matches!(ConnectionFile::parse(newest, path), Err(ConnectionError::Version { found: 7, .. })));
        let with_more = text.replace("\"version\":1", "\"version\":1,\"colours\":[{\"red\":1}]");
        assert_eq!(ConnectionFile::parse(&with_more, path).expect("passed over"), example());
        assert!(matches!(ConnectionFile::read(Path::new("/nowhere/client.json")), Err(ConnectionError::Missing(_))));
    }

    #[test]
    fn another_address_is_the_only_one_and_needs_keys() {
        let file = example().at("tcp://10.0.0.7:10102").expect("an address");
        assert_eq!((file.reachable_addresses(), &file.curve), (vec!["tcp://10.0.0.7:10102"], &example().curve));
        let tunnelled = ConnectionFile { forwarded: true, through_ssh: true, ..example() };
        assert!(!tunnelled.at("tcp://10.0.0.7:10102").expect("an address").through_ssh, "whatever leads there");
        for bad in ["", "n1:10101", "tcp://n1", "tcp://:10101", "tcp://n1:0", "tcp://n1:70000", "ipc://relative"] {
            assert!(matches!(example().at(bad), Err(ConnectionError::BadAddress(_))), "{bad:?}");
        }
        let without = ConnectionFile { curve: None, ..example() };
        assert!(matches!(without.clone().at("tcp://n1:10101"), Err(ConnectionError::NoKeys(_))));
        assert!(without.at("ipc:///run/controller.sock").is_ok());
    }

    #[test]
    fn the_unix_socket_is_for_its_own_host_and_for_the_near_end_of_a_tunnel() {
        let root = tempfile::tempdir().expect("temporary folder");
        let socket = root.path().join("controller.sock");
        let ipc = format!("ipc://{}", socket.display());
        let tcp = ["tcp://n1:10101".to_owned(), "tcp://10.0.0.1:10101".to_owned()];
        let mut file = ConnectionFile { addresses: vec![ipc.clone(), tcp[0].clone(), tcp[1].clone()], ..example() };
        assert_eq!(file.reachable_addresses(), tcp, "another host's socket is of no use");
        file.host = places::host_name();
        assert_eq!(file.reachable_addresses(), tcp, "it is not there");
        fs::write(&socket, b"").expect("write");
        assert_eq!((file.reachable_addresses(), file.local_address()), (vec![ipc.as_str()], Some(ipc.as_str())));
        for host in [places::host_name(), "n1".to_owned()] {
            file = ConnectionFile { forwarded: true, host, ..file };
            assert_eq!((file.reachable_addresses().len(), file.local_address()), (3, None));
        }
        let text = serde_json::to_string(&file).expect("encode");
        assert_eq!(ConnectionFile::parse(&text, Path::new("x")).expect("decode"), file);
        assert!(!serde_json::to_string(&example()).expect("encode").contains("forwarded"));
    }

    #[test]
    fn debug_output_has_no_secret() {
        assert!(!format!("{:?}", example()).contains("tttt"));
    }

    #[test]
    fn an_error_quotes_nothing_of_the_file() {
        let path = Path::new("client.json");
        let secret = "t".repeat(40);
        let text = serde_json::to_string(&example()).expect("encode");
        let keys = serde_json::to_string(&example().curve).expect("encode");
        for damaged in [
            text.replace(&keys, &format!("\"{secret}\"")),
            text.replace("\"client\"", &format!("\"{secret}\"")),
            text.replace("\"version\":1", &format!("\"version\":\"{secret}\"")),
        ] {
            let error = ConnectionFile::parse(&damaged, path).expect_err("damaged");
            let chain = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
            let said: String = chain.map(|error| format!("{error} {error:?}")).collect();
            assert!(said.contains("at line 1, column ") && !said.contains("tttt"), "{said}");
        }
    }
}
