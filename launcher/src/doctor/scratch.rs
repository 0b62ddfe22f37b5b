//! A folder for trials inside the state folder, gone when they are over.

use ipclusterz_base::places::{self, PlacesError};
use std::path::{Path, PathBuf};

/// Removed, with all that is in it and with what had to be made above it, when dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    /// Folders that were not there before, the innermost first.
    made: Vec<PathBuf>,
}

impl Scratch {
    /// In the folder `root`, which is made if it is missing, as a start would.
    pub fn in_folder(root: &Path) -> Result<Self, PlacesError> {
        let made = root.ancestors().take_while(|folder| !folder.exists()).map(Path::to_path_buf).collect();
        let scratch = Self { path: root.join(format!("doctor-{}", places::random_hex(4))), made };
        places::make_private_dir(&scratch.path)?;
        Ok(scratch)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    /// What cannot be removed cannot be helped: the trial has failed for the same reason, and said so.
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
        for folder in &self.made {
            let _ = std::fs::remove_dir(folder);
        }
    }
}
