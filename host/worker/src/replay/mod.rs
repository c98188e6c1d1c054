//! Replay: runs a guest on the stored answers of finished jobs, and compares its results with the stored ones.
//!
//! [`Engine`] runs guests over cases and compares. [`CaseReader`] reads cases from the database and the bucket. [`Results`] keeps the
//! results, so that the next run goes on where this one ended. A replay writes only its folder, and asks the model only for
//! [`LiveOptions`].

pub mod answer_log;
pub mod budget;
pub mod cases;
pub mod detail;
pub mod engine;
pub mod expected_tokens;
pub mod header;
pub mod lines;
pub mod live_pass;
pub mod page;
pub mod result_counts;
pub mod result_line;
pub mod results;
pub mod run;

pub use cases::CaseReader;
pub use engine::{CaseResult, Engine, Evidence, MAX_POINTERS, ReplayCase, ReplayedCase};
pub use header::{RESULTS_FORMAT, ReplayHeader};
pub use live_pass::{CostEstimate, LiveOptions, LiveSummary};
pub use page::write as write_page;
pub use result_counts::{ResultCount, ResultCounts};
pub use result_line::{RESULTS, ResultLine, SKIPPED};
pub use results::{MAX_DETAILED_FILES, Results};
pub use run::Replay;
