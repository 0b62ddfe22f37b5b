//! `ipclusterz man`: manual pages, for `man -l -` or a folder of man(1).

use crate::arguments::{ManArguments, parser};
use crate::report::ManReport;
use clap_mangen::Man;
use ipclusterz_base::release;
use ipclusterz_host::exit_code::Exit;
use ipclusterz_host::failure::Failure;
use ipclusterz_host::suggestion::nearest;
use std::io::{self, Write};

/// Makes the page of the program or of a command.
pub fn run(arguments: &ManArguments) -> Result<ManReport, Failure> {
    let mut program = parser().disable_help_subcommand(true);
    program.build();
    let ending = program.get_after_help().map(ToString::to_string).unwrap_or_default();
    let mut command = &program;
    for word in &arguments.command {
        command = command.find_subcommand(word).ok_or_else(|| no_such_command(command, word))?;
    }
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let mut page = Vec::new();
    write_page(command, &name, &ending, &mut page).map_err(Failure::io("making the page"))?;
    let page = String::from_utf8(page).map_err(|error| Failure::new(Exit::Failure, error.to_string()))?;
    Ok(ManReport { name, page })
}

fn no_such_command(parent: &clap::Command, word: &str) -> Failure {
    let names: Vec<&str> =
        parent.get_subcommands().filter(|command| !command.is_hide_set()).map(clap::Command::get_name).collect();
    let likely = nearest(word, names.iter().copied()).map(|likely| format!("did you mean {likely:?}? "));
    let failure = Failure::new(Exit::Usage, format!("there is no command {word:?}"));
    let known = if names.is_empty() { String::new() } else { format!("commands there are: {}", names.join(", ")) };
    failure.with_hint(likely.unwrap_or_default() + &known)
}

fn write_page(command: &clap::Command, name: &str, ending: &str, page: &mut Vec<u8>) -> io::Result<()> {
    let man = Man::new(command.clone()).title(name).source(format!("ipclusterz {}", release::number()));
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    if command.get_subcommands().any(|command| !command.is_hide_set()) {
        man.render_subcommands_section(page)?;
    }
    // As it stands, with its columns.
    writeln!(page, ".SH EXIT STATUS AND ENVIRONMENT\n.nf")?;
    for line in ending.lines() {
        writeln!(page, "\\&{}", line.replace('\\', "\\\\").replace('-', "\\-"))?;
    }
    writeln!(page, ".fi")
}
