//! Statements that change many rows, of which the database may refuse one.

use crate::error::{DbError, is_of_row};

/// A row that the database refuses to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused<R> {
    pub row: R,
    pub sqlstate: String,
}

/// The rows that a statement is to change: all together, or in halves where the database refuses it because of one of them,
/// down to the single row.
#[derive(Debug)]
pub struct Parts<'a, R> {
    /// Not done yet, the last one first.
    parts: Vec<&'a [R]>,
    refused: Vec<Refused<R>>,
}

impl<'a, R: Clone> Parts<'a, R> {
    /// Begins with all rows as one part.
    pub fn of(rows: &'a [R]) -> Self {
        Self { parts: vec![rows], refused: Vec::new() }
    }

    /// Returns the part that the statement is to be run for; parts come in the order of the rows. None at the end.
    pub fn next_part(&mut self) -> Option<&'a [R]> {
        self.parts.pop()
    }

    /// Takes the result of the statement for `part` and returns its value. Returns none if the database refuses the part
    /// because of a row: its halves come next, or its only row is among the refused.
    ///
    /// # Errors
    /// The error that is about no row. The parts before are done.
    pub fn settle<T>(&mut self, part: &'a [R], result: Result<T, DbError>) -> Result<Option<T>, DbError> {
        match (result, part) {
            (Ok(value), _) => Ok(Some(value)),
            (Err(DbError::Refused(sqlstate)), [row]) if is_of_row(&sqlstate) => {
                self.refused.push(Refused { row: row.clone(), sqlstate });
                Ok(None)
            }
            (Err(error), [_, _, ..]) if error.is_refused_row() => {
                let (first, second) = part.split_at(part.len() / 2);
                self.parts.extend([second, first]);
                Ok(None)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Returns the rows that are refused alone, in their order. They stay as they are.
    pub fn refused(self) -> Vec<Refused<R>> {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a statement that the database refuses for each of `bad`, and returns what it did and what it refused.
    fn run(rows: &[u32], bad: &[u32]) -> (Vec<u32>, Vec<u32>) {
        let mut done = Vec::new();
        let mut parts = Parts::of(rows);
        while let Some(part) = parts.next_part() {
            let is_bad = part.iter().any(|row| bad.contains(row));
            let result = if is_bad { Err(DbError::Refused("23514".to_owned())) } else { Ok(part) };
            done.extend(parts.settle(part, result).expect("only rows are refused").into_iter().flatten());
        }
        let refused = parts.refused();
        assert!(refused.iter().all(|row| row.sqlstate == "23514"));
        (done, refused.into_iter().map(|row| row.row).collect())
    }

    #[test]
    fn refused_rows_are_left_out_and_all_others_are_done_in_order() {
        let rows: Vec<u32> = (0..100).collect();
        for bad in [vec![], vec![0], vec![99], vec![7, 8, 50], rows.clone()] {
            let expected = rows.iter().copied().filter(|row| !bad.contains(row)).collect();
            assert_eq!(run(&rows, &bad), (expected, bad));
        }
        assert_eq!(run(&[], &[]), (vec![], vec![]));
    }

    #[test]
    fn a_fault_of_no_row_is_returned() {
        let refused = |state: &str| Err::<(), _>(DbError::Refused(state.to_owned()));
        for (rows, state) in [([1, 2].as_slice(), "42501"), (&[], "23514")] {
            let mut parts = Parts::of(rows);
            let part = parts.next_part().expect("a part");
            assert!(parts.settle(part, refused(state)).is_err());
            assert!(parts.next_part().is_none());
        }
    }
}
