//! When to send the next request and how fast to read: back-off, `Retry-After`, the rate limit, the stall watch.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Mutex,
    time::Duration,
};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use jiff::Timestamp;
use tokio::time::Instant;

use super::settings::BackOff;

/// Returns the waits between repetitions: doubling, each with jitter, so that many clients do not come back at once.
pub(super) fn waits(back_off: &BackOff) -> ExponentialBackoff {
    // the hasher's random keys are the seed; no other source of chance is needed for this
    let seed = RandomState::new().hash_one(0_u8);
    ExponentialBuilder::new()
        .with_min_delay(back_off.first)
        .with_max_delay(back_off.most)
        .without_max_times()
        .with_jitter()
        .with_jitter_seed(seed)
        .build()
}

/// Reads a `Retry-After` (RFC 9110 §10.2.3): seconds, or a date; none for anything else.
pub(super) fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let at = http_date(value)?;
    Some(Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO))
}

/// Reads an HTTP date in its preferred form (RFC 9110 §5.6.7).
fn http_date(value: &str) -> Option<Timestamp> {
    let value = value.strip_suffix("GMT").map(|head| format!("{head}+0000"))?;
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value.as_bytes()).ok()
}

/// A token bucket that all downloads of a run share.
#[derive(Debug)]
pub(super) struct Rate {
    per_second: Option<u64>,
    /// When the bucket will have been filled again for all that was taken.
    paid: Mutex<Option<Instant>>,
}

impl Rate {
    pub(super) fn new(per_second: Option<u64>) -> Self {
        Self { per_second: per_second.filter(|n| *n > 0), paid: Mutex::new(None) }
    }

    /// Waits until so many more bytes may be read; a quarter of a second's worth may come at once.
    pub(super) async fn take(&self, bytes: usize) {
        let Some(per_second) = self.per_second else { return };
        #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact to the byte")]
        let cost = Duration::from_secs_f64(bytes as f64 / per_second as f64);
        let until = {
            let now = Instant::now();
            let burst = Duration::from_millis(250);
            let mut paid = self.paid.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let start = paid.map_or(now, |at| at.max(now.checked_sub(burst).unwrap_or(now)));
            *paid.insert(start + cost)
        };
        tokio::time::sleep_until(until).await;
    }
}

/// The least progress within the time that counts as none: what a slow drip stays below.
const LEAST_BYTES: u64 = 1024;

/// Watches that a server makes progress; only the time spent waiting for it counts.
#[derive(Debug)]
pub(super) struct Stall {
    within: Duration,
    waited: Duration,
    bytes: u64,
}

impl Stall {
    pub(super) fn new(within: Duration) -> Self {
        Self { within, waited: Duration::ZERO, bytes: 0 }
    }

    /// Returns how long the next piece may take.
    pub(super) fn patience(&self) -> Duration {
        self.within.saturating_sub(self.waited)
    }

    /// Takes note of a piece and of how long it took; false when that is too slow.
    pub(super) fn note(&mut self, bytes: usize, waited: Duration) -> bool {
        self.bytes += bytes as u64;
        self.waited += waited;
        if self.bytes >= LEAST_BYTES {
            (self.bytes, self.waited) = (0, Duration::ZERO);
        }
        self.waited < self.within
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_bound_and_differ() {
        let back_off =
            BackOff { first: Duration::from_millis(100), most: Duration::from_secs(1), ..BackOff::default() };
        let first: Vec<Duration> = waits(&back_off).take(12).collect();
        assert!(first[0] >= back_off.first && first[0] <= back_off.first * 2, "{first:?}");
        assert!(first[11] >= back_off.most && first[11] <= back_off.most * 2, "{first:?}");
        assert_ne!(first, waits(&back_off).take(12).collect::<Vec<_>>(), "no jitter");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let read = |text| retry_after(text, now);
        assert_eq!(read("120"), Some(Duration::from_mins(2)));
        assert_eq!(read(" 0 "), Some(Duration::ZERO));
        assert_eq!(read("99999999999999999999999"), Some(Duration::from_secs(u64::MAX)));
        assert_eq!(read("Fri, 20 Nov 2026 12:01:30 GMT"), Some(Duration::from_secs(90)));
        assert_eq!(read("Fri, 20 Nov 2026 11:00:00 GMT"), Some(Duration::ZERO));
        for bad in ["", "-1", "1.5", "soon", "2026-11-20"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[tokio::test]
    async fn the_rate_holds_over_many_takers() {
        let rate = Rate::new(Some(10_000));
        let start = Instant::now();
        for _ in 0..16 {
            rate.take(500).await;
        }
        // 8000 bytes at 10,000 a second, less what may come at once
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(540) && took <= Duration::from_millis(1500), "{took:?}");
        let unlimited = Instant::now();
        Rate::new(None).take(usize::MAX).await;
        assert!(unlimited.elapsed() < Duration::from_millis(100));
    }

    #[test]
    fn a_drip_is_a_stall_and_a_stream_is_none() {
        let mut drip = Stall::new(Duration::from_secs(10));
        assert!((0..9).all(|_| drip.note(100, Duration::from_secs(1))));
        assert!(!drip.note(100, Duration::from_secs(1)));
        let mut stream = Stall::new(Duration::from_secs(10));
        assert!((0..1000).all(|_| stream.note(1024, Duration::from_secs(9))));
        assert_eq!(stream.patience(), Duration::from_secs(10));
    }
}
