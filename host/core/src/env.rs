//! Environment variables, read once. A fault does not stop the reading, so that all faults are reported together.
//!
//! Each part of the host declares its variables in its own `Config::load(&mut Variables)`, next to the code that they
//! configure. docs/configuration.md and `.env.example` are generated from these declarations.

use std::{collections::BTreeMap, fmt::Display, path::Path, str::FromStr, time::Duration};

use crate::secret::Secret;

/// A day: a longer time is a typing error.
const MAX_MILLIS: u64 = 24 * 3600 * 1000;

/// A variable as its part of the host declared it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredVariable {
    pub name: &'static str,
    /// The default; empty where the variable is required or has no default.
    pub default: String,
    /// One line for the operator, with the unit.
    pub help: String,
    /// Whether the worker starts without it.
    pub required: bool,
}

/// The two variables of a secret: its value, or a file with it.
#[derive(Clone, Copy, Debug)]
pub struct SecretVariable {
    pub name: &'static str,
    /// `NAME_FILE`.
    pub file: &'static str,
    pub help: &'static str,
}

/// A fault of the configuration. Quotes a value only where it cannot be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct VariableFault {
    pub name: &'static str,
    /// Names the variable and the rule that it breaks.
    pub message: String,
}

/// A snapshot of the environment, with the variables that were declared and their faults.
#[derive(Debug, Default)]
pub struct Variables {
    values: BTreeMap<String, String>,
    declared: Vec<DeclaredVariable>,
    faults: Vec<VariableFault>,
}

impl Variables {
    /// Takes an environment: the process's own, an `--env-file`'s, or a test's.
    pub fn from_map(values: BTreeMap<String, String>) -> Self {
        Self { values, ..Self::default() }
    }

    /// Reads text with a default.
    pub fn text(&mut self, name: &'static str, default: &str, help: &'static str) -> String {
        self.declare(name, default, help, false);
        self.value(name).unwrap_or_else(|| default.to_owned())
    }

    /// Reads text that may be absent.
    pub fn optional(&mut self, name: &'static str, help: &'static str) -> Option<String> {
        self.declare(name, "", help, false);
        self.value(name)
    }

    /// Reads required text. If it is absent, that is a fault, and the text is empty.
    pub fn required(&mut self, name: &'static str, help: &'static str) -> String {
        self.declare(name, "", help, true);
        self.value(name).unwrap_or_else(|| {
            self.missing(name, help);
            String::new()
        })
    }

    /// Reads a required secret. Its value never appears in a fault.
    pub fn required_secret(&mut self, variable: SecretVariable) -> Secret {
        let secret = self.read_secret(variable, true);
        secret.unwrap_or_else(|| {
            let SecretVariable { name, file, help } = variable;
            if !self.faults.iter().any(|fault| fault.name == name || fault.name == file) {
                self.missing(name, help);
            }
            Secret::fixed(name, String::new())
        })
    }

    /// Reads a secret that may be absent: the variable's value, or what is in the file that its other variable names.
    pub fn secret(&mut self, variable: SecretVariable) -> Option<Secret> {
        self.read_secret(variable, false)
    }

    fn read_secret(&mut self, variable: SecretVariable, required: bool) -> Option<Secret> {
        let SecretVariable { name, file, help } = variable;
        self.declare(name, "", help, required);
        self.declare(file, "", &format!("file with the value of {name}, which may change"), false);
        match (self.value(name), self.value(file)) {
            (Some(_), Some(_)) => {
                self.fault(file, format_args!("{name} is set too; set one of the two"));
                None
            }
            (Some(value), None) => Some(Secret::fixed(name, value)),
            (None, Some(path)) => match Secret::from_file(file, Path::new(&path)) {
                Ok(secret) => Some(secret),
                Err(error) => {
                    self.fault(file, format_args!("{}: {}", error.path.display(), error.reason));
                    None
                }
            },
            (None, None) => None,
        }
    }

