//! The key of a question: stored answers are found by it, so it never changes.

use assay_conversation::question_sha256;
use assay_runtime::{Message, Prompt};
use sha2::{Digest, Sha256};

fn prompt(messages: &[(&str, &str)]) -> Prompt {
    let message = |(role, content): &(&str, &str)| Message { role: (*role).to_owned(), content: (*content).into() };
    Prompt {
        messages: messages.iter().map(message).collect(),
        answer_schema: None,
        model: None,
        max_output_tokens: None,
        temperature: None,
    }
}

/// Returns questions with their keys, as the code of revision 3f8060d computed them.
fn golden() -> [(Prompt, &'static str); 3] {
    let plain = prompt(&[("user", "What is it about?")]);
    let full = Prompt {
        answer_schema: Some("{\"type\": \"object\",\n \"properties\": {\"b\": {}, \"a\": {}}}".into()),
        model: Some("small".to_owned()),
        max_output_tokens: Some(4096),
        temperature: Some(0.2),
        ..prompt(&[
            ("system", "Answer with JSON."),
            ("user", "<transcript>\n\"Ана\": we ship \u{1f680}\n</transcript>"),
        ])
    };
    let repair = Prompt {
        answer_schema: Some("true".into()),
        temperature: Some(1.0),
        ..prompt(&[("system", ""), ("user", "q"), ("assistant", "{}"), ("user", "again\u{0}\u{7f}/\\")])
    };
    [
        (plain, "574b944fdb1c63adba9e60c962976db47491c0c3f336fd1ea8d7f8fcf4e97518"),
        (full, "b7cc05d705918a8b56a9b70603abd5fd884f43144f84b2ad875b78f2dc82f25c"),
        (repair, "818573811103201a94ab37b0cb4120f0554b7ddf2a9209dda5461f5b7248c04e"),
    ]
}

#[test]
fn a_question_has_the_key_of_revision_3f8060d() {
    for (prompt, expected) in golden() {
        let key: String = question_sha256(&prompt).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(key, expected);
    }
}

#[test]
fn every_field_of_a_question_changes_its_key() {
    type Change = fn(&mut Prompt);
    let changes: [Change; 7] = [
        |p| p.messages[0].role = "system".to_owned(),
        |p| p.messages[0].content = "What is it about".into(),
        |p| p.messages.push(p.messages[0].clone()),
        |p| p.answer_schema = Some("{}".into()),
        |p| p.model = Some(String::new()),
        |p| p.max_output_tokens = Some(0),
        |p| p.temperature = Some(0.0),
    ];
    let question = prompt(&[("user", "What is it about?")]);
    let mut keys = vec![question_sha256(&question)];
    for change in changes {
        let mut changed = question.clone();
        change(&mut changed);
        keys.push(question_sha256(&changed));
    }
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), changes.len() + 1);
}

#[test]
fn a_missing_field_is_hashed_as_null() {
    let text = r#"{"messages":[{"role":"user","content":"x"}],"answer_schema":null,"model":null,"max_output_tokens":null,"temperature":null}"#;
    assert_eq!(question_sha256(&prompt(&[("user", "x")]))[..], Sha256::digest(text)[..]);
}
