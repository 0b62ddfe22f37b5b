//! A folder for trials inside the state folder, which is removed afterwards.

use ipclusterz_base::places::{self, PlacesError};
use ipclusterz_base::private;
use std::path::{Path, PathBuf};

/// A folder for trials. Dropping it removes it with its content, and the parents that had to be made for it.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    /// Folders that were not there before, the innermost first.
    made: Vec<PathBuf>,
}

impl Scratch {
    /// Makes it in the folder `root`. If `root` is missing it is made, as a start would do.
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
    /// Errors are ignored: the trial has failed for the same reason, and has said so.
    fn drop(&mut self) {
        let _ = private::remove(&self.path);
        for folder in &self.made {
            let _ = std::fs::remove_dir(folder);
        }
    }
}
