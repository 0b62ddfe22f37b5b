//! Checks what each engine has of its host: GPUs and memory of `[engines]`. A part of [`super::checks`].

use super::checks::{Checked, Checks};
use crate::tables::engines::Gpus;
use ipclusterz_host::units;

/// The least memory, bytes: an engine with less would not get as far as its first task.
const MEMORY_LEAST: u64 = 64 << 20;

impl Checks<'_> {
    pub(super) fn place(&self) -> Checked {
        self.gpus()?;
        self.memory()
    }

    fn gpus(&self) -> Checked {
        const HINT: &str =
            "give \"none\", \"auto\", or the GPUs: \"0,1,3\", [0, 1, 3] or [\"GPU-8f1d…\", \"MIG-2c6a…\"]";
        let Gpus::Ids(ids) = &self.0.tables.engines.gpus else { return Ok(()) };
        let error = |message: String| Err(self.error("engines.gpus", message, HINT));
        if ids.is_empty() {
            return error("an empty list names no GPU".to_owned());
        }
        for (number, id) in ids.iter().enumerate() {
            if !is_gpu(id) {
                return error(format!("{id:?} is not a GPU"));
            }
            if ids[..number].contains(id) {
                return error(format!("{id:?} is named twice"));
            }
        }
        Ok(())
    }

    fn memory(&self) -> Checked {
        let engines = &self.0.tables.engines;
        let error = |message: String| {
            let hint = "give a number and M, G or T, such as \"4G\", or \"\" for no limit";
            Err(self.error("engines.memory", message, hint))
        };
        match engines.memory_bytes() {
            _ if engines.memory.is_empty() => Ok(()),
            None => error(format!("{:?} is not a size", engines.memory)),
            Some(bytes) if bytes < MEMORY_LEAST => error(format!(
                "{:?} is less than the {} that an engine needs",
                engines.memory,
                units::bytes(MEMORY_LEAST)
            )),
            Some(_) => Ok(()),
        }
    }
}

/// A number, or a name as the driver gives it: `GPU-8f1d…`, `MIG-GPU-8f1d…/3/0`.
fn is_gpu(id: &str) -> bool {
    let named = ["GPU-", "MIG-"].iter().any(|prefix| id.starts_with(prefix) && id.len() > prefix.len());
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-/".contains(letter);
    (!id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit())) || (named && id.chars().all(allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_numbers_or_have_names() {
        for good in ["0", "15", "GPU-8f1d2c6a-01", "MIG-2c6a", "MIG-GPU-8f1d/3/0"] {
            assert!(is_gpu(good), "{good}");
        }
        for bad in ["", "all", "-1", "GPU-", "MIG-a b", "0;1", "gpu0"] {
            assert!(!is_gpu(bad), "{bad}");
        }
    }
}
