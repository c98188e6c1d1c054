//! Snapshots of the help texts, so that a review shows every change of the command line.

use clap::{Command, CommandFactory};

use crate::Arguments;

#[test]
fn every_command_explains_itself_with_examples() {
    let mut program = Arguments::command().term_width(100);
    program.build();
    let names: Vec<_> = program
        .get_subcommands()
        .filter(|command| !command.is_hide_set() && command.get_name() != "help")
        .map(|command| command.get_name().to_owned())
        .collect();
    insta::assert_snapshot!("help", program.render_long_help().to_string());
    for name in names {
        let command = program.find_subcommand_mut(&name).expect("it was listed a moment ago");
        check_help(&name, command);
        let shown = |part: &&mut Command| !part.is_hide_set() && part.get_name() != "help";
        for part in command.get_subcommands_mut().filter(shown) {
            check_help(&format!("{name}_{}", part.get_name()), part);
        }
    }
}

fn check_help(name: &str, command: &mut Command) {
    let help = command.render_long_help().to_string();
    assert!(help.contains("Examples:"), "{name} has no examples");
    insta::assert_snapshot!(format!("help_{name}"), help);
}

#[test]
fn the_command_line_is_consistent() {
    Arguments::command().debug_assert();
}
