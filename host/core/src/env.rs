//! Environment variables, read once. Every fault is remembered, none stops the reading, so that all are named at once.
//!
//! Each part of the host declares its variables in its own `Config::load(&mut Variables)`, next to the code that they
//! configure. The table in the README and `.env.example` are checked against these declarations.

use std::{collections::BTreeMap, fmt::Display, str::FromStr, time::Duration};

use secrecy::SecretString;

/// One variable as its part declared it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// The variable.
    pub name: &'static str,
    /// What applies when it is not set; empty where it is required or has no default.
    pub default: String,
    /// One line for the operator, with the unit.
    pub help: &'static str,
    /// Whether the worker starts without it.
    pub required: bool,
}

/// One thing that is wrong with the configuration. Values are quoted only where they cannot be secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {problem}")]
pub struct Fault {
    /// The variable at fault.
    pub name: &'static str,
    /// What is wrong with it, and the rule it breaks.
    pub problem: String,
}

/// A snapshot of the environment, what was asked of it, and what was wrong with it.
#[derive(Debug, Default)]
pub struct Variables {
    values: BTreeMap<String, String>,
    declared: Vec<Declared>,
    faults: Vec<Fault>,
}

impl Variables {
    /// A given environment: the process's own, an `--env-file`'s, or a test's.
    pub fn from_map(values: BTreeMap<String, String>) -> Self {
        Self { values, ..Self::default() }
    }

    /// Text with a default.
    pub fn text(&mut self, name: &'static str, default: &str, help: &'static str) -> String {
        self.declare(name, default, help, false);
        self.value(name).unwrap_or_else(|| default.to_owned())
    }

    /// Text that may be absent.
    pub fn optional(&mut self, name: &'static str, help: &'static str) -> Option<String> {
        self.declare(name, "", help, false);
        self.value(name)
    }

    /// Text without which nothing works; absent, it is a fault and reads as empty.
    pub fn required(&mut self, name: &'static str, help: &'static str) -> String {
        self.declare(name, "", help, true);
        self.value(name).unwrap_or_else(|| {
            self.fault(name, format!("is not set; it is {help}"));
            String::new()
        })
    }

    /// A required secret. Its value never appears in a fault.
    pub fn required_secret(&mut self, name: &'static str, help: &'static str) -> SecretString {
        self.required(name, help).into()
    }

    /// A secret that may be absent.
    pub fn secret(&mut self, name: &'static str, help: &'static str) -> Option<SecretString> {
        self.optional(name, help).map(SecretString::from)
    }

    /// A number within bounds, or its default.
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
                self.fault(name, format!("is {text:?}, but must be a number from {low} to {high}"));
                default
            }
        }
    }

    /// A time in milliseconds, or its default.
    pub fn millis(&mut self, name: &'static str, default: Duration, help: &'static str) -> Duration {
        let default = u64::try_from(default.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.number(name, default, 1..=MAX_MILLIS, help))
    }

    /// Records that a value breaks a rule that its part knows.
    pub fn fault(&mut self, name: &'static str, problem: impl Into<String>) {
        self.faults.push(Fault { name, problem: problem.into() });
    }

    /// Every variable that was declared, in the order of reading.
    pub fn declared(&self) -> &[Declared] {
        &self.declared
    }

    /// Ends the reading: every fault at once, or none.
    ///
    /// # Errors
    /// All faults, in the order of reading.
    pub fn finish(self) -> Result<(), Vec<Fault>> {
        if self.faults.is_empty() { Ok(()) } else { Err(self.faults) }
    }

    /// An empty value counts as absent: that is how `.env` files and orchestrators unset a variable.
    fn value(&self, name: &str) -> Option<String> {
        self.values.get(name).filter(|value| !value.trim().is_empty()).cloned()
    }

    fn declare(&mut self, name: &'static str, default: &str, help: &'static str, required: bool) {
        if !self.declared.iter().any(|known| known.name == name) {
            self.declared.push(Declared { name, default: default.to_owned(), help, required });
        }
    }
}

/// A day: longer waits are a typing error.
const MAX_MILLIS: u64 = 24 * 3600 * 1000;

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
        assert_eq!(faults[0].to_string(), "WORKER_CONCURRENCY: is \"many\", but must be a number from 1 to 100");
    }
}
