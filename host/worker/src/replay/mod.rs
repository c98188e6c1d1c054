//! Stored answers once more: what would a guest make of the answers that finished jobs got? Nothing is written but the folder of
//! the replay, and the model is asked only where that is wanted and paid for.
//!
//! [`Engine`] runs guests over cases and compares; [`Cases`] brings cases from the database and the bucket; [`Results`] keeps
//! what came of them, so that the next run goes on where this one ended.

mod answers;
mod budget;
mod cases;
mod detail;
mod engine;
mod lines;
mod live;
mod page;
mod price;
mod replay;
mod results;
mod tally;

pub use cases::Cases;
pub use engine::{Case, Ended, Engine, Evidence, POINTERS, Replayed};
pub use live::{Live, Price, Spent};
pub use page::write as write_page;
pub use replay::*;
pub use results::{FORMAT, Header, IN_FULL, Line, Results};
pub use tally::{Count, RESULTS, Tally};
