//! What was measured, as lines of a table that docs/performance.md can take as they are.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

/// What one run of a command cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub wall: Duration,
    /// Of user and system together; none where it is not known.
    pub cpu: Option<Duration>,
    /// The peak resident set, in MiB; none where it is not known.
    pub peak: Option<u64>,
}

/// Measures work in this process, of which only the time is known.
pub fn timed(work: impl FnOnce()) -> Cost {
    let began = Instant::now();
    work();
    Cost { wall: began.elapsed(), cpu: None, peak: None }
}

/// Returns what the median run cost, each number by itself.
pub fn median(costs: &[Cost]) -> Cost {
    fn middle<T: Ord + Copy>(values: impl Iterator<Item = T>) -> Option<T> {
        let mut values: Vec<T> = values.collect();
        values.sort_unstable();
        values.get(values.len() / 2).copied()
    }
    Cost {
        wall: middle(costs.iter().map(|c| c.wall)).expect("a run"),
        cpu: middle(costs.iter().filter_map(|c| c.cpu)),
        peak: middle(costs.iter().filter_map(|c| c.peak)),
    }
}

/// Prints what the columns are.
pub fn head() {
    println!("| work | time | rate | beside | ratio | CPU | memory | bound | |");
    println!("|---|---|---|---|---|---|---|---|---|");
}

/// A line of the table, and what must be true of it.
pub struct Row {
    work: String,
    cost: Cost,
    bytes: Option<u64>,
    beside: Option<(String, Cost)>,
    bounds: Vec<String>,
    kept: Option<bool>,
}

impl Row {
    /// Begins with what was done and what it cost.
    pub fn new(work: impl Into<String>, cost: Cost) -> Self {
        Self { work: cell(&work.into()), cost, bytes: None, beside: None, bounds: Vec::new(), kept: None }
    }

    /// Says how many bytes went through it.
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// Says what was measured beside it.
    pub fn beside(mut self, name: &str, other: Cost) -> Self {
        self.beside = Some((cell(name), other));
        self
    }

    /// Says how long it may take.
    pub fn within(self, limit: Duration, bound: &str) -> Self {
        let kept = self.cost.wall <= limit;
        self.judged(Some(kept), bound.into())
    }

    /// Says how much of a processor it may take.
    pub fn cpu_within(self, limit: Duration, bound: &str) -> Self {
        let kept = self.cost.cpu.map(|cpu| cpu <= limit);
        self.judged(kept, bound.into())
    }

    /// Says how much memory it may take, in MiB.
    pub fn memory(self, limit: u64) -> Self {
        let kept = self.cost.peak.map(|peak| peak <= limit);
        self.judged(kept, format!("{limit} MiB"))
    }

    /// Says how many gigabytes a second must go through it.
    pub fn at_least(self, rate: f64) -> Self {
        let kept = self.rate().map(|found| found > rate);
        self.judged(kept, format!("> {rate:.0} GB/s"))
    }

    fn judged(mut self, kept: Option<bool>, bound: String) -> Self {
        self.bounds.push(bound);
        self.kept = match (self.kept, kept) {
            (Some(a), Some(b)) => Some(a && b),
            (a, b) => a.or(b),
        };
        self
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    fn rate(&self) -> Option<f64> {
        self.bytes.map(|bytes| bytes as f64 / self.cost.wall.as_secs_f64() / 1e9)
    }

    /// Prints it.
    pub fn print(self) {
        let mut line = format!("| {} | {} |", self.work, seconds(self.cost.wall));
        write!(line, " {} |", self.rate().map(|rate| format!("{rate:.2} GB/s")).unwrap_or_default()).unwrap();
        match &self.beside {
            Some((name, other)) => {
                let ratio = self.cost.wall.as_secs_f64() / other.wall.as_secs_f64();
                write!(line, " `{name}` {} | {ratio:.2} |", seconds(other.wall)).unwrap();
            }
            None => line.push_str(" | |"),
        }
        write!(line, " {} |", self.cost.cpu.map(seconds).unwrap_or_default()).unwrap();
        write!(line, " {} |", self.cost.peak.map(|mib| format!("{mib} MiB")).unwrap_or_default()).unwrap();
        let verdict = match self.kept {
            Some(true) => "kept",
            Some(false) => "**falls short**",
            None => "",
        };
        println!("{line} {} | {verdict} |", self.bounds.join("; "));
    }
}

/// Writes text so that it stays in its column.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn seconds(d: Duration) -> String {
    let s = d.as_secs_f64();
    if s < 0.1 { format!("{s:.3} s") } else { format!("{s:.2} s") }
}
