//! Environment variables, read once. A fault does not stop the reading, so that all faults are reported together.
//!
//! Each part of the host declares its variables in its own `Config::load(&mut Variables)`, next to the code that they
//! configure. docs/configuration.md and `.env.example` are generated from these declarations.

use std::{collections::BTreeMap, fmt::Display, str::FromStr, time::Duration};

use secrecy::SecretString;

/// A day: a longer time is a typing error.
const MAX_MILLIS: u64 = 24 * 3600 * 1000;

/// A variable as its part of the host declared it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredVariable {
    pub name: &'static str,
    /// The default; empty where the variable is required or has no default.
    pub default: String,
    /// One line for the operator, with the unit.
    pub help: &'static str,
    /// Whether the worker starts without it.
    pub required: bool,
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
            self.push_fault(name, format!("missing {name}: expected {help}"));
            String::new()
        })
    }

    /// Reads a required secret. Its value never appears in a fault.
    pub fn required_secret(&mut self, name: &'static str, help: &'static str) -> SecretString {
        self.required(name, help).into()
    }

    /// Reads a secret that may be absent.
    pub fn secret(&mut self, name: &'static str, help: &'static str) -> Option<SecretString> {
        self.optional(name, help).map(SecretString::from)
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

    fn declare(&mut self, name: &'static str, default: &str, help: &'static str, required: bool) {
        if !self.declared.iter().any(|known| known.name == name) {
            self.declared.push(DeclaredVariable { name, default: default.to_owned(), help, required });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_value_counts_as_absent() {
        let mut vars = Variables::from_map([("LLM_MODEL".to_owned(), " ".to_owned())].into());
        assert_eq!(vars.text("LLM_MODEL", "small", "a model"), "small");
    }

    #[test]
    fn a_fault_names_the_variable_the_value_and_the_rule() {
        let mut vars = Variables::from_map([("WORKER_CONCURRENCY".to_owned(), "many".to_owned())].into());
        assert_eq!(vars.number("WORKER_CONCURRENCY", 16, 1..=100, "slots"), 16);
        let faults = vars.finish().unwrap_err();
        assert_eq!(faults[0].to_string(), "invalid WORKER_CONCURRENCY `many`: expected a number from 1 to 100");
    }
}
