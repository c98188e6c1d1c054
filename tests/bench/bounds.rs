//! What must hold, and whether it does.

use std::process::ExitCode;

/// The bounds that were looked at so far.
#[derive(Debug, Default)]
pub struct Bounds {
    missed: usize,
}

impl Bounds {
    /// Prints a figure that must not be larger than `bound`.
    pub fn at_most(&mut self, name: &str, value: f64, bound: f64, goal: Option<f64>) {
        self.print(name, value, "at most", bound, goal, value <= bound);
    }

    /// Prints a figure that must not be smaller than `bound`.
    pub fn at_least(&mut self, name: &str, value: f64, bound: f64, goal: Option<f64>) {
        self.print(name, value, "at least", bound, goal, value >= bound);
    }

    fn print(&mut self, name: &str, value: f64, relation: &str, bound: f64, goal: Option<f64>, holds: bool) {
        self.missed += usize::from(!holds);
        let goal = goal.map_or(String::new(), |goal| format!(", goal {goal}"));
        println!("  {name:<44} {value:>9.2}   {relation} {bound}{goal}: {}", if holds { "holds" } else { "MISSED" });
    }

    /// Success where every bound holds.
    pub fn verdict(&self) -> ExitCode {
        if self.missed == 0 {
            println!("\nevery bound holds");
            return ExitCode::SUCCESS;
        }
        println!("\n{} bounds missed", self.missed);
        ExitCode::FAILURE
    }
}
