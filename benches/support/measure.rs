//! What the benchmarks measure themselves with: their options, this process's CPU time and memory. Never judges a figure.
#![allow(dead_code, reason = "each benchmark takes what it needs")]
#![allow(clippy::unwrap_used, reason = "a benchmark stops at the first thing that fails")]

use std::time::Duration;

/// The number behind `--name` on the command line.
pub(crate) fn option(name: &str, default: u64) -> u64 {
    let args: Vec<String> = std::env::args().collect();
    args.iter().position(|a| a == name).and_then(|n| args.get(n + 1)?.parse().ok()).unwrap_or(default)
}

/// User and system time of this process.
pub(crate) fn cpu() -> Duration {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
}

/// A size in this process's `/proc/self/status`, such as `VmRSS` or `VmHWM`, in bytes.
pub(crate) fn memory(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix(field)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}
