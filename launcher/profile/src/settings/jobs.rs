//! Checks what jobs ask for: sizes, times, blocks and groups of `[batch]`. A part of [`super::checks`].

use super::checks::{Checked, Checks};
use super::error::SettingsError;
use crate::tables::batch::BatchTable;
use crate::tables::engines::LauncherKind;
use ipclusterz_host::units::{TimeLimit, memory};

/// Most letters of a group's name.
const GROUP_NAME_MOST: usize = 64;

impl Checks<'_> {
    /// Checks the sizes and times of `[batch]`, or of one of its groups, of whose values `origin` tells the place.
    fn sizes(&self, batch: &BatchTable, origin: impl Fn(&str) -> String) -> Checked {
        let error = |key: &str, message: String, hint: String| {
            Err(SettingsError::BadValue { origin: origin(key), message, hint })
        };
        if !batch.memory.is_empty() && memory(&batch.memory).is_none() {
            let message = format!("{:?} is not a size", batch.memory);
            return error("batch.memory", message, "give a number and K, M, G or T, such as \"16G\"".to_owned());
        }
        if batch.time_limit.trim().is_empty() {
            // The queue may have a default limit, which is not known here and would end the job all the same.
            let unknown = self.other("batch.time_limit");
            let message = format!("when a job's time is nearly over is not known: {unknown} is empty");
            let hint = "set time_limit, such as \"04:00:00\", or renew = false".to_owned();
            return if batch.renew { error("batch.renew", message, hint) } else { Ok(()) };
        }
        let limit = match TimeLimit::parse(&batch.time_limit) {
            Ok(limit) => limit,
            Err(why) => return error("batch.time_limit", why.to_string(), "for example: \"01:30:00\"".to_owned()),
        };
        for (key, before) in [("batch.drain_before", batch.drain_before), ("batch.warn_before", batch.warn_before)] {
            if before >= limit.duration().as_secs_f64() {
                let message = format!("{limit} is no longer than {}, {before} seconds", self.other(key));
                return error("batch.time_limit", message, format!("give jobs more time, or {key} less"));
            }
        }
        Ok(())
    }

    /// Checks the groups of `[batch]`: their names, that each has engines and room for them, and its sizes and times.
    pub(super) fn groups(&self) -> Checked {
        const KEY: &str = "batch.groups";
        let batch = &self.0.tables.batch;
        let mut names: Vec<&str> = Vec::new();
        for group in &batch.groups {
            let name = group.name.as_str();
            let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
            if name.is_empty() || name.len() > GROUP_NAME_MOST || !name.chars().all(allowed) {
                let message = format!("{name:?} is not a name for a group");
                return Err(self.error(KEY, message, "use letters, digits, `-`, `_` and `.`, up to 64 of them"));
            }
            if names.contains(&name) {
                return Err(self.error(KEY, format!("two groups are called {name:?}"), "give each a name of its own"));
            }
            names.push(name);
            let own = batch.of_group(Some(name));
            let room = u64::from(own.nodes) * u64::from(own.engines_per_node);
            if batch.engines_of(group) == 0 {
                let hint = "set its engines, or nodes and engines_per_node";
                return Err(self.error(KEY, format!("nothing says how many engines group {name:?} has"), hint));
            }
            if room > 0 && !batch.array && u64::from(group.engines) > room {
                let message = format!(
                    "{} engines of group {name:?}, but {} nodes with {} engines each make room for {room}",
                    group.engines, own.nodes, own.engines_per_node
                );
                return Err(self.error(KEY, message, format!("give it at most {room}, or more nodes")));
            }
            self.sizes(&own, |key| {
                let key = key.trim_start_matches("batch.");
                format!("{}, {key} of group {name:?}", self.0.origin(KEY).about(KEY))
            })?;
        }
        if batch.groups.is_empty() || self.launcher() != LauncherKind::Batch {
            return Ok(());
        }
        if batch.blocks.max > 0 {
            let message = format!("jobs cannot be of groups and {} too", self.other("batch.blocks.max"));
            return Err(self.error(KEY, message, "set groups = [], or blocks.max = 0"));
        }
        let (wanted, sum) = (self.0.tables.engines.count, batch.engines_of_groups());
        if wanted != sum {
            return Err(self.error(
                "engines.count",
                format!("{wanted} engines, but {} are {sum} ({})", self.other(KEY), batch.names_of_groups()),
                "leave the number out, or change the groups' `engines`",
            ));
        }
        Ok(())
    }

    /// Checks the sizes, times and blocks of `[batch]`.
    pub(super) fn resources(&self) -> Checked {
        let batch = &self.0.tables.batch;
        if batch.groups.is_empty() {
            self.sizes(batch, |key| self.0.origin(key).about(key))?;
        }
        let blocks = batch.blocks;
        if blocks.max == 0 && blocks.min > 0 || blocks.min > blocks.max {
            return Err(self.error(
                "batch.blocks.min",
                format!("at least {} blocks, but {} allows {}", blocks.min, self.other("batch.blocks.max"), blocks.max),
                "raise max, or lower min",
            ));
        }
        if blocks.max > 0 && blocks.nodes == 0 {
            return Err(self.error("batch.blocks.nodes", "blocks of 0 nodes", "give each block at least one node"));
        }
        if blocks.max > 0 && batch.array {
            return Err(self.error(
                "batch.array",
                format!("the job cannot be an array and {} too", self.other("batch.blocks.max")),
                "set array = false, or blocks.max = 0",
            ));
        }
        Ok(())
    }
}
