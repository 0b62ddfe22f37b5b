//! Where a value came from, for messages and for `profile show --origin`.

use crate::position::Position;
use std::path::Path;
use std::sync::Arc;

/// The place that a value was set in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A profile that is compiled in.
    Shipped {
        /// Its name.
        name: &'static str,
        /// Where in `profiles/NAME.toml` of the source.
        position: Position,
    },
    /// A file of the user, the site or the project.
    File {
        /// The file.
        path: Arc<Path>,
        /// Where in it.
        position: Position,
    },
    /// An `IPCLUSTERZ_*` variable.
    Variable(&'static str),
    /// An option of the command line.
    Option(&'static str),
    /// A value that follows from other values; the text says why.
    Derived(String),
}

/// The option that can set any key. Every other option stands for one key.
pub const SET_OPTION: &str = "--set";

impl Origin {
    /// Whether the value is from the embedded default profile, so that nobody has chosen it.
    pub fn is_default(&self) -> bool {
        matches!(self, Origin::Shipped { name: crate::shipped::DEFAULT_NAME, .. })
    }

    /// The beginning of a message about the value of `key`: the place, and the key unless the place says it.
    pub fn about(&self, key: &str) -> String {
        match self {
            Origin::Variable(name) => (*name).to_owned(),
            Origin::Option(name) if *name != SET_OPTION => (*name).to_owned(),
            _ => format!("{}: `{key}`", self.place()),
        }
    }

    /// The place with line and column.
    pub fn place(&self) -> String {
        match self {
            Origin::Shipped { name, position } => format!("profiles/{name}.toml:{position}"),
            Origin::File { path, position } => format!("{}:{position}", path.display()),
            _ => self.to_string(),
        }
    }
}

/// The place with its line, short enough for the end of a line of `profile show`.
impl std::fmt::Display for Origin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Shipped { .. } if self.is_default() => formatter.write_str("default"),
            Origin::Shipped { name, position } => write!(formatter, "profiles/{name}.toml:{}", position.line),
            Origin::File { path, position } => write!(formatter, "{}:{}", path.display(), position.line),
            Origin::Variable(name) | Origin::Option(name) => formatter.write_str(name),
            Origin::Derived(reason) => formatter.write_str(reason),
        }
    }
}
