//! Guests whose schema turns the host's second check against it: it runs in a sandbox too, under the same limits.

use std::fmt::Write;

use assay_runtime::testing::{WatGuest, hostile};
use assay_tests::{World, compile};
use tokio::sync::OnceCell;

use crate::{
    cases::{End, fails, retries},
    stage::play,
};

cases! {
    a_schema_that_is_none: hostile::accepts(r#"{"type":7}"#, "{}") => End::StaysOut("schema_refused");
    a_schema_with_a_pattern_that_looks_back: hostile::accepts(
        r#"{"type":"object","additionalProperties":{"type":"string","pattern":"^(a+)\\1$"}}"#, "{}"
    ) => End::StaysOut("schema_refused");
    a_schema_that_asks_the_network: hostile::accepts(
        r#"{"$ref":"http://169.254.169.254/latest/meta-data"}"#, "{}"
    ) => End::StaysOut("schema_refused");
    a_schema_with_a_pattern_of_a_billion_repeats: hostile::accepts(
        r#"{"type":"object","additionalProperties":{"type":"string","pattern":"^((a{1,1000}){1,1000}){1,1000}$"}}"#, "{}"
    ) => End::StaysOut("schema_refused");
    [written out] {
        a_schema_that_explodes => retries("guest_timeout");
        a_schema_that_is_its_own_part => End::Succeeds;
        a_schema_that_no_report_satisfies => fails("report_invalid");
    }
}

/// Returns each definition is twice the one before it, so that checking anything against the last one takes 2^28 steps.
fn explodes() -> WatGuest {
    let mut definitions = r#""d0":{"type":"object"}"#.to_owned();
    for number in 1..=28 {
        let part = format!(r##"{{"$ref":"#/$defs/d{}"}}"##, number - 1);
        write!(definitions, r#","d{number}":{{"allOf":[{part},{part}]}}"#).expect("a String takes all");
    }
    hostile::accepts(&format!(r##"{{"$ref":"#/$defs/d28","$defs":{{{definitions}}}}}"##), "{}")
}

/// Checking anything against it is checking it against itself; the validator sees the circle and says yes.
fn recurses() -> WatGuest {
    hostile::accepts(r##"{"allOf":[{"$ref":"#"}]}"##, "{}")
}

fn satisfies_nothing() -> WatGuest {
    hostile::accepts(r#"{"type":"object","not":{}}"#, "{}")
}

/// A schema's verifier takes seconds to compile, so all of these are compiled before a worker is started with a deadline.
async fn compiled(guest: fn() -> WatGuest) -> WatGuest {
    static COMPILED: OnceCell<()> = OnceCell::const_new();
    COMPILED
        .get_or_init(|| async {
            let world = World::start().await;
            compile(&world.env(), &[explodes(), recurses(), satisfies_nothing()]).await;
        })
        .await;
    guest()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_explodes() {
    play(compiled(explodes).await, retries("guest_timeout")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_is_its_own_part() {
    play(compiled(recurses).await, End::Succeeds).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_no_report_satisfies() {
    play(compiled(satisfies_nothing).await, fails("report_invalid")).await;
}
