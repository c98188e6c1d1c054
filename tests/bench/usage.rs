//! What a process uses, as the kernel counts it.

use std::fs;

use anyhow::{Context, anyhow};

/// Fields of `/proc/PID/stat`, counted from the first behind the name, which is the process's state.
const PARENT: usize = 1;
const USER_TICKS: usize = 11;
const CHILDREN_USER_TICKS: usize = 13;

/// Returns seconds of CPU that a process and the threads it had have used, in user and kernel mode.
///
/// # Errors
/// When the process is gone.
pub fn cpu_seconds(process: u32) -> anyhow::Result<f64> {
    seconds(&stat(process)?, USER_TICKS)
}

/// Returns seconds of CPU that a process and its children have used, those included that have ended.
///
/// # Errors
/// When the process is gone.
pub fn cpu_seconds_of_children(process: u32) -> anyhow::Result<f64> {
    let fields = stat(process)?;
    let mut total = seconds(&fields, USER_TICKS)? + seconds(&fields, CHILDREN_USER_TICKS)?;
    for entry in fs::read_dir("/proc")? {
        let Some(child) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process that ends meanwhile is no child any more.
        let Ok(fields) = stat(child) else { continue };
        if number(&fields, PARENT)? == u64::from(process) {
            total += seconds(&fields, USER_TICKS)?;
        }
    }
    Ok(total)
}

/// Returns the parent of a process.
///
/// # Errors
/// When the process is gone.
pub fn parent(process: u32) -> anyhow::Result<u32> {
    Ok(u32::try_from(number(&stat(process)?, PARENT)?)?)
}

fn stat(process: u32) -> anyhow::Result<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).context("read a process's CPU time")?;
    // The name in parentheses may hold anything; fields count from behind it.
    let (_, fields) = stat.rsplit_once(')').ok_or_else(|| anyhow!("/proc/{process}/stat has another form"))?;
    Ok(fields.split_whitespace().map(str::to_owned).collect())
}

fn number(fields: &[String], at: usize) -> anyhow::Result<u64> {
    Ok(fields.get(at).context("a field of /proc is missing")?.parse()?)
}

/// User time and the kernel time behind it.
fn seconds(fields: &[String], at: usize) -> anyhow::Result<f64> {
    let ticks = number(fields, at)? + number(fields, at + 1)?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Returns the most memory that a process has had resident, in megabytes of 10^6 bytes.
///
/// # Errors
/// When the process is gone.
pub fn peak_mb(process: u32) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).context("read the worker's memory")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).context("no VmHWM")?;
    let kib: f64 = line.split_whitespace().nth(1).context("VmHWM without a number")?.parse()?;
    Ok(kib * 1024.0 / 1e6)
}
