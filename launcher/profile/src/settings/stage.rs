//! Checks `engines.stage`. A part of [`super::checks`].

use super::checks::{Checked, Checks};
use crate::tables::engines::LauncherKind;
use crate::tables::stage::{SQUASHFS, Stage, TAR};

const KEY: &str = "engines.stage";

impl Checks<'_> {
    pub(super) fn stage(&self) -> Checked {
        let stage = &self.0.tables.engines.stage;
        if let Some(path) = stage.archive() {
            if !path.starts_with('/') {
                let message = format!("{path:?} is not an absolute path, as hosts may work in other folders");
                return Err(self.error(KEY, message, "give the whole path, from the root on"));
            }
            if !stage.has_known_ending() {
                let endings: Vec<&str> = TAR.into_iter().chain(SQUASHFS).collect();
                let message = format!("{path:?} is not an archive that can be unpacked");
                return Err(self.error(KEY, message, format!("its name ends with one of: {}", endings.join(", "))));
            }
        }
        if *stage != Stage::Off && self.launcher() == LauncherKind::Mpiexec {
            let message = format!("{} is \"mpiexec\", which starts each rank itself", self.other("engines.launcher"));
            return Err(self.error(KEY, message, "stage goes with launcher = \"ssh\" and launcher = \"batch\""));
        }
        Ok(())
    }
}
