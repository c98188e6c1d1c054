//! OpenAI's Chat Completions, and the many servers that speak it.

mod fold;
mod read;

pub(crate) use fold::ChatStream;
pub(crate) use read::read;
