//! The commands of a binary and their flags, as its help lists them. Words of the help may change.

use std::{path::Path, process::Command};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

/// Lists of flags are indented by less than what explains them.
const MAX_FLAG_INDENT: usize = 6;

/// Returns the flags of every command. Of `known`, commands that the help hides but the binary has count, too.
pub fn of(binary: &Path, known: Option<&Value>) -> Result<Value> {
    let mut commands = Map::new();
    visit(binary, "", &mut commands)?;
    let known = known.and_then(Value::as_object).into_iter().flat_map(Map::keys);
    for path in known {
        if !commands.contains_key(path) {
            // Below a hidden command there may be more of the known ones; each is asked for.
            if let Some(help) = help(binary, path)? {
                commands.insert(path.clone(), flags(&help));
            }
        }
    }
    Ok(Value::Object(commands))
}

fn visit(binary: &Path, path: &str, commands: &mut Map<String, Value>) -> Result<()> {
    let text = help(binary, path)?.with_context(|| format!("`assay {path} --help` fails"))?;
    commands.insert(path.to_owned(), flags(&text));
    subcommands(&text).iter().try_for_each(|name| visit(binary, format!("{path} {name}").trim(), commands))
}

fn help(binary: &Path, path: &str) -> Result<Option<String>> {
    let words = path.split_whitespace().chain(["--help"]);
    let output = Command::new(binary).args(words).output().with_context(|| format!("run {}", binary.display()))?;
    Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned()))
}

fn subcommands(help: &str) -> Vec<&str> {
    let section = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = section.take_while(|line| !line.is_empty()).filter_map(|line| {
        // A description may go on in the next line, further in.
        let line = line.strip_prefix("  ").filter(|line| !line.starts_with(' '))?;
        line.split_whitespace().next()
    });
    names.filter(|name| *name != "help").collect()
}

/// Returns whether each flag takes a value.
fn flags(help: &str) -> Value {
    let mut flags = Map::new();
    for line in help.lines() {
        let text = line.trim_start();
        if !text.starts_with('-') || line.len() - text.len() > MAX_FLAG_INDENT || line.len() == text.len() {
            continue;
        }
        let mut words = text.split_whitespace().map(|word| word.trim_end_matches(',')).peekable();
        let mut names = Vec::new();
        while let Some(name) = words.next_if(|word| word.starts_with('-')) {
            names.push(name);
        }
        let takes_a_value = words.peek().is_some_and(|word| word.starts_with('<') || word.starts_with('['));
        flags.extend(names.into_iter().map(|name| (name.to_owned(), json!({"takes_a_value": takes_a_value}))));
    }
    Value::Object(flags)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{flags, subcommands};

    const HELP: &str = "Looks at jobs

Usage: assay jobs [OPTIONS] <COMMAND>

Commands:
  list    List jobs, those first whose row
          was changed last
  cancel  End jobs
  help    Print this message

Options:
      --limit <N>
          At most so many, as in
          --limit of others
      --json               Print one JSON array
  -h, --help
          Print help
  -o, --out <FILE>

Examples:
  assay jobs list --status processing
";

    #[test]
    fn commands_are_listed_without_help() {
        assert_eq!(subcommands(HELP), ["list", "cancel"]);
        assert!(subcommands("Usage: assay check").is_empty());
    }

    #[test]
    fn flags_are_listed_with_whether_they_take_a_value() {
        let (value, switch) = (json!({"takes_a_value": true}), json!({"takes_a_value": false}));
        let expected =
            json!({"--limit": value, "--json": switch, "-h": switch, "--help": switch, "-o": value, "--out": value});
        assert_eq!(flags(HELP), expected);
    }
}
