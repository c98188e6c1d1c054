//! The texts that questions of a release have in common.

use std::{collections::HashSet, sync::Arc};

use assay_runtime::{Message, Prompt};
use parking_lot::Mutex;

/// Texts held at most; a release needs fewer: instructions and a schema per kind of question.
const MAX_SHARED_TEXTS: usize = 64;

/// Instructions and schemas, held once for thousands of questions that wait for the model.
#[derive(Default)]
pub(super) struct SharedTexts(Mutex<HashSet<Arc<str>>>);

impl SharedTexts {
    /// Copies questions; equal instructions and schemas share one allocation.
    ///
    /// Memory that a guest's thread allocated is reused only by that thread. Without the copy, thousands of waiting prompts
    /// would leave as much memory behind as they took.
    pub(super) fn share(&self, prompts: &[Prompt]) -> Vec<Prompt> {
        prompts.iter().map(|prompt| self.share_one(prompt)).collect()
    }

    fn share_one(&self, prompt: &Prompt) -> Prompt {
        let messages = prompt.messages.iter().map(|message| {
            // A user message holds the transcript.
            let common = message.role == "system";
            let content = if common { self.common(&message.content) } else { Arc::from(&*message.content) };
            Message { role: message.role.clone(), content }
        });
        Prompt {
            messages: messages.collect(),
            answer_schema: prompt.answer_schema.as_deref().map(|schema| self.common(schema)),
            model: prompt.model.clone(),
            max_output_tokens: prompt.max_output_tokens,
            temperature: prompt.temperature,
        }
    }

    fn common(&self, text: &str) -> Arc<str> {
        let mut texts = self.0.lock();
        if let Some(text) = texts.get(text) {
            return text.clone();
        }
        if texts.len() >= MAX_SHARED_TEXTS {
            // Instructions that name the file belong to one job. Texts that no question uses make room.
            texts.retain(|text| Arc::strong_count(text) > 1);
        }
        let text = Arc::<str>::from(text);
        if texts.len() < MAX_SHARED_TEXTS {
            texts.insert(text.clone());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(system: &str) -> Prompt {
        let message = |role: &str, content: &str| Message { role: role.to_owned(), content: Arc::from(content) };
        Prompt {
            messages: vec![message("system", system), message("user", "the transcript")],
            answer_schema: Some(Arc::from("{}")),
            model: Some("fast".to_owned()),
            max_output_tokens: Some(7),
            temperature: None,
        }
    }

    #[test]
    fn questions_hold_their_instructions_and_schema_once() {
        let texts = SharedTexts::default();
        let asked = [prompt("be brief"), prompt("be brief")];
        let shared = texts.share(&asked);
        assert!(shared == asked, "nothing else changes");
        let [first, second] = &shared[..] else { unreachable!("two questions") };
        assert!(Arc::ptr_eq(&first.messages[0].content, &second.messages[0].content));
        assert!(Arc::ptr_eq(first.answer_schema.as_ref().unwrap(), second.answer_schema.as_ref().unwrap()));
        assert!(!Arc::ptr_eq(&first.messages[0].content, &asked[0].messages[0].content), "the guest's memory is free");
    }

    #[test]
    fn texts_of_one_job_do_not_pile_up() {
        let texts = SharedTexts::default();
        let waiting: Vec<_> = (0..MAX_SHARED_TEXTS * 2).flat_map(|n| texts.share(&[prompt(&n.to_string())])).collect();
        assert_eq!(texts.0.lock().len(), MAX_SHARED_TEXTS);
        drop(waiting);
        texts.share(&[prompt("another")]);
        assert_eq!(texts.0.lock().len(), 2, "instructions and schema: those of the jobs that are done have made room");
    }
}
