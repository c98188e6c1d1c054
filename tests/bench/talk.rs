//! What is said in a bench: a transcript of 6 KB, and an answer of the same size that both reference guests accept.

use serde_json::json;

/// 6 KB of talk.
pub fn transcript() -> String {
    let mut text = String::new();
    let mut turn = 0;
    while text.len() < 6 * 1024 {
        turn += 1;
        text.push_str(&format!(
            "Person {}: We come to point {turn}, which is on the way and needs a word from everybody.\n",
            turn % 5
        ));
    }
    text
}

/// Returns the text of the answer.
pub fn report() -> String {
    let step = |number: usize| {
        json!({
            "owner": format!("Person {number}"),
            "action": format!("Finish part {number} of the plan, {}", "and tell the others. ".repeat(3)),
            "due_date": "2026-12-01"
        })
    };
    let point = |number: usize| format!("Point {number}: {}", "what was said about it, in some words. ".repeat(3));
    let report = json!({
        "overview": "The team goes through its plan and finds most of it on the way. ".repeat(6),
        "highlights": (0..15).map(point).collect::<Vec<_>>(),
        "next_steps": (0..20).map(step).collect::<Vec<_>>(),
        "risk_level": "medium",
    });
    report.to_string()
}