    /// Reads one of a few words; the first one is the default.
    pub fn one_of<T: Clone>(&mut self, name: &'static str, words: &[(&str, T)], help: &'static str) -> T {
        let (default, value) = words.first().expect("at least the default");
        self.declare(name, default, help, false);
        let Some(text) = self.value(name) else { return value.clone() };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text.trim()) {
            return value.clone();
        }
        let [before @ .., last] = words else { unreachable!("at least the default") };
        let before: Vec<_> = before.iter().map(|(word, _)| *word).collect();
        self.invalid(name, &text, format_args!("expected {} or {}", before.join(", "), last.0));
        value.clone()
    }

    /// Records that a variable is absent that is required here.
    pub fn missing(&mut self, name: &'static str, expected: &str) {
        self.push_fault(name, format!("missing {name}: expected {expected}"));
    }

    /// Reads the first variable that is set, or a default. The first one is Assay's own name.
    pub fn first_of(&mut self, names: &[&'static str], default: &str, help: &'static str) -> String {
        for (place, name) in names.iter().enumerate() {
            let shown = if place == 0 { help.to_owned() } else { format!("read where {} is absent", names[0]) };
            self.declare(name, if place == 0 { default } else { "" }, &shown, false);
        }
        names.iter().find_map(|name| self.value(name)).unwrap_or_else(|| default.to_owned())
    }

    /// Returns whether any of these is set. Declares none of them: another library reads them from the process's environment.
    pub fn has_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.value(name).is_some())
    }

    /// Reads a number within bounds, or its default.
    pub fn number<T>(
        &mut self,
        name: &'static str,
        default: T,
        bounds: std::ops::RangeInclusive<T>,
        help: &'static str,
    ) -> T
    where
        T: FromStr + PartialOrd + Display + Copy,
    {
        self.declare(name, &default.to_string(), help, false);
        let Some(text) = self.value(name) else {
            return default;
        };
        match text.trim().parse::<T>() {
            Ok(value) if bounds.contains(&value) => value,
            _ => {
                let (low, high) = (bounds.start(), bounds.end());
                self.invalid(name, &text, format_args!("expected a number from {low} to {high}"));
                default
            }
        }
    }

    /// Reads a time in milliseconds, or its default.
    pub fn millis(&mut self, name: &'static str, default: Duration, help: &'static str) -> Duration {
        let default = u64::try_from(default.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.number(name, default, 1..=MAX_MILLIS, help))
    }

    /// Records that a value breaks a rule, and quotes the value. For values that may be secrets use [`Self::fault`].
    pub fn invalid(&mut self, name: &'static str, value: &str, rule: impl Display) {
        self.push_fault(name, format!("invalid {name} `{}`: {rule}", value.escape_debug()));
    }

    /// Records that a value breaks a rule, without quoting the value.
    pub fn fault(&mut self, name: &'static str, rule: impl Display) {
        self.push_fault(name, format!("invalid {name}: {rule}"));
    }

    /// Returns every declared variable, in the order of reading.
    pub fn declared(&self) -> &[DeclaredVariable] {
        &self.declared
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// All faults, in the order of reading.
    pub fn finish(self) -> Result<(), Vec<VariableFault>> {
        if self.faults.is_empty() { Ok(()) } else { Err(self.faults) }
    }

    fn push_fault(&mut self, name: &'static str, message: String) {
        self.faults.push(VariableFault { name, message });
    }

    /// Returns `None` for an empty value: `.env` files and orchestrators unset a variable this way.
    fn value(&self, name: &str) -> Option<String> {
        self.values.get(name).filter(|value| !value.trim().is_empty()).cloned()
    }

    fn declare(&mut self, name: &'static str, default: &str, help: &str, required: bool) {
        if !self.declared.iter().any(|known| known.name == name) {
            let (default, help) = (default.to_owned(), help.to_owned());
            self.declared.push(DeclaredVariable { name, default, help, required });
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn an_empty_value_counts_as_absent() {
        let mut vars = Variables::from_map([("LLM_MODEL".to_owned(), " ".to_owned())].into());
        assert_eq!(vars.text("LLM_MODEL", "small", "a model"), "small");
    }

    const KEY: SecretVariable = SecretVariable { name: "KEY", file: "KEY_FILE", help: "a key" };

    fn secret(pairs: &[(&str, &str)]) -> (Secret, Vec<String>) {
        let values = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut vars = Variables::from_map(values);
        let secret = vars.required_secret(KEY);
        (secret, vars.finish().err().unwrap_or_default().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_secret_is_a_value_or_a_file_and_not_both() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key").display().to_string();
        std::fs::write(&path, "from a file\n").expect("a file");
        for (pairs, value) in
            [([("KEY", "hush"), ("KEY_FILE", " ")], "hush"), ([("KEY", ""), ("KEY_FILE", &path)], "from a file")]
        {
            let (secret, faults) = secret(&pairs);
            assert_eq!((secret.current().expose_secret(), faults.len()), (value, 0));
        }
        let faults = secret(&[("KEY", "hush"), ("KEY_FILE", &path)]).1;
        assert_eq!(faults, ["invalid KEY_FILE: KEY is set too; set one of the two"]);
        assert_eq!(secret(&[("KEY_FILE", "/nowhere")]).1, ["invalid KEY_FILE: /nowhere: entity not found"]);
        assert_eq!(secret(&[]).1, ["missing KEY: expected a key"]);
    }

    #[test]
    fn a_fault_names_the_variable_the_value_and_the_rule() {
        let mut vars = Variables::from_map([("WORKER_CONCURRENCY".to_owned(), "many".to_owned())].into());
        assert_eq!(vars.number("WORKER_CONCURRENCY", 16, 1..=100, "slots"), 16);
        let faults = vars.finish().unwrap_err();
        assert_eq!(faults[0].to_string(), "invalid WORKER_CONCURRENCY `many`: expected a number from 1 to 100");
    }
}
