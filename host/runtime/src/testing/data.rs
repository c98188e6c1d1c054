//! Lays out values of the contract in a guest's memory, as the canonical ABI wants them.

use std::fmt::Write;

/// The start of a guest's memory. Grows as values are put into it.
#[derive(Debug, Clone, Default)]
pub struct Data(Vec<u8>);

/// A pointer and a length: a text or a list.
pub type Span = (u32, u32);

/// Where the data begins. Address 0 stays empty, so that a null pointer points to nothing of worth.
const BASE: u32 = 1024;

/// Words of a `step` in memory, its longest case included.
const STEP_WORDS: usize = 6;

impl Data {
    /// Puts a text.
    pub fn text(&mut self, text: &str) -> Span {
        self.bytes(text.as_bytes())
    }

    /// Puts bytes, which need be no text.
    pub fn bytes(&mut self, bytes: &[u8]) -> Span {
        let at = self.end();
        self.0.extend_from_slice(bytes);
        (at, length(bytes))
    }

    /// Puts aligned words: a record, or a list of records.
    pub fn words(&mut self, words: &[u32]) -> u32 {
        while !self.0.len().is_multiple_of(8) {
            self.0.push(0);
        }
        let at = self.end();
        self.0.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        at
    }

    /// Puts a `manifest`.
    pub fn manifest(&mut self, prompt_version: &str, schema_version: &str, schema: &str) -> u32 {
        let texts = [prompt_version, schema_version, schema, "A guest for tests."].map(|text| self.text(text));
        self.words(&texts.map(|(at, len)| [at, len]).concat())
    }

    /// Puts the words of a prompt: one user message, an answer schema or none, all else left to the host.
    pub fn prompt(&mut self, content: Span, answer_schema: Option<&str>) -> [u32; 12] {
        let role = self.text("user");
        let messages = self.words(&[role.0, role.1, content.0, content.1]);
        let schema = answer_schema.map_or([0, 0, 0], |schema| {
            let (at, len) = self.text(schema);
            [1, at, len]
        });
        let mut prompt = [0; 12];
        prompt[..2].copy_from_slice(&[messages, 1]);
        prompt[2..5].copy_from_slice(&schema);
        prompt
    }

    /// Puts `ask`.
    pub fn ask(&mut self, prompts: &[[u32; 12]]) -> u32 {
        let list = self.words(&prompts.concat());
        self.step(&[0, list, length(prompts)])
    }

    /// Puts `accept`, without notes.
    pub fn accept(&mut self, document: Span) -> u32 {
        self.step(&[1, document.0, document.1, 0, 0])
    }

    /// Puts `reject(invalid)` with one finding.
    pub fn reject(&mut self, code: &str, pointer: &str, message: &str) -> u32 {
        let finding = [code, pointer, message].map(|text| self.text(text)).map(|(at, len)| [at, len]).concat();
        let findings = self.words(&finding);
        self.step(&[2, 1, findings, 1])
    }

    /// Puts a `step` from its words.
    pub fn step(&mut self, words: &[u32]) -> u32 {
        let mut step = [0; STEP_WORDS];
        step[..words.len()].copy_from_slice(words);
        self.words(&step)
    }

    /// The address behind the data.
    pub fn end(&self) -> u32 {
        BASE + length(&self.0)
    }

    /// The data segment as WAT.
    pub(super) fn segment(&self) -> String {
        let mut text = format!("(data (i32.const {BASE}) \"");
        for byte in &self.0 {
            write!(text, "\\{byte:02x}").expect("a String takes all");
        }
        text + "\")"
    }
}

fn length<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).expect("a guest for tests fits into its memory")
}
