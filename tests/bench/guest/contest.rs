//! The same work everywhere: parse a document's text, validate it, write it down again.
//!
//! Everybody takes a turn of some calls, then the next one, many times over, so that what the machine does meanwhile hits
//! all alike.

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use assay_runtime::{Answer, Guest, Step, Transcript, testing::kept};
use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;
use tokio::runtime::Handle;

use crate::{
    documents::{Document, SCHEMA},
    node::{Ajv, Form},
    spread::Spread,
};

/// Upper bound for one pattern, as in the SDK.
const PATTERN_BYTES: usize = 1 << 20;
/// Calls of a kept instance before its times count: its memory is touched for the first time.
const FIRST_CALLS: usize = 3;

/// How often everybody has a turn, and of how many calls.
#[derive(Clone, Copy)]
pub struct Turns {
    pub rounds: usize,
    /// Calls of each in a round.
    pub calls: usize,
}

/// A guest under a name.
pub struct Contender {
    pub name: String,
    /// The guest, whose calls are fresh.
    pub guest: Guest,
    /// The same in a runtime of its own: a kept instance leaves much more memory behind than a call does, and the pool
    /// that it goes back to would have to clear all of it from then on.
    pub kept: Guest,
}

/// What was measured of one guest.
#[derive(Default)]
pub struct OfGuest {
    /// `advance` with the answer in a fresh instance, from instantiation to drop.
    pub fresh: Spread,
    /// The same as the caller sees it, the way to a guest thread and back included.
    pub called: Spread,
    /// `check`: parse and validate alone, fresh.
    pub check: Spread,
    /// `advance` with the answer in an instance that is kept.
    pub warm: Spread,
    pub instantiate: Spread,
    /// Linear memory of a call, in bytes.
    pub peak_memory: usize,
}

/// What was measured on one document.
pub struct Outcome {
    /// `jsonschema`, compiled for this machine.
    pub native: Spread,
    pub ajv: Spread,
    /// Ajv, from bytes to bytes.
    pub ajv_bytes: Spread,
    /// The guests, in their order.
    pub guests: Vec<OfGuest>,
}

/// Runs all of it on one document.
///
/// # Errors
/// One of them does not accept the document.
pub fn run(turns: Turns, index: usize, document: &Document, ajv: &mut Ajv, guests: &[Contender]) -> Result<Outcome> {
    let validator = validator()?;
    let call = Call::on(document);
    let mut outcome = Outcome {
        native: Spread::default(),
        ajv: Spread::default(),
        ajv_bytes: Spread::default(),
        guests: guests.iter().map(|_| OfGuest::default()).collect(),
    };
    for round in 0..=turns.rounds {
        // The first round is for warming up.
        let discarded = round == 0;
        for _ in 0..turns.calls {
            outcome.native.add(native(&validator, &document.text)?);
        }
        outcome.ajv.extend(ajv.calls(index, turns.calls, Form::Text)?);
        outcome.ajv_bytes.extend(ajv.calls(index, turns.calls, Form::Bytes)?);
        for (contender, measured) in guests.iter().zip(&mut outcome.guests) {
            for _ in 0..turns.calls {
                call.fresh(&contender.guest, measured)?;
            }
            for _ in 0..turns.calls {
                call.check(&contender.guest, measured)?;
            }
            for _ in 0..turns.calls {
                measured.instantiate.add(kept::instantiate(&contender.guest).elapsed);
            }
            call.warm(&contender.kept, turns.calls, measured)?;
        }
        if discarded {
            outcome.native = Spread::default();
            outcome.ajv = Spread::default();
            outcome.ajv_bytes = Spread::default();
            outcome.guests.iter_mut().for_each(|measured| *measured = OfGuest::default());
        }
    }
    Ok(outcome)
}

/// Runs `check` alone on one document, in turns, a fresh instance each time.
///
/// # Errors
/// One of them does not accept the document.
pub fn checks(turns: Turns, document: &Document, guests: &[&Guest]) -> Result<Vec<Spread>> {
    let call = Call::on(document);
    let mut measured: Vec<OfGuest> = guests.iter().map(|_| OfGuest::default()).collect();
    for _ in 0..turns.rounds {
        for (guest, measured) in guests.iter().zip(&mut measured) {
            for _ in 0..turns.calls {
                call.check(guest, measured)?;
            }
        }
    }
    Ok(measured.into_iter().map(|measured| measured.check).collect())
}

/// As the SDK compiles a schema.
fn validator() -> Result<Validator> {
    let schema: Value = serde_json::from_str(SCHEMA)?;
    let patterns = PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES);
    let options = jsonschema::options()
        .with_draft(Draft::Draft202012)
        .should_validate_formats(true)
        .should_ignore_unknown_formats(false)
        .with_pattern_options(patterns)
        .offline();
    Ok(options.build(&schema)?)
}

fn native(validator: &Validator, text: &str) -> Result<Duration> {
    let begun = Instant::now();
    let written = {
        let document: Value = serde_json::from_str(black_box(text))?;
        ensure!(validator.is_valid(&document), "jsonschema refuses the document");
        document.to_string()
    };
    let elapsed = begun.elapsed();
    black_box(written);
    Ok(elapsed)
}

/// What a guest is called with.
struct Call {
    transcript: Arc<Transcript>,
    answers: Vec<Answer>,
}

impl Call {
    fn on(document: &Document) -> Self {
        let transcript = Transcript {
            id: "bench".into(),
            text: "What was said is not looked at any more once there is an answer.".into(),
            media_type: "text/plain".into(),
            filename: "call.txt".into(),
            received_at: "2026-03-02T10:00:00Z".into(),
            attributes: vec![],
        };
        let answer = Answer { text: document.text.as_str().into(), model: "bench".into() };
        Self { transcript: Arc::new(transcript), answers: vec![answer] }
    }

    fn fresh(&self, guest: &Guest, measured: &mut OfGuest) -> Result<()> {
        let begun = Instant::now();
        let call = Handle::current().block_on(guest.advance(&self.transcript, &self.answers));
        measured.called.add(begun.elapsed());
        measured.fresh.add(call.elapsed);
        measured.peak_memory = call.peak_memory;
        accepted(&call.result?)
    }

    fn check(&self, guest: &Guest, measured: &mut OfGuest) -> Result<()> {
        let call = Handle::current().block_on(guest.check(&self.answers[0].text));
        measured.check.add(call.elapsed);
        ensure!(call.result?.is_empty(), "the guest has findings about the document");
        Ok(())
    }

    fn warm(&self, guest: &Guest, calls: usize, measured: &mut OfGuest) -> Result<()> {
        let kept = kept::keep(guest, |instance| -> Result<()> {
            for number in 0..FIRST_CALLS + calls {
                let begun = Instant::now();
                let step = instance.advance(&self.transcript, &self.answers)?;
                if number >= FIRST_CALLS {
                    measured.warm.add(begun.elapsed());
                }
                accepted(&step)?;
            }
            Ok(())
        });
        kept.result?
    }
}

fn accepted(step: &Step) -> Result<()> {
    match step {
        Step::Accept(_) => Ok(()),
        _ => bail!("the guest does not accept the document"),
    }
}
