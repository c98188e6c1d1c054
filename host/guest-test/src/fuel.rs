//! Fuel budgets of fixtures. Fuel is the same on every machine, but not with every compiler.

use std::{collections::BTreeMap, fs, io, path::Path};

use assay_guest_build::SourceFolder;
use serde::{Deserialize, Serialize};

use crate::fixture::Fixture;

/// The file of budgets in the folder `fixtures`.
pub const FUEL_TOML: &str = "fuel.toml";
const TOLERANCE_PERCENT: u64 = 10;
/// Room for thousands of fixtures.
const MAX_FUEL_TOML_BYTES: u64 = 1 << 20;
const FUEL_TOML_HEADER: &str =
    "# The fuel that each fixture takes, by compiler. `assay guest test --accept` writes it; over 10 % more fails.\n";

/// The fuel budgets of a guest's fixtures, by compiler.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fuel(BTreeMap<String, BTreeMap<String, u64>>);

/// Why the budgets cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FuelError {
    /// The file cannot be read or written.
    #[error("{FUEL_TOML}: {0}")]
    Io(#[from] io::Error),
    /// The file is not TOML of budgets; the parser's message.
    #[error("{FUEL_TOML}: {0}")]
    Malformed(String),
}

/// How a fixture's fuel compares with its budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FuelComparison {
    /// No budget for this compiler.
    Unknown,
    /// Within a tenth of the budget.
    Within,
    /// More than a tenth below: such a budget would hide the next increase.
    Below,
    /// More than a tenth above.
    Above,
}

impl Fuel {
    /// Reads `fuel.toml` in a folder of fixtures. Returns no budgets without the file.
    ///
    /// # Errors
    /// [`FuelError`].
    pub fn read(fixtures: &Path) -> Result<Self, FuelError> {
        Self::read_from(&SourceFolder::open(fixtures)?, fixtures)
    }

    /// Reads it within the folder of a guest.
    pub(crate) fn read_from(files: &SourceFolder, fixtures: &Path) -> Result<Self, FuelError> {
        match files.read(&fixtures.join(FUEL_TOML), MAX_FUEL_TOML_BYTES) {
            Ok(text) => toml::from_str(&text).map_err(|error| FuelError::Malformed(error.to_string())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error.into()),
        }
    }

    /// Collects the budgets of fixtures.
    pub fn of(fixtures: &[Fixture]) -> Self {
        let mut fuel = Self::default();
        for fixture in fixtures {
            for (toolchain, budget) in &fixture.fuel {
                fuel.accept(toolchain, &fixture.name, *budget);
            }
        }
        fuel
    }

    /// Returns the budgets of one fixture, by compiler.
    pub(crate) fn budgets(&self, fixture: &str) -> BTreeMap<String, u64> {
        let of = |(toolchain, budgets): (&String, &BTreeMap<String, u64>)| {
            Some((toolchain.clone(), budgets.get(fixture).copied()?))
        };
        self.0.iter().filter_map(of).collect()
    }

    /// Writes `fuel.toml` into a folder of fixtures.
    ///
    /// # Errors
    /// [`FuelError`].
    pub fn write(&self, fixtures: &Path) -> Result<(), FuelError> {
        let text = toml::to_string(&self.0).map_err(|error| FuelError::Malformed(error.to_string()))?;
        Ok(fs::write(fixtures.join(FUEL_TOML), format!("{FUEL_TOML_HEADER}\n{text}"))?)
    }

    /// Returns the budget of a fixture for a compiler.
    pub fn budget(&self, toolchain: &str, fixture: &str) -> Option<u64> {
        self.0.get(toolchain)?.get(fixture).copied()
    }

    /// Compares a fixture's fuel with its budget.
    pub fn judge(&self, toolchain: &str, fixture: &str, fuel: u64) -> FuelComparison {
        let Some(budget) = self.budget(toolchain, fixture) else { return FuelComparison::Unknown };
        let (fuel, budget) = (u128::from(fuel) * 100, u128::from(budget));
        if fuel > budget * u128::from(100 + TOLERANCE_PERCENT) {
            FuelComparison::Above
        } else if fuel < budget * u128::from(100 - TOLERANCE_PERCENT) {
            FuelComparison::Below
        } else {
            FuelComparison::Within
        }
    }

    /// Sets the budget to `fuel`.
    pub fn accept(&mut self, toolchain: &str, fixture: &str, fuel: u64) {
        self.0.entry(toolchain.to_owned()).or_default().insert(fixture.to_owned(), fuel);
    }

    /// Removes the budgets of all other fixtures.
    pub fn keep_only(&mut self, fixtures: &[&str]) {
        for budgets in self.0.values_mut() {
            budgets.retain(|name, _| fixtures.contains(&name.as_str()));
        }
        self.0.retain(|_, budgets| !budgets.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_above_the_budget_is_within_it_and_more_is_not() {
        let mut fuel = Fuel::default();
        assert_eq!(fuel.judge("rustc 1", "a", 5), FuelComparison::Unknown);
        fuel.accept("rustc 1", "a", 1000);
        let judged = [899, 900, 1000, 1100, 1101].map(|used| fuel.judge("rustc 1", "a", used));
        assert_eq!(
            judged,
            [
                FuelComparison::Below,
                FuelComparison::Within,
                FuelComparison::Within,
                FuelComparison::Within,
                FuelComparison::Above
            ]
        );
        assert_eq!(fuel.judge("rustc 2", "a", 1000), FuelComparison::Unknown);
    }

    #[test]
    fn budgets_are_read_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Fuel::read(folder.path()).unwrap(), Fuel::default());
        let mut fuel = Fuel::default();
        fuel.accept("rustc 1.95.0", "good", 7);
        fuel.accept("rustc 1.95.0", "gone", 9);
        fuel.keep_only(&["good"]);
        fuel.write(folder.path()).unwrap();
        assert_eq!(Fuel::read(folder.path()).unwrap(), fuel);
        let text = fs::read_to_string(folder.path().join(FUEL_TOML)).unwrap();
        assert!(text.ends_with("[\"rustc 1.95.0\"]\ngood = 7\n"), "{text}");
        fs::write(folder.path().join(FUEL_TOML), "x").unwrap();
        assert!(Fuel::read(folder.path()).is_err());
    }
}
