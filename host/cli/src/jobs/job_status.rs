//! The status of a job as text.

use assay_db::jobs::JobRow;

/// Returns the status of a job, and whether a cancel request waits for its worker.
pub fn text(job: &JobRow) -> String {
    let ends = job.cancel_requested && job.status == "processing";
    if ends { format!("{}, to be cancelled", job.status) } else { job.status.clone() }
}

#[cfg(test)]
pub mod tests {
    use time::macros::datetime;
    use uuid::uuid;

    use super::*;

    /// Returns a job whose first attempt got no answer from the model.
    pub fn job(status: &str) -> JobRow {
        JobRow {
            job_id: uuid!("0198c0de-0000-7000-8000-000000000003"),
            file_id: uuid!("0198c0de-0000-7000-8000-000000000002"),
            status: status.to_owned(),
            cancel_requested: false,
            channel: "default".to_owned(),
            priority: 0,
            life: 1,
            attempts: 1,
            max_attempts: 4,
            snoozes: 0,
            next_run_at: datetime!(2026-03-04 09:30:31 UTC).into(),
            locked_by: (status == "processing").then(|| "host-7-af".to_owned()),
            code: Some("llm_timeout".to_owned()),
            step: Some("call_model".to_owned()),
            updated_at: datetime!(2026-03-04 09:30:04 UTC).into(),
        }
    }
}
