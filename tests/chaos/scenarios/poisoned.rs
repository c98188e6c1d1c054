//! `poisoned`: on some documents the model fails whatever it is asked. First the load has good documents only, then bad ones among them; the good
//! ones must hardly take longer for it.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, bail};
use rand::{Rng, rngs::StdRng};
use sqlx::PgPool;
use tokio::time::{Instant, MissedTickBehavior};
use uuid::Uuid;

use crate::{
    faults::{deck::Deck, poison::Poison},
    load,
    stage::Stage,
    step::{Action, Step},
    talk::Kind,
    times::Times,
};

/// So many good ones come with a bad one.
const GOOD_ONES: usize = 3;
/// The longest load: by then the percentiles stand firm.
const LONGEST: Duration = Duration::from_secs(120);
/// The files of the first moments find cold connections and are not measured.
const WARM_UP: Duration = Duration::from_secs(1);

const TIMES: &str = "
    select extract(epoch from f.processed_at - j.created_at)::float8
      from files f join processing_jobs j on j.file_id = f.id
     where f.id = any ($1) and f.processed_at is not null";

/// What was handed in.
#[derive(Debug, Default)]
pub struct HandedIn {
    /// Good ones while no bad one came.
    pub alone: Vec<Uuid>,
    /// Good ones while bad ones came.
    pub beside: Vec<Uuid>,
    pub all: BTreeSet<Uuid>,
}

/// The 99th percentile of the seconds from the hand-in of a good document to its end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Percentiles {
    pub alone: f64,
    pub beside: f64,
    /// How many documents they are of.
    pub of: usize,
}

/// Plans the second half of the load with bad documents. Without verdicts on times it is short.
pub fn steps(dice: &mut StdRng, duration: Duration, times: &Times) -> Vec<Step> {
    let load = if times.rescue.is_some() { duration.min(LONGEST) } else { duration / 2 };
    vec![Step { at: load / 2, lasts: load / 2, action: Action::Poison(dice.random()) }]
}

/// Hands in `rate` good documents a second, and the bad ones of the plan besides.
///
/// # Errors
/// If the database stays away.
pub async fn run(stage: &Stage, plan: &[Step], rate: f64) -> anyhow::Result<HandedIn> {
    let &[Step { at, lasts, action: Action::Poison(seed) }] = plan else { bail!("no plan of bad documents") };
    Poison::ALL.iter().for_each(|poison| stage.met.count(poison, 0));
    stage.fleet.fill(&stage.services).await;
    stage.fleet.ready().await;
    let (mut bad, mut handed_in) = (Deck::new(Poison::ALL.to_vec(), seed), HandedIn::default());
    let began = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    while began.elapsed() < at + lasts {
        ticks.tick().await;
        let now = began.elapsed();
        let file = load::hand_in(stage, Kind::Accepted).await?;
        handed_in.all.insert(file);
        if now >= at {
            handed_in.beside.push(file);
            if handed_in.beside.len().is_multiple_of(GOOD_ONES) {
                let poison = bad.deal().context("a bad document")?;
                handed_in.all.insert(load::hand_in(stage, Kind::Poisoned(poison)).await?);
            }
        } else if now >= WARM_UP {
            handed_in.alone.push(file);
        }
    }
    Ok(handed_in)
}

/// Returns how long good documents took.
///
/// # Errors
/// If the database stays away.
pub async fn percentiles(stage: &Stage, handed_in: &HandedIn) -> anyhow::Result<Percentiles> {
    let seconds = async |files: &[Uuid]| {
        let ask = async |pool: &PgPool| sqlx::query_scalar::<_, f64>(TIMES).bind(files).fetch_all(pool).await;
        stage.services.patiently("how long documents took", ask).await
    };
    let (alone, beside) = (seconds(&handed_in.alone).await?, seconds(&handed_in.beside).await?);
    let of = alone.len() + beside.len();
    Ok(Percentiles { alone: p99(alone), beside: p99(beside), of })
}

/// Returns the 99th percentile; 0 of nothing.
fn p99(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    let rank = (seconds.len() * 99).div_ceil(100);
    rank.checked_sub(1).and_then(|index| seconds.get(index).copied()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plan::plan,
        scenarios::{runs::RUNS, scenario::Scenario},
    };

    #[test]
    fn every_run_has_good_documents_alone_and_then_each_bad_one() {
        for (duration, times) in RUNS {
            let steps = plan(3, Scenario::Poisoned, duration, &times);
            let [Step { at, lasts, action: Action::Poison(seed) }] = steps[..] else { panic!("{steps:?}") };
            assert!(at > WARM_UP * 2 && at + lasts <= duration.min(LONGEST));
            let mut deck = Deck::new(Poison::ALL.to_vec(), seed);
            let dealt: BTreeSet<_> = (0..Poison::ALL.len()).filter_map(|_| deck.deal()).collect();
            assert_eq!(dealt, Poison::ALL.into(), "in {duration:?}");
        }
    }

    #[test]
    fn one_of_a_hundred_may_be_slower_than_the_percentile() {
        let seconds = |count: u32| (1..=count).rev().map(f64::from).collect::<Vec<_>>();
        assert_eq!((p99(seconds(200)), p99(seconds(3)), p99(Vec::new())), (198.0, 3.0, 0.0));
    }
}
