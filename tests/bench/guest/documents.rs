//! The documents that are measured with: invented, valid against `report.v2`, and the same in every run.

use serde_json::{Value, json};

/// The schema of all of them.
pub const SCHEMA: &str = include_str!("../../../schemas/report.v2.json");

/// A document as a model would write it.
pub struct Document {
    /// "6 KB"
    pub name: &'static str,
    pub text: String,
}

/// Returns what most reports are like: English, some dozens of values.
pub fn small() -> Document {
    let words = "the of budget review team will send draft to client before Friday and ask Anna about open tickets server \
                 migration was moved contract needs a second look nobody objected rollout starts after training next week";
    let mut writer = Writer { words: words.split_whitespace().collect(), state: 7 };
    Document { name: "6 KB", text: writer.report([6, 6, 4, 12, 8, 5], 114).to_string() }
}

/// Returns the largest that there are: near every bound of the schema, in a script of two bytes per letter.
pub fn large() -> Document {
    let words = "та про бюджет команда надішле чернетку клієнту до п'ятниці запитає Олену відкриті заявки перенесення сервера \
                 договір потребує ще одного перегляду ніхто не заперечив запуск почнеться після навчання наступного тижня";
    let mut writer = Writer { words: words.split_whitespace().collect(), state: 11 };
    Document { name: "200 KB", text: writer.report([20, 50, 50, 50, 60, 20], 545).to_string() }
}

/// Puts words together by a generator of its own, so that no version of another crate changes a document.
struct Writer {
    words: Vec<&'static str>,
    state: u32,
}

impl Writer {
    fn number(&mut self, below: u32) -> u32 {
        self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.state >> 8) % below
    }

    /// Returns a sentence of at most `letters`.
    fn sentence(&mut self, letters: usize) -> Value {
        let mut text = String::new();
        let mut left = letters;
        loop {
            let index = self.number(self.words.len() as u32) as usize;
            let word = self.words[index];
            let needed = word.chars().count() + 1;
            if needed > left {
                return text.trim_end().into();
            }
            left -= needed;
            text.push_str(word);
            // Every dozen words something that JSON must escape.
            text.push(if self.number(24) == 0 { '"' } else { ' ' });
        }
    }

    fn sentences(&mut self, count: usize, letters: usize) -> Vec<Value> {
        (0..count).map(|_| self.sentence(letters)).collect()
    }

    fn date(&mut self) -> String {
        format!("2026-{:02}-{:02}", 1 + self.number(12), 1 + self.number(28))
    }

    /// Returns a report with so many highlights, decisions, questions, steps, people and quotes.
    fn report(
        &mut self,
        [highlights, decisions, questions, steps, people, quotes]: [usize; 6],
        letters: usize,
    ) -> Value {
        let steps: Vec<Value> = (0..steps)
            .map(|_| json!({"owner": self.sentence(20), "action": self.sentence(letters), "due_date": self.date()}))
            .collect();
        let quotes: Vec<Value> = (0..quotes)
            .map(|minute| {
                json!({"text": self.sentence(letters), "speaker": self.sentence(20), "at": format!("00:{minute:02}:10.250")})
            })
            .collect();
        json!({
            "summary": self.sentence(150),
            "overview": self.sentence(letters * 6),
            "highlights": self.sentences(highlights, letters),
            "decisions": self.sentences(decisions, letters),
            "open_questions": self.sentences(questions, letters),
            "next_steps": steps,
            "participants": self.sentences(people, 24),
            "quotes": quotes,
            "risk_level": "medium",
        })
    }
}
