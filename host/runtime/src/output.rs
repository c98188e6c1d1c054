//! Checks what the types of the contract cannot express: bounds and forms of the values that a guest returns.
//!
//! Guests write codes, and codes reach records and metrics. So their alphabet is checked here, where every result passes.

use crate::{
    contract::{Finding, Message, Prompt, Rejection, Step},
    fault::Fault,
};

/// Of a finding or rejection.
const MAX_CODE_BYTES: usize = 64;
const TEMPERATURES: std::ops::RangeInclusive<f32> = 0.0..=2.0;

/// Checks a step and returns it.
///
/// # Errors
/// [`Fault::OutputTooLarge`] for more than `max_records` records; [`Fault::BadOutput`] with the name of the broken rule.
pub(crate) fn step(step: Step, max_records: usize) -> Result<Step, Fault> {
    match &step {
        Step::Ask(asked) => prompts(asked, max_records)?,
        Step::Accept(report) => check_findings(&report.notes, max_records)?,
        Step::Reject(Rejection::Invalid(found)) => check_findings(found, max_records)?,
        Step::Reject(Rejection::Other((code, _))) => check_code(code)?,
        Step::Reject(Rejection::NotJson(_) | Rejection::Unsupported(_)) => {}
    }
    Ok(step)
}

/// Checks findings and returns them.
///
/// # Errors
/// As [`step`].
pub(crate) fn findings(found: Vec<Finding>, max_records: usize) -> Result<Vec<Finding>, Fault> {
    check_findings(&found, max_records)?;
    Ok(found)
}

fn prompts(asked: &[Prompt], max_records: usize) -> Result<(), Fault> {
    // A step that asks nothing would repeat for ever.
    if asked.is_empty() {
        return Err(Fault::BadOutput("no_prompts"));
    }
    let records = asked.iter().map(|prompt| 1 + prompt.messages.len()).sum::<usize>();
    if records > max_records {
        return Err(Fault::OutputTooLarge);
    }
    for prompt in asked {
        if prompt.messages.is_empty() {
            return Err(Fault::BadOutput("no_messages"));
        }
        if !prompt.messages.iter().all(has_known_role) {
            return Err(Fault::BadOutput("role"));
        }
        // NaN is in no range.
        if prompt.temperature.is_some_and(|t| !TEMPERATURES.contains(&t)) {
            return Err(Fault::BadOutput("temperature"));
        }
    }
    Ok(())
}

fn has_known_role(message: &Message) -> bool {
    matches!(message.role.as_str(), "system" | "user" | "assistant")
}

fn check_findings(found: &[Finding], max_records: usize) -> Result<(), Fault> {
    if found.len() > max_records {
        return Err(Fault::OutputTooLarge);
    }
    for finding in found {
        check_code(&finding.code)?;
        // RFC 6901: empty, or a slash before each segment.
        if !(finding.pointer.is_empty() || finding.pointer.starts_with('/')) {
            return Err(Fault::BadOutput("pointer"));
        }
    }
    Ok(())
}

/// Checks the alphabet of the contract, plus the letters of JSON Schema's keywords (`minLength`, `$ref`).
fn check_code(code: &str) -> Result<(), Fault> {
    let is_code_byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'$');
    if code.is_empty() || code.len() > MAX_CODE_BYTES || !code.bytes().all(is_code_byte) {
        return Err(Fault::BadOutput("code"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Report;

    fn prompt() -> Prompt {
        Prompt {
            messages: vec![Message { role: "user".into(), content: "".into() }],
            answer_schema: None,
            model: None,
            max_output_tokens: None,
            temperature: None,
        }
    }

    fn finding(code: &str, pointer: &str) -> Finding {
        Finding { code: code.into(), pointer: pointer.into(), message: String::new() }
    }

    fn fault_of(checked: Step) -> Option<Fault> {
        step(checked, 10).err()
    }

    #[test]
    fn prompts_have_messages_roles_and_a_real_temperature() {
        let with = |spoil: fn(&mut Prompt)| {
            let mut prompt = prompt();
            spoil(&mut prompt);
            fault_of(Step::Ask(vec![prompt]))
        };
        assert_eq!(with(|p| p.temperature = Some(2.0)), None);
        assert_eq!(with(|p| p.temperature = Some(f32::NAN)), Some(Fault::BadOutput("temperature")));
        assert_eq!(with(|p| p.temperature = Some(-0.1)), Some(Fault::BadOutput("temperature")));
        assert_eq!(with(|p| p.messages.clear()), Some(Fault::BadOutput("no_messages")));
        assert_eq!(with(|p| p.messages[0].role = "tool".into()), Some(Fault::BadOutput("role")));
        assert_eq!(fault_of(Step::Ask(vec![])), Some(Fault::BadOutput("no_prompts")));
    }

    #[test]
    fn records_are_counted_with_their_parts() {
        assert_eq!(fault_of(Step::Ask(vec![prompt(); 5])), None);
        assert_eq!(fault_of(Step::Ask(vec![prompt(); 6])), Some(Fault::OutputTooLarge));
        let notes = vec![finding("note", ""); 11];
        assert_eq!(fault_of(Step::Accept(Report { document: "{}".into(), notes })), Some(Fault::OutputTooLarge));
    }

    #[test]
    fn codes_and_pointers_keep_to_their_alphabet() {
        let of = |code: &str, pointer: &str| fault_of(Step::Reject(Rejection::Invalid(vec![finding(code, pointer)])));
        assert_eq!(of("min.length_2-x", "/a/0"), None);
        assert_eq!(of("minLength", ""), None);
        assert_eq!(of("a quote", ""), Some(Fault::BadOutput("code")));
        assert_eq!(of("", ""), Some(Fault::BadOutput("code")));
        assert_eq!(of(&"x".repeat(65), ""), Some(Fault::BadOutput("code")));
        assert_eq!(of("required", "a"), Some(Fault::BadOutput("pointer")));
        let other = Rejection::Other(("two words".into(), String::new()));
        assert_eq!(fault_of(Step::Reject(other)), Some(Fault::BadOutput("code")));
    }
}
