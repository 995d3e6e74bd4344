//! How long something took, many times over: counted, added up, and spread over a histogram.

use std::ops::AddAssign;
use std::time::Duration;

use hdrhistogram::Histogram;

/// A duration as nanoseconds; 584 years at most.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Times in nanoseconds. The sum is exact, the quantiles are so to three digits and up to a minute.
#[derive(Clone)]
pub(crate) struct Times {
    histogram: Histogram<u64>,
    sum: u64,
}

impl Times {
    pub(crate) fn new() -> Times {
        let minute = 60_000_000_000;
        let histogram = Histogram::new_with_bounds(1, minute, 3);
        Times {
            histogram: histogram.expect("bounds and digits are valid"),
            sum: 0,
        }
    }

    pub(crate) fn record(&mut self, time: Duration) {
        let time = nanos(time);
        self.histogram.saturating_record(time);
        self.sum = self.sum.saturating_add(time);
    }

    pub(crate) fn count(&self) -> u64 {
        self.histogram.len()
    }

    pub(crate) fn sum(&self) -> u64 {
        self.sum
    }

    /// 0 where nothing was recorded, as are the quantiles.
    pub(crate) fn average(&self) -> u64 {
        self.sum / self.count().max(1)
    }

    pub(crate) fn quantile(&self, quantile: f64) -> u64 {
        self.histogram.value_at_quantile(quantile)
    }

    pub(crate) fn max(&self) -> u64 {
        self.histogram.max()
    }

    /// What was recorded after `earlier`, which is an older copy of these times.
    pub(crate) fn since(&self, earlier: &Times) -> Times {
        let mut recent = self.clone();
        // Counts only grow, so an older copy never has more.
        let _ = recent.histogram.subtract(&earlier.histogram);
        recent.sum = recent.sum.saturating_sub(earlier.sum);
        recent
    }
}

impl AddAssign<&Times> for Times {
    fn add_assign(&mut self, other: &Times) {
        self.histogram += &other.histogram;
        self.sum = self.sum.saturating_add(other.sum);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Times;

    #[test]
    fn times_are_counted_added_up_and_spread() {
        let mut times = Times::new();
        assert_eq!((times.count(), times.average(), times.quantile(0.5)), (0, 0, 0));
        for millis in 1..=100 {
            times.record(Duration::from_millis(millis));
        }
        let earlier = times.clone();
        times.record(Duration::from_secs(3600));
        let near = |time: u64, millis: u64| time.abs_diff(millis * 1_000_000) <= millis * 1000;
        assert!(near(earlier.quantile(0.5), 50) && near(earlier.quantile(0.99), 99));
        assert!(near(earlier.max(), 100));
        assert_eq!((earlier.count(), earlier.sum()), (100, 5_050_000_000));

        // What is beyond the histogram is in the sum all the same.
        let recent = times.since(&earlier);
        assert_eq!((recent.count(), recent.average()), (1, 3_600_000_000_000));
        assert!(near(recent.quantile(0.5), 60_000));

        let mut both = earlier;
        both += &recent;
        assert_eq!((both.count(), both.sum()), (times.count(), times.sum()));
    }
}
