//! What is printed at the end: one line per item, then the differences.

use std::fmt::{self, Display};

use comfy_table::{Table, presets};

/// What a difference means for the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Same,
    Added(Vec<String>),
    Expected,
    Differs { diff: String, added: Vec<String> },
}

impl Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same => f.write_str("same"),
            Self::Added(members) => write!(f, "added: {}", members.join(", ")),
            Self::Expected => f.write_str("expected"),
            Self::Differs { .. } => f.write_str("DIFFERS"),
        }
    }
}

/// Returns the table of the items.
pub fn render(verdicts: &[(String, Verdict)]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["ITEM", "RESULT"]);
    for (item, verdict) in verdicts {
        table.add_row([item.clone(), verdict.to_string()]);
    }
    table.column_iter_mut().for_each(|column| _ = column.set_padding((0, 2)));
    table.trim_fmt()
}

/// Returns how many items have which result.
pub fn count(verdicts: &[(String, Verdict)]) -> String {
    let of = |is: fn(&Verdict) -> bool| verdicts.iter().filter(|(_, verdict)| is(verdict)).count();
    format!(
        "{} items: {} the same, {} with additions, {} expected, {} differ",
        verdicts.len(),
        of(|verdict| matches!(verdict, Verdict::Same)),
        of(|verdict| matches!(verdict, Verdict::Added(_))),
        of(|verdict| matches!(verdict, Verdict::Expected)),
        of(|verdict| matches!(verdict, Verdict::Differs { .. })),
    )
}

#[cfg(test)]
mod tests {
    use super::{Verdict, count, render};

    #[test]
    fn a_difference_stands_out_of_the_table() {
        let verdicts = [
            ("codes".to_owned(), Verdict::Same),
            ("help".to_owned(), Verdict::Added(vec!["/requeue".to_owned()])),
            ("metrics".to_owned(), Verdict::Differs { diff: "-a".to_owned(), added: Vec::new() }),
        ];
        let table = render(&verdicts);
        let rows: Vec<_> = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(rows, ["ITEM RESULT", "codes same", "help added: /requeue", "metrics DIFFERS"]);
        assert_eq!(count(&verdicts), "3 items: 1 the same, 1 with additions, 0 expected, 1 differ");
    }
}
