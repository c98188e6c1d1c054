//! Files of `KEY=value` lines: what `assay dev` writes and `--env-file` reads.
//!
//! A line has the same meaning as in a shell that sources the file, or it is an error. Content: errors never contain values,
//! because values can be secrets.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, bail};
use assay_guest_build::{read_stream, utf8};
use assay_objects::CHAIN_VARIABLES;

/// Far more than all variables. A shell's `<(command)` may give them, so the size is known only at the end.
const MAX_BYTES: u64 = 1 << 20;

/// Variables that libraries read from the process's environment, besides those of the AWS chain of roles.
const PROCESS_VARIABLES: [&str; 2] = ["SSL_CERT_DIR", "SSL_CERT_FILE"];

/// Reads a file.
///
/// # Errors
/// The file cannot be read, or a line is not a comment, not blank and not `KEY=value`. The error has the number of the line.
/// So is a variable that has no effect in a file.
pub fn read(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let text = read_stream(path, MAX_BYTES).and_then(utf8);
    let text = text.with_context(|| format!("read variables from {}", path.display()))?;
    let values = parse(&text).with_context(|| format!("read variables from {}", path.display()))?;
    if let Some(name) = without_effect(&values) {
        bail!(
            "read variables from {}: {name} has no effect in a file: a library reads it from the process's environment; \
             export it instead",
            path.display()
        );
    }
    Ok(values)
}

/// Returns a variable that has a value, and is read from the process's environment alone.
fn without_effect(values: &BTreeMap<String, String>) -> Option<&str> {
    let is_process = |name: &str| PROCESS_VARIABLES.contains(&name) || CHAIN_VARIABLES.contains(&name);
    values.iter().find(|(name, value)| is_process(name) && !value.trim().is_empty()).map(|(name, _)| name.as_str())
}

/// Returns one line, quoted so that a shell and [`read`] see the same value.
#[cfg(any(test, feature = "dev"))]
pub fn line(name: &str, value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+,=".contains(c);
    if value.chars().all(plain) {
        format!("{name}={value}\n")
    } else {
        format!("{name}='{}'\n", value.replace('\'', r"'\''"))
    }
}

fn parse(text: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let number = index + 1;
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        let Some((name, value)) = line.split_once('=') else {
            bail!("line {number} is not KEY=value");
        };
        if !is_name(name) {
            bail!("line {number} has no valid name before its `=`");
        }
        let value = word(value).with_context(|| format!("line {number}, {name}"))?;
        values.insert(name.to_owned(), value);
    }
    Ok(values)
}

fn is_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}

/// Reads one word of a shell, without any expansion.
fn word(text: &str) -> anyhow::Result<String> {
    let mut value = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' => loop {
                match chars.next() {
                    Some('\'') => break,
                    Some(c) => value.push(c),
                    None => bail!("a quote is not closed on its line"),
                }
            },
            '"' => loop {
                match chars.next() {
                    Some('"') => break,
                    Some('\\') => match chars.next() {
                        Some(c @ ('"' | '\\' | '$' | '`')) => value.push(c),
                        Some(c) => value.extend(['\\', c]),
                        None => bail!("a quote is not closed on its line"),
                    },
                    Some('$' | '`') => bail!("nothing is expanded: use single quotes"),
                    Some(c) => value.push(c),
                    None => bail!("a quote is not closed on its line"),
                }
            },
            '\\' => match chars.next() {
                Some(c) => value.push(c),
                None => bail!("the line ends with a backslash"),
            },
            c if c.is_whitespace() => {
                let rest = chars.as_str().trim_start();
                if rest.is_empty() || rest.starts_with('#') {
                    break;
                }
                bail!("a value with blanks needs single quotes");
            }
            '$' | '`' | ';' | '&' | '|' | '<' | '>' | '(' | ')' | '*' | '?' | '[' | '~' => {
                bail!("a value with {c:?} needs single quotes")
            }
            c => value.push(c),
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_blanks_quotes_and_export_are_read_as_a_shell_reads_them() {
        let text = "# a comment\n\nA=1\nexport B='two words' # why\nC=\"say \\\"hi\\\"\"\nD=it\\'s\nE=\n";
        let values = parse(text).unwrap();
        let expected = [("A", "1"), ("B", "two words"), ("C", "say \"hi\""), ("D", "it's"), ("E", "")];
        assert_eq!(values, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn what_is_written_is_read_back_here_and_in_a_shell() {
        let value = "postgres://a:p$w'd #x`y\\z\"@h/db?sslmode=disable";
        let text = line("WORKER_ID", value);
        assert_eq!(parse(&text).unwrap()["WORKER_ID"], value);
        let shell =
            std::process::Command::new("sh").args(["-c", &format!("{text}printf %s \"$WORKER_ID\"")]).output().unwrap();
        assert_eq!(String::from_utf8(shell.stdout).unwrap(), value);
    }

    #[test]
    fn a_line_that_a_shell_would_read_otherwise_is_refused_without_its_value() {
        for text in [
            "S3_SECRET_ACCESS_KEY=hush hush",
            "S3_SECRET_ACCESS_KEY=$hush",
            "S3_SECRET_ACCESS_KEY=\"$hush\"",
            "S3_SECRET_ACCESS_KEY='hush",
            "S3_SECRET_ACCESS_KEY=hush;hush",
        ] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.starts_with("line 1, S3_SECRET_ACCESS_KEY: "), "{error}");
            assert!(!error.contains("hush"), "{error}");
        }
        for text in ["hush", "2A=hush", "=hush", "A B=hush"] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.starts_with("line 1 "), "{error}");
            assert!(!error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn a_variable_of_the_process_is_refused_in_a_file() {
        let found = |text: &str| without_effect(&parse(text).unwrap()).map(str::to_owned);
        for name in ["AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "SSL_CERT_FILE"] {
            assert_eq!(found(&format!("A=1\n{name}=x\n")).as_deref(), Some(name));
            assert_eq!(found(&format!("{name}=\n")), None, "an empty one unsets it");
        }
        assert_eq!(found("AWS_ACCESS_KEY_ID=a\nAWS_REGION=eu-central-1\nS3_CA_FILE=/ca\n"), None);
    }
}
