//! Why engines of jobs have died, in the words of their queue: the patterns of `queue.causes`, compiled.
//!
//! The queue says it of a job, in its answers, and in the job's output, where it stands at once. Pure.

use super::ending::{self, is_among};
use crate::causes::{self, CANCELLED, CAUSES, Cause, OUT_OF_MEMORY};
use crate::contract::LostEngine;
use crate::patterns::compile;
use ipclusterz_base::words::{cut, printable};
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use regex::{Captures, Regex};
use std::collections::BTreeMap;

/// The patterns of each cause, in the order of our table.
#[derive(Debug, Default)]
pub struct Causes(Vec<(&'static Cause, Vec<Regex>)>);

/// A line of a job's output that tells why engines have died.
struct Sign<'a> {
    cause: &'static Cause,
    found: Captures<'a>,
    line: &'a str,
}

/// Most of a line that is shown, bytes.
const LINE_MAX: usize = 300;

impl Causes {
    /// Compiles the patterns. A pattern that is none, or a cause that there is not, is a usage error.
    pub fn new(table: &BTreeMap<String, Vec<String>>) -> Result<Self, Failure> {
        if let Some(unknown) = table.keys().find(|name| causes::named(name).is_none()) {
            let known: Vec<&str> = CAUSES.iter().map(|cause| cause.name).collect();
            let message = format!("queue.causes.{unknown}: there is no such cause");
            return Err(Failure::new(Exit::Usage, message).with_hint(format!("causes are {}", known.join(", "))));
        }
        let of = |cause: &'static Cause| {
            let patterns = table.get(cause.name).into_iter().flatten();
            let compiled = patterns.map(|pattern| compile(&format!("causes.{}", cause.name), pattern, &[]));
            Ok((cause, compiled.collect::<Result<_, Failure>>()?))
        };
        Ok(Self(CAUSES.iter().map(of).collect::<Result<_, Failure>>()?))
    }

    /// The cause that some words of the queue's are for, or that is in a message of a command's.
    pub fn in_words<'a>(&self, said: impl IntoIterator<Item = &'a String>) -> Option<&'static Cause> {
        let said: Vec<&String> = said.into_iter().collect();
        let says = |patterns: &[Regex]| patterns.iter().any(|pattern| said.iter().any(|word| pattern.is_match(word)));
        self.0.iter().find(|(_, patterns)| says(patterns)).map(|(cause, _)| *cause)
    }

    /// Whether the profile has patterns for a cause.
    pub fn knows(&self, name: &str) -> bool {
        self.0.iter().any(|(cause, patterns)| cause.name == name && !patterns.is_empty())
    }

    /// The cause that the output of a job tells, whichever of its engines it is about, and the line that does.
    pub fn in_output(&self, lines: &[String]) -> Option<(&'static Cause, String)> {
        first(self.signs(lines, None)).map(|sign| (sign.cause, sign.shown()))
    }

    /// How an engine of a job died, as the job's output tells. `own`: the job is a task of an array, with this id, and others
    /// have the same output.
    ///
    /// What is said of the whole job is more than what is said of the engine, which follows from it.
    pub fn of_engine(&self, lines: &[String], lost: &LostEngine, own: Option<&str>) -> Option<String> {
        let (memory, rest): (Vec<_>, Vec<_>) =
            self.signs(lines, own).filter(|sign| !sign.is_of_some()).partition(|sign| sign.cause.name == OUT_OF_MEMORY);
        let memory = memory.into_iter().next();
        let of_all = first(rest.into_iter());
        // Of a job that was ended for its memory Slurm says that it was cancelled, too.
        let cancelled = of_all.as_ref().is_some_and(|sign| sign.cause.name == CANCELLED);
        if let Some(sign) = memory.as_ref().filter(|_| cancelled || own.is_some()).or(of_all.as_ref()) {
            return Some(sign.told());
        }
        let of_it = lines.iter().rev().filter(|_| own.is_none()).find_map(|line| match self.sign(line) {
            Some(sign) => (sign.is_of_some() && sign.is_about(lost)).then(|| sign.told()),
            None => Some(ending::end_of_rank(std::slice::from_ref(line), lost.rank)?.how),
        })?;
        // Of several tasks that were killed it is not said which one had taken the memory.
        match memory.filter(|_| of_it.contains("SIGKILL")) {
            Some(sign) => Some(format!("{of_it}, {}", sign.told())),
            None => Some(of_it),
        }
    }

    /// The lines that tell causes, the last first.
    fn signs<'a>(&self, lines: &'a [String], own: Option<&str>) -> impl Iterator<Item = Sign<'a>> {
        let signs = lines.iter().rev().filter_map(|line| self.sign(line));
        signs.filter(move |sign| own.is_none_or(|own| sign.group("job") == Some(own)))
    }

    fn sign<'a>(&self, line: &'a str) -> Option<Sign<'a>> {
        // What has no words for an engine is not written by it, nor about it.
        self.0.iter().filter(|(cause, _)| !cause.words.is_empty()).find_map(|(cause, patterns)| {
            let found = patterns.iter().find_map(|pattern| pattern.captures(line))?;
            Some(Sign { cause, found, line })
        })
    }
}

impl Sign<'_> {
    fn group(&self, name: &str) -> Option<&str> {
        self.found.name(name).map(|found| found.as_str())
    }

    /// Whether it says which engines it is about.
    fn is_of_some(&self) -> bool {
        self.group("host").or(self.group("tasks")).is_some()
    }

    fn is_about(&self, lost: &LostEngine) -> bool {
        let is_host = |named: &str| lost.host.as_ref().is_none_or(|host| short(host) == short(named));
        self.group("tasks").is_none_or(|tasks| is_among(lost.rank, tasks)) && self.group("host").is_none_or(is_host)
    }

    /// `it ran out of memory: srun: error: n1: task 3: Out Of Memory`.
    fn told(&self) -> String {
        format!("{}: {}", self.cause.words, self.shown())
    }

    fn shown(&self) -> String {
        cut(&printable(self.line.trim()), LINE_MAX).into_owned()
    }
}

/// The sign of the cause that is first in our table: what is further down may follow from it.
fn first<'a>(signs: impl Iterator<Item = Sign<'a>>) -> Option<Sign<'a>> {
    signs.min_by_key(|sign| CAUSES.iter().position(|cause| cause == sign.cause))
}

/// Whether a host is in a list as queues write it: `n[1-3,7],login`.
pub fn lists(nodes: &str, host: &str) -> bool {
    let mut depth = 0_i32;
    let outside = |letter: char| {
        depth += i32::from(letter == '[') - i32::from(letter == ']');
        letter == ',' && depth == 0
    };
    nodes.split(outside).any(|part| {
        match part.split_once('[').and_then(|(before, rest)| Some((before, rest.split_once(']')?))) {
            Some((before, (ranges, after))) => {
                let number = short(host).strip_prefix(before).and_then(|rest| rest.strip_suffix(after)?.parse().ok());
                number.is_some_and(|number| is_among(number, ranges))
            }
            None => short(part) == short(host),
        }
    })
}

/// The name of a host without its domain.
fn short(host: &str) -> &str {
    host.split('.').next().unwrap_or(host)
}

#[cfg(test)]
mod tests;
