//! What is asked of each revision, in this order: later commands see what earlier ones have changed.
//!
//! Words in braces are replaced: `{samples}`, `{sample:NAME}` (a path), `{file:NAME}` and `{job:NAME}` (ids), `{dist}` (the guests),
//! `{repository}`, `{unknown}` (an id of nothing) and `{work}` (the folder of the commands). In a command for each sample, `{file}` and
//! `{job}` are the sample's.

/// One command, or a wait.
pub struct Step {
    /// Unique: differences are named after it.
    pub name: &'static str,
    /// Divided at spaces.
    pub arguments: &'static str,
    pub kind: Kind,
    pub variables: Variables,
}

/// What is done with the arguments.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The exit code is compared, and standard output where it is JSON.
    Once,
    /// As `Once`; the order of the outermost list depends on timing.
    Unordered,
    /// As `Once`, for each sample.
    EachSample,
    /// As `EachSample`; standard output is compared byte for byte.
    EachDocument,
    /// As `Once`, again until the answer stays: it shows what workers have taken notice of.
    Settled,
    /// The arguments name a sample: wait until its file has ended.
    Wait,
}

/// Where a command finds its variables.
#[derive(Clone, Copy)]
pub enum Variables {
    /// In the file that the services wrote, and these.
    Session(&'static [(&'static str, &'static str)]),
    /// Nowhere.
    Missing,
}

const fn once(name: &'static str, arguments: &'static str) -> Step {
    Step { name, arguments, kind: Kind::Once, variables: Variables::Session(&[]) }
}

const fn of_kind(kind: Kind, name: &'static str, arguments: &'static str) -> Step {
    Step { kind, ..once(name, arguments) }
}

const fn wait(sample: &'static str) -> Step {
    of_kind(Kind::Wait, "wait", sample)
}

const fn without_variables(name: &'static str, arguments: &'static str) -> Step {
    Step { variables: Variables::Missing, ..once(name, arguments) }
}

const fn with(variables: &'static [(&'static str, &'static str)], name: &'static str, arguments: &'static str) -> Step {
    Step { variables: Variables::Session(variables), ..once(name, arguments) }
}

/// The command that submits the samples; the ids of the others come from its answer.
pub const SUBMIT: Step = once("submit samples", "submit {samples} --wait --json");

pub const STEPS: &[Step] = &[
    // What became of the samples.
    of_kind(Kind::EachSample, "status", "status {file} --json"),
    of_kind(Kind::EachSample, "jobs show", "jobs show {job} --json"),
    of_kind(Kind::EachDocument, "report", "report {file}"),
    of_kind(Kind::EachDocument, "report raw", "report {file} --raw"),
    once("status", "status --json"),
    once("status text", "status"),
    of_kind(Kind::Unordered, "jobs list", "jobs list --json"),
    of_kind(Kind::Unordered, "jobs list failed", "jobs list --status failed --since 24h --json"),
    of_kind(Kind::Unordered, "jobs list by code", "jobs list --code llm_refused --json"),
    of_kind(Kind::Unordered, "jobs list of an empty channel", "jobs list --channel nothing --json"),
    once("jobs show by file", "jobs show {file:en-memo} --json"),
    once("check", "check --json"),
    once("check text", "check"),
    // Dry runs.
    once("jobs retry dry run", "jobs retry --code llm_refused --dry-run --json"),
    once("jobs retry dry run since", "jobs retry --since 24h --rate 30/min --dry-run --json"),
    once("jobs retry dry run of a job", "jobs retry {job:en-complaint} --dry-run --json"),
    once("jobs retry dry run of a success", "jobs retry {job:en-memo} --dry-run --json"),
    once("jobs retry dry run of nothing", "jobs retry --code guest_trap --dry-run --json"),
    once("rerun dry run", "rerun {file:en-memo} --dry-run --json"),
    once("rerun dry run of a failure", "rerun {file:en-complaint} {file:en-memo} --dry-run --json"),
    once("rerun dry run by prompt version", "rerun --prompt-version meeting-v2 --since 7d --dry-run --json"),
    once("sweep without a mark", "sweep --json"),
    once("sweep mark", "sweep --mark"),
    once("sweep", "sweep --json"),
    once("sweep delete", "sweep --delete --older-than 1h --json"),
    once("sweep keys", "sweep --keys --older-than 1h"),
    once("migrate to the same", "migrate"),
    once("migrate print sql", "migrate --print-sql"),
    // Guests.
    once("guest check meeting-v1", "guest check {dist}/meeting-v1.wasm --json"),
    once("guest check meeting-v2", "guest check {dist}/meeting-v2.wasm --json"),
    once("guest check map-reduce", "guest check {dist}/examples/map-reduce.wasm --json"),
    once("guest check repair", "guest check {dist}/examples/repair.wasm --json"),
    once("guest check of a core module", "guest check {dist}/core/generic.wasm --json"),
    once("guest test meeting-v1", "guest test {dist}/meeting-v1.wasm --json"),
    once("guest test meeting-v2", "guest test {dist}/meeting-v2.wasm --json --junit junit.xml"),
    once("guest test map-reduce", "guest test {dist}/examples/map-reduce.wasm --json"),
    once("guest test repair", "guest test {dist}/examples/repair.wasm --json"),
    once("guest test without a match", "guest test {dist}/meeting-v2.wasm no-such-fixture --json"),
    once(
        "guest try meeting-v1",
        "guest try {dist}/meeting-v1.wasm {sample:en-memo} --stand-in --received-at 2026-03-04T09:30:00Z --json",
    ),
    once(
        "guest try meeting-v2",
        "guest try {dist}/meeting-v2.wasm {sample:en-memo} --stand-in --received-at 2026-03-04T09:30:00Z --attribute a=b --json",
    ),
    once(
        "guest try map-reduce",
        "guest try {dist}/examples/map-reduce.wasm {sample:en-quarterly-review} --stand-in --json",
    ),
    once("guest try repair", "guest try {dist}/examples/repair.wasm {sample:en-memo} --stand-in --json"),
    once("guest try a rejection", "guest try {dist}/meeting-v2.wasm {sample:en-retrospective} --stand-in --json"),
    once("guest try an answer", "guest try {dist}/meeting-v2.wasm {sample:en-memo} --answer {work}/answer.json --json"),
    once(
        "guest try a wrong time",
        "guest try {dist}/meeting-v2.wasm {sample:en-memo} --stand-in --received-at yesterday",
    ),
    once("guest new", "guest new minutes --dir {work}/new"),
    once("guest build", "guest build {work}/new -o {work}/new.wasm --json"),
    once("guest test of the new one", "guest test {work}/new --json"),
    once("guest new where it is", "guest new minutes --dir {work}/new"),
    once("guest build of nothing", "guest build {work}/nothing --json"),
    // Replay.
    once("replay the same", "replay --guest {dist}/meeting-v2.wasm --out {work}/same --json"),
    once(
        "replay another",
        "replay --guest {dist}/meeting-v1.wasm --out {work}/another --fail-on changed,diverged --json",
    ),
    once("replay an unknown release", "replay --guest no-such-release --out {work}/none --json"),
    // Jobs that wait, and are cancelled.
    once("queue pause", "queue pause --reason maintenance --by anna"),
    once("queue pause again", "queue pause --by ben"),
    once("queue pause a channel", "queue pause --channel batch --by anna"),
    once("status of a pause", "status --json"),
    once("rerun", "rerun {file:en-memo} {file:empty} --json"),
    once("rerun of one that waits", "rerun {file:en-memo} --json"),
    once("status of one that waits", "status {file:en-memo} --json"),
    once("jobs show one that waits", "jobs show {job:en-memo} --json"),
    once("jobs cancel", "jobs cancel {job:en-memo} {file:en-planning} {unknown} --json"),
    once("status of one that was cancelled", "status {file:en-memo} --json"),
    once("queue resume", "queue resume"),
    once("queue resume again", "queue resume"),
    once("queue resume a channel", "queue resume --channel batch"),
    once("queue resume an unknown channel", "queue resume --channel nothing"),
    // Second runs.
    once("jobs retry", "jobs retry {job:en-memo} {job:en-planning} {unknown} --json"),
    wait("en-memo"),
    once("status of a second run", "status {file:en-memo} --json"),
    once("jobs show a second run", "jobs show {job:en-memo} --json"),
    once("rerun of a success", "rerun {file:en-planning} --priority 0 --json"),
    wait("en-planning"),
    once("jobs show a rerun", "jobs show {job:en-planning} --json"),
    once("jobs retry by code", "jobs retry --code llm_refused --since 24h --json"),
    wait("en-complaint"),
    once("jobs show a retry", "jobs show {job:en-complaint} --json"),
    once(
        "submit with options",
        "submit {sample:en-standup} --user {unknown} --prompt-version meeting-v1 --wait --json",
    ),
    once("submit a bad file", "submit {work}/bad.pdf --json"),
    once("submit no file", "submit {work}/nothing.txt --json"),
    once("submit to an unknown version", "submit {sample:en-standup} --prompt-version no-such-version --json"),
    of_kind(Kind::Settled, "status at the end", "status --json"),
    // Releases.
    once("release list before", "release list --json"),
    once("release publish", "release publish {dist}/meeting-v1.wasm --by anna --reason first --json"),
    once("release publish again", "release publish {dist}/meeting-v1.wasm --by anna --json"),
    once("release publish the second", "release publish {dist}/meeting-v2.wasm --by anna --json"),
    once("release publish nothing", "release publish {work}/answer.json --by anna --json"),
    once("release activate", "release activate meeting-v2 --by anna --reason ready"),
    once("release activate another schema", "release activate meeting-v1 --by anna"),
    once("release canary", "release canary meeting-v1 --percent 50 --allow-schema-change --by anna"),
    of_kind(Kind::Settled, "release list with a canary", "release list --json"),
    once("release promote", "release promote --allow-schema-change --by anna"),
    once("release retire the active one", "release retire meeting-v1 --by anna"),
    once("release rollback", "release rollback --by anna"),
    once("release shadow", "release shadow meeting-v1 --by anna"),
    of_kind(Kind::Settled, "release list with a shadow", "release list --json"),
    once("release shadow off", "release shadow --off --by anna"),
    once("release rollback again", "release rollback --by anna"),
    once("release promote without a canary", "release promote --channel nothing --by anna"),
    once("release retire", "release retire meeting-v1 --by anna --reason old"),
    once("release activate a retired one", "release activate meeting-v1 --by anna --allow-schema-change"),
    of_kind(Kind::Settled, "release list", "release list --json"),
    of_kind(Kind::Settled, "release show", "release show meeting-v2 --json"),
    of_kind(Kind::Settled, "release show a retired one", "release show meeting-v1 --json"),
    once("release show of an unknown one", "release show no-such-release --json"),
    // Wrong use.
    once("status of an unknown file", "status {unknown} --json"),
    once("status of no id", "status nothing --json"),
    once("report of an unknown file", "report {unknown}"),
    once("report raw of an unknown file", "report {unknown} --raw"),
    once("jobs show of an unknown job", "jobs show {unknown} --json"),
    once("jobs cancel of an unknown job", "jobs cancel {unknown} --json"),
    once("jobs retry of an unknown job", "jobs retry {unknown} --json"),
    once("jobs retry of nothing", "jobs retry --json"),
    once("jobs retry of an unknown code", "jobs retry --code no_such_code --json"),
    once("jobs retry at a wrong rate", "jobs retry --code llm_refused --rate fast --json"),
    once("jobs list of a wrong status", "jobs list --status done --json"),
    once("jobs list since a wrong time", "jobs list --since yesterday --json"),
    once("rerun of an unknown file", "rerun {unknown} --json"),
    once("rerun of nothing", "rerun --json"),
    once("sweep of young objects", "sweep --older-than 1min --json"),
    once("sweep with flags that exclude each other", "sweep --keys --json"),
    once("replay without a guest", "replay --json"),
    once("guest check of nothing", "guest check {work}/nothing.wasm --json"),
    once("guest try without a transcript", "guest try {dist}/meeting-v2.wasm"),
    once("an unknown command", "launch"),
    once("an unknown flag", "status --loud"),
    once("no command", ""),
    once("version", "--version"),
    once("help", "help"),
    without_variables("an env file that is not there", "--env-file {work}/nothing status"),
    without_variables("submit without variables", "submit {sample:en-memo} --json"),
    without_variables("status without variables", "status --json"),
    without_variables("report without variables", "report {unknown}"),
    without_variables("jobs list without variables", "jobs list --json"),
    without_variables("queue pause without variables", "queue pause"),
    without_variables("release list without variables", "release list --json"),
    without_variables("replay without variables", "replay --guest {dist}/meeting-v2.wasm --json"),
    without_variables("rerun without variables", "rerun {unknown} --json"),
    without_variables("sweep without variables", "sweep --json"),
    without_variables("migrate without variables", "migrate"),
    without_variables("check without variables", "check --json"),
    without_variables("worker without variables", "worker"),
    with(&[("WORKER_LEASE_MS", "long")], "worker with a wrong lease", "worker"),
    with(&[("WORKER_BEAT_MS", "20000"), ("LLM_PROVIDER", "nobody")], "worker with two faults", "worker"),
    with(&[("WORKER_CONCURRENCY", "-1")], "check with a wrong number", "check --json"),
    with(&[("S3_SECRET_ACCESS_KEY", "wrong")], "check with a wrong key", "check --json"),
    with(&[("S3_BUCKET", "no-such-bucket")], "check without a bucket", "check --json"),
    with(&[("LLM_MODEL", "no-such-model")], "check without a model", "check --json"),
    with(&[("GUEST_DIR", "no-such-folder")], "check without guests", "check --json"),
    with(&[("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")], "status without a database", "status --json"),
    with(&[("S3_SECRET_ACCESS_KEY", "wrong")], "submit with a wrong key", "submit {sample:en-memo} --json"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Kind, STEPS, SUBMIT};

    #[test]
    fn no_two_commands_have_the_same_name() {
        // For each sample, its name stands behind that of the command.
        let each = |kind| matches!(kind, Kind::EachSample | Kind::EachDocument);
        let steps = STEPS.iter().chain([&SUBMIT]).filter(|step| step.kind != Kind::Wait);
        let names: Vec<_> = steps.map(|step| (step.name, each(step.kind))).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    }
}
