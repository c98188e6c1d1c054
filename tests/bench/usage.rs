//! What a process uses, as the kernel counts it.

use std::{fs, process::Command};

use anyhow::{Context, anyhow};

/// Seconds of CPU that a process and the threads it had have used, in user and kernel mode.
///
/// # Errors
/// When the process is gone.
pub fn cpu_seconds(process: u32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).context("read the worker's CPU time")?;
    // The name in parentheses may hold anything; fields count from behind it. utime and stime are the 14th and 15th.
    let (_, fields) = stat.rsplit_once(')').ok_or_else(|| anyhow!("/proc/{process}/stat has another form"))?;
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// The most memory that a process has had resident, in megabytes of 10^6 bytes.
///
/// # Errors
/// When the process is gone.
pub fn peak_mb(process: u32) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).context("read the worker's memory")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).context("no VmHWM")?;
    let kib: f64 = line.split_whitespace().nth(1).context("VmHWM without a number")?.parse()?;
    Ok(kib * 1024.0 / 1e6)
}

/// Machine and day, for whoever copies the figures.
pub fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches([' ', '\t', ':']);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let day = Command::new("date")
        .arg("+%Y-%m-%d")
        .output()
        .map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
    format!("{cores} cores of {model}, {}", day.unwrap_or_default())
}
