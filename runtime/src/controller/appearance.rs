//! What makes a controller that was started again the same one for its peers: its keys, and where it listens. Kept in the journal's
//! folder, for this user alone.

use super::config::ControllerError;
use crate::system::wall_clock;
use ipclusterz_base::connection::{CurveKeys, Role};
use ipclusterz_base::error::PlacesError;
use ipclusterz_base::private::{self, Trust};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

/// The version of the file.
const VERSION: u64 = 1;
/// Its name.
const NAME: &str = "identity.json";

/// The file's content.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Appearance {
    version: u64,
    /// The run of the cluster: another one has another appearance.
    pub run_id: String,
    /// When the first controller began, in seconds since 1970.
    pub created: f64,
    /// The TCP endpoint at which it listens, once it does.
    pub endpoint: Option<String>,
    server: Pair,
    client: Pair,
    engine: Pair,
}

/// Keys as text, see [`CurveKeys`].
#[derive(Clone, Serialize, Deserialize)]
struct Pair {
    public: String,
    secret: String,
}

impl Pair {
    fn new() -> Result<Pair, zmq::Error> {
        let pair = zmq::CurveKeyPair::new()?;
        let text = |key: &[u8]| zmq::z85_encode(key).map_err(|_| zmq::Error::EINVAL);
        Ok(Pair { public: text(&pair.public_key)?, secret: text(&pair.secret_key)? })
    }
}

impl Appearance {
    /// Fresh keys, for a new run.
    pub fn new(run_id: &str) -> Result<Appearance, zmq::Error> {
        let (server, client, engine) = (Pair::new()?, Pair::new()?, Pair::new()?);
        let (run_id, created) = (run_id.to_owned(), wall_clock());
        Ok(Appearance { version: VERSION, run_id, created, endpoint: None, server, client, engine })
    }

    /// That of the controller of this run which was there before, if there was one.
    pub fn read(folder: &Path, run_id: &str) -> Result<Option<Appearance>, ControllerError> {
        Ok(Appearance::of_any_run(folder)?.filter(|found| found.run_id == run_id))
    }

    /// The same for a run that takes up an earlier one.
    pub fn take_up(folder: &Path, run_id: &str) -> Result<Option<Appearance>, ControllerError> {
        let taken = Appearance::of_any_run(folder)?;
        Ok(taken.map(|former| Appearance { run_id: run_id.to_owned(), ..former }))
    }

    /// That of the controller which was there before, if there was one.
    pub fn of_any_run(folder: &Path) -> Result<Option<Appearance>, ControllerError> {
        let path = folder.join(NAME);
        let text = match private::read_text(&path, Trust::OurFile) {
            Err(error) if error.is_missing() => return Ok(None),
            text => text?,
        };
        // The text has secrets: the error says where it is wrong, and not what is there.
        let damaged = |error: serde_json::Error| PlacesError::Io {
            what: "reading",
            source: io::Error::new(io::ErrorKind::InvalidData, format!("line {}: it is damaged", error.line())),
            path,
        };
        let found: Appearance = serde_json::from_str(&text).map_err(damaged)?;
        Ok(Some(found).filter(|found| found.version == VERSION))
    }

    /// Writes it down.
    pub fn write(&self, folder: &Path) -> Result<(), ControllerError> {
        private::make_private_dir(folder)?;
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        Ok(private::write_private(&folder.join(NAME), &text)?)
    }

    /// The secret key of the controller.
    pub fn secret(&self) -> Result<Vec<u8>, zmq::Error> {
        zmq::z85_decode(&self.server.secret).map_err(|_| zmq::Error::EINVAL)
    }

    /// The public keys that are admitted, each with its role.
    pub fn admitted(&self) -> Result<Vec<(Vec<u8>, Role)>, zmq::Error> {
        let pairs = [(&self.client, Role::Client), (&self.engine, Role::Engine)];
        let decoded = pairs.into_iter().map(|(pair, role)| Ok((zmq::z85_decode(&pair.public)?, role)));
        decoded.collect::<Result<_, zmq::DecodeError>>().map_err(|_| zmq::Error::EINVAL)
    }

    /// As they stand in the connection file of `role`.
    pub fn keys(&self, role: Role) -> CurveKeys {
        let pair = match role {
            Role::Client => &self.client,
            Role::Engine => &self.engine,
        };
        let (server, public, secret) = (self.server.public.clone(), pair.public.clone(), pair.secret.clone());
        CurveKeys { server, public, secret }
    }
}
