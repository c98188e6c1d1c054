//! The journal of a job: the answers that it has received.

/// One answer that was received and committed.
#[derive(Clone, Debug)]
pub struct JournalEntry {
    /// Position among the job's answers, from 0.
    pub ordinal: i32,
    /// sha256 of the prompt.
    pub prompt_sha256: Vec<u8>,
    /// The key of the answer's object.
    pub key: String,
    /// sha256 of the answer's object.
    pub sha256: Vec<u8>,
    /// The model that answered.
    pub model: String,
    /// Why the model stopped, in the provider's words.
    pub finish_reason: String,
}
