//! Ids as arguments, or from standard input.

use std::{collections::HashSet, io::BufRead, str::FromStr};

use anyhow::{Context, ensure};
use uuid::Uuid;

use crate::output;

/// All ids are held in memory, at most 16 MB of them.
const MAX_IDS: usize = 1_000_000;

#[derive(Clone, Copy, Debug)]
pub enum Named {
    Id(Uuid),
    /// `-`: one id per line of standard input.
    StandardInput,
}

impl FromStr for Named {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "-" { Ok(Self::StandardInput) } else { text.parse().map(Self::Id) }
    }
}

/// Reads all ids, each once, in their order. A wrong id fails the command before it changes anything.
pub fn read(named: &[Named], mut input: impl BufRead) -> anyhow::Result<Vec<Uuid>> {
    let mut seen = HashSet::new();
    let mut ids = Vec::new();
    let mut add = |id: Uuid| {
        if seen.insert(id) {
            ids.push(id);
        }
        ensure!(ids.len() <= MAX_IDS, "more than {MAX_IDS} ids; split them, or use a selection");
        Ok(())
    };
    for one in named {
        match one {
            Named::Id(id) => add(*id)?,
            Named::StandardInput => {
                for (number, line) in input.by_ref().lines().enumerate() {
                    let line = line.context("read ids from standard input")?;
                    let text = line.trim();
                    if !text.is_empty() {
                        let place =
                            || format!("line {} of standard input: {:?} is not an id", number + 1, output::plain(text));
                        add(text.parse().with_context(place)?)?;
                    }
                }
            }
        }
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(named: &[&str], input: &str) -> Result<Vec<u128>, String> {
        let named: Vec<Named> = named.iter().map(|text| text.parse().unwrap()).collect();
        match read(&named, input.as_bytes()) {
            Ok(ids) => Ok(ids.iter().map(Uuid::as_u128).collect()),
            Err(error) => Err(format!("{error:#}")),
        }
    }

    #[test]
    fn ids_come_from_the_command_line_and_from_standard_input_each_once() {
        let [one, two, three] = [1, 2, 3].map(|number| Uuid::from_u128(number).to_string());
        let input = format!("{two}\n\n  {one}\r\n{three}");
        assert_eq!(ids(&[&one, "-", &one], &input).unwrap(), [1, 2, 3]);
    }

    #[test]
    fn a_line_that_is_not_an_id_is_named() {
        let error = ids(&["-"], &format!("{}\ncall.vtt\n", Uuid::from_u128(1))).unwrap_err();
        assert!(error.starts_with("line 2 of standard input: \"call.vtt\" is not an id"), "{error}");
    }
}
