//! What a process has cost so far, as Linux counts it.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// The processor time of all threads that a process has and had.
pub(crate) fn cpu(pid: u32) -> Result<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(pid)?))?;
    Ok(clock_gettime(clock)?.into())
}

/// The most memory that it has had, in bytes.
pub(crate) fn peak_memory(pid: u32) -> Result<u64> {
    bytes(&format!("/proc/{pid}/status"), "VmHWM:")
}

/// The memory that it has now, in bytes.
pub(crate) fn memory(pid: u32) -> Result<u64> {
    bytes(&format!("/proc/{pid}/status"), "VmRSS:")
}

/// The same, with what it shares with other processes divided among them.
pub(crate) fn proportional_memory(pid: u32) -> Result<u64> {
    bytes(&format!("/proc/{pid}/smaps_rollup"), "Pss:")
}

/// A line of a file that counts kilobytes.
fn bytes(file: &str, name: &str) -> Result<u64> {
    let text = fs::read_to_string(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name} in {file}"))?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

/// A process and those that it has started.
pub(crate) fn family(pid: u32) -> Result<Vec<u32>> {
    let mut family = vec![pid];
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let children = fs::read_to_string(thread?.path().join("children"))?;
        for child in children.split_whitespace() {
            family.push(child.parse()?);
        }
    }
    Ok(family)
}
