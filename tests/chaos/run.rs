//! One scenario from beginning to end: a stage, a load and a plan on it, quiet, a sweep, and the verdicts.

use std::{
    any::Any,
    collections::BTreeSet,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::Context;
use futures::FutureExt;

use crate::{
    act,
    evidence::Evidence,
    invariants::{self, verdict::Verdict},
    load,
    outcome::{Outcome, ReleaseStats},
    plan, quiet,
    scenarios::{
        cast::Load,
        poisoned, s3,
        scenario::{Scenario, effects},
        swarm,
    },
    stage::Stage,
    step::Step,
    times::Times,
};

/// What all scenarios of one run have in common.
#[derive(Debug, Clone)]
pub struct Run {
    /// What all plans are made of.
    pub seed: u64,
    pub duration: Duration,
    pub times: Times,
    pub short: bool,
    /// The binary of the revision before, for `upgrade`.
    pub before: Option<PathBuf>,
    /// The options that repeat it, but for the scenario.
    pub options: String,
}

impl Run {
    /// Returns the plan of a scenario.
    pub fn plan(&self, scenario: Scenario) -> Vec<Step> {
        plan::plan(self.seed, scenario, self.duration, &self.times)
    }

    /// Returns the binary of the revision before, where a scenario plays with it.
    fn before_in(&self, scenario: Scenario) -> Option<&Path> {
        self.before.as_deref().filter(|_| scenario == Scenario::Upgrade)
    }

    /// Runs a scenario. What goes wrong is in the outcome; logs are then kept.
    pub async fn scenario(&self, scenario: Scenario) -> Outcome {
        let began = Instant::now();
        let plan = self.plan(scenario);
        let before = self.before_in(scenario).map(|binary| format!(" --before {}", binary.display()));
        let mut outcome = Outcome {
            scenario: scenario.to_string(),
            seed: self.seed,
            plan: plan.clone(),
            seconds: 0.0,
            figures: None,
            invariants: Vec::new(),
            error: None,
            repeat: format!("cargo xtask chaos {}{} {scenario}", self.options, before.unwrap_or_default()),
            logs: None,
        };
        let folder = tempfile::Builder::new().prefix(&format!("assay-chaos-{scenario}-")).tempdir();
        let folder = match folder.context("a folder for logs") {
            Ok(folder) => folder,
            Err(error) => return Outcome { error: Some(format!("{error:#}")), ..outcome },
        };
        // What fails a test with a panic fails a scenario here.
        let running = AssertUnwindSafe(self.on_stage(scenario, &plan, folder.path())).catch_unwind();
        match running.await.map_err(|panic| anyhow::anyhow!(words(&*panic))).flatten() {
            Ok((figures, verdicts)) => (outcome.figures, outcome.invariants) = (Some(figures), verdicts),
            Err(error) => outcome.error = Some(format!("{error:#}")),
        }
        outcome.seconds = began.elapsed().as_secs_f64();
        if !outcome.holds() {
            outcome.logs = Some(folder.keep());
        }
        outcome
    }

    async fn on_stage(
        &self,
        scenario: Scenario,
        plan: &[Step],
        folder: &Path,
    ) -> anyhow::Result<(ReleaseStats, Vec<Verdict>)> {
        let dice = |purpose: &str| plan::dice(self.seed, scenario, purpose);
        let cast = scenario.cast(self.short);
        let before = self.before_in(scenario).map(Path::to_owned);
        let stage = Stage::set_up(folder, &cast, self.times, before, dice).await.context("set the stage")?;
        let (mut commands, mut throughput, mut handed_in) = (0, Vec::new(), BTreeSet::new());
        let (mut good, is_crowd) = (None, matches!(cast.load, Load::Crowd(_)));
        // The server of a run lists by walking everything for every page: a sweep takes the longer, the more there is.
        let mut patience = self.duration;
        match cast.load {
            Load::Steady(rate) => {
                stage.fleet.fill(&stage.services).await;
                stage.fleet.ready().await;
                stage.old.fill(&stage.services).await?;
                // A step that takes longer than planned, because what it breaks was not met yet, still finds a load.
                let over = AtomicBool::new(false);
                let breaking = async {
                    let carried_out = act::carry_out(plan, &stage);
                    let result = tokio::join!(carried_out, tokio::time::sleep(self.duration)).0;
                    over.store(true, Ordering::Relaxed);
                    result
                };
                let (produced, ran, ()) = tokio::try_join!(
                    load::produce(&stage, dice("load"), rate, scenario.mix(), &over),
                    load::operate(&stage, dice("operators"), &over),
                    breaking,
                )?;
                (handed_in, commands) = (produced, ran);
            }
            Load::Poisoned(rate) => {
                let documents = poisoned::run(&stage, plan, rate).await.context("hand documents in")?;
                handed_in.clone_from(&documents.all);
                good = Some(documents);
            }
            Load::Crowd(crowd) => {
                throughput = swarm::run(&stage, crowd).await.context("run the swarm")?;
                patience = crowd.patience();
            }
        }
        let live = quiet::wait(&stage, patience).await.context("wait until it is quiet")?;
        stage.fleet.end_all(&stage.services).await?;
        stage.old.end_all().await?;
        // Sweeping a swarm's bucket takes long, and no worker dies in it, so it is swept only for lost claims.
        let to_be_swept = live.is_empty() && (!is_crowd || quiet::has_lost_claims(&stage).await?);
        let mut swept = 0;
        if to_be_swept {
            if scenario == Scenario::S3 {
                swept += s3::sweep_half_in_vain(&stage, patience).await?;
            }
            swept += quiet::sweep(&stage, patience).await?;
        }
        stage.keep_logs()?;
        let evidence = Evidence::gather(&stage).await.context("gather the evidence")?;
        let mut verdicts = invariants::all::all(&evidence);
        if !is_crowd {
            verdicts.push(invariants::ends::everything_handed_in_is_there(&evidence, &handed_in));
        }
        if let Load::Crowd(crowd) = cast.load {
            verdicts.push(swarm::future_waits(&stage, crowd).await?);
            verdicts.push(swarm::verdict(crowd, &throughput));
        }
        if scenario == Scenario::Upgrade {
            verdicts.push(invariants::alike::both_revisions_end_a_kind_alike(&evidence));
        }
        let mut good_p99_s = None;
        if let Some(good) = &good {
            let percentiles = poisoned::percentiles(&stage, good).await?;
            verdicts.extend(invariants::poisoned::all(&evidence, &percentiles));
            good_p99_s = Some([percentiles.alone, percentiles.beside]);
        }
        if scenario == Scenario::Failover {
            verdicts.push(invariants::heals::no_session_stays_on_the_standby(&evidence));
            verdicts.push(invariants::heals::jobs_flow_after_a_failover(&evidence));
        }
        let mut met = stage.met.counts();
        met.extend(effects(scenario, &evidence).into_iter().map(|(effect, times)| (effect.to_owned(), times)));
        if !is_crowd {
            verdicts.push(invariants::met::every_fault_was_met(&met));
        }
        let figures = ReleaseStats { commands, swept, met, throughput, good_p99_s, ..ReleaseStats::of(&evidence) };
        if verdicts.iter().any(|verdict| !verdict.broken.is_empty()) {
            let kept = Evidence { documents: Default::default(), ..evidence };
            std::fs::write(folder.join("evidence.txt"), format!("{kept:#?}")).context("keep the evidence")?;
        }
        Ok((figures, verdicts))
    }
}

/// Returns what a panic says.
fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
}
