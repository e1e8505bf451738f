//! What a process has used, from `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use super::Fault;

/// A clock tick of `/proc/PID/stat`: Linux shows hundredths of a second on every architecture.
const TICK: Duration = Duration::from_millis(10);

/// CPU time of some processes at one moment.
pub(super) struct Cpu {
    /// Nanoseconds of each thread that lives.
    threads: BTreeMap<(u32, u32), u64>,
    /// The same for the processes as a whole, dead threads included, but coarse.
    ticks: u64,
}

impl Cpu {
    /// Reads it.
    ///
    /// # Errors
    /// A process has ended.
    pub(super) fn of(pids: &[u32]) -> Result<Self, Fault> {
        let mut cpu = Self { threads: BTreeMap::new(), ticks: 0 };
        for &pid in pids {
            cpu.ticks += ticks(pid)?;
            let tasks = format!("/proc/{pid}/task");
            let entries = fs::read_dir(&tasks).map_err(|e| format!("{tasks}: {e}"))?;
            for entry in entries.flatten() {
                let Ok(tid) = entry.file_name().to_string_lossy().parse() else { continue };
                // A thread may end between the two reads; `since` notices that it is gone.
                let Ok(text) = fs::read_to_string(entry.path().join("schedstat")) else { continue };
                let ran = text.split_ascii_whitespace().next().and_then(|ns| ns.parse().ok());
                cpu.threads.insert((pid, tid), ran.unwrap_or(0));
            }
        }
        Ok(cpu)
    }

    /// CPU time between two moments. Where a thread ended in between, its nanoseconds are lost,
    /// and the coarse clock is used.
    pub(super) fn since(&self, before: &Self) -> Duration {
        let lost = before.threads.keys().any(|id| !self.threads.contains_key(id));
        let fine: u64 = self
            .threads
            .iter()
            .map(|(id, ns)| ns.saturating_sub(before.threads.get(id).copied().unwrap_or(0)))
            .sum();
        if lost || fine == 0 {
            let ticks = self.ticks.saturating_sub(before.ticks);
            return TICK * u32::try_from(ticks).unwrap_or(u32::MAX);
        }
        Duration::from_nanos(fine)
    }
}

/// User and system time of a process, in ticks.
fn ticks(pid: u32) -> Result<u64, Fault> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
    // The name in parentheses may hold anything; fields are counted after it (state is the first).
    let fields = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut next = || fields.next().and_then(|field| field.parse::<u64>().ok());
    match (next(), next()) {
        (Some(user), Some(system)) => Ok(user + system),
        _ => Err(format!("{path} has an unknown form")),
    }
}

/// Memory in use (resident set) of some processes together, in bytes.
///
/// # Errors
/// A process has ended.
pub(super) fn rss_bytes(pids: &[u32]) -> Result<u64, Fault> {
    let mut sum = 0;
    for pid in pids {
        let path = format!("/proc/{pid}/status");
        let text = fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse::<u64>().ok());
        sum += kib.ok_or_else(|| format!("{path} shows no VmRSS"))? * 1024;
    }
    Ok(sum)
}

/// A process and those that it started.
pub(super) fn family(pid: u32) -> Vec<u32> {
    let mut family = vec![pid];
    let Ok(entries) = fs::read_dir("/proc") else { return family };
    for entry in entries.flatten() {
        let Ok(child) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(text) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let fields = text.rsplit_once(')').map_or("", |(_, rest)| rest);
        let parent = fields.split_ascii_whitespace().nth(1).and_then(|field| field.parse().ok());
        if parent == Some(pid) {
            family.push(child);
        }
    }
    family
}
