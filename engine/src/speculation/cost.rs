//! What a step of so many rows takes, learnt from the steps that ran. Pure: measured seconds in, expected seconds out.

/// Largest number of rows of each bucket: kernels change their ways at small powers of two, so small steps get buckets
/// of their own.
const BUCKETS: [usize; 20] =
    [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 256, 512, 8192];
/// What each row beyond the first is expected to add, as a share of a step with one row, before it is measured.
/// Weights are read once whatever the rows, so it is far below 1.
const EXPECTED_SLOPE: f64 = 0.1;
/// What a round of a draft model is expected to take, as a share of a step with one row, before it is measured.
const EXPECTED_ROUND: f64 = 0.2;
/// Weight of a new measure.
const NEWS: f64 = 0.2;
/// A measure above this multiple of what is known counts as this multiple: the machine was busy with something else.
const SURPRISE: f64 = 2.0;
/// Steps after which a bucket that saw none of them is forgotten, so that one bad measure is not believed forever.
const MEMORY_STEPS: u64 = 512;

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    /// Mean rows and seconds of the steps that fell in it.
    rows: f64,
    seconds: f64,
    /// Count of all steps when it last saw one; 0 is never.
    seen: u64,
}

/// Time of a step by its rows.
#[derive(Debug, Clone, Default)]
pub struct StepCosts {
    buckets: [Bucket; BUCKETS.len()],
    steps: u64,
    /// Seconds of a round of the draft model, when one was measured.
    round: Option<f64>,
}

impl StepCosts {
    /// Nothing measured yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that a step of `rows` took `seconds`. Only steps in which every row gives logits are comparable.
    pub fn observe(&mut self, rows: usize, seconds: f64) {
        if rows == 0 || !seconds.is_finite() || seconds <= 0.0 {
            return;
        }
        self.steps += 1;
        let index = BUCKETS.iter().position(|&most| rows <= most).unwrap_or(BUCKETS.len() - 1);
        let steps = self.steps;
        let bucket = &mut self.buckets[index];
        if bucket.is_known(steps) {
            let seconds = seconds.min(bucket.seconds * SURPRISE);
            bucket.rows += NEWS * (rows as f64 - bucket.rows);
            bucket.seconds += NEWS * (seconds - bucket.seconds);
            bucket.seen = steps;
        } else {
            *bucket = Bucket { rows: rows as f64, seconds, seen: steps };
        }
    }

    /// Notes that `rounds` of the draft model took `seconds` together.
    pub fn observe_rounds(&mut self, rounds: usize, seconds: f64) {
        if rounds == 0 || !seconds.is_finite() || seconds <= 0.0 {
            return;
        }
        let seconds = seconds / rounds as f64;
        self.round = Some(match self.round {
            Some(known) => known + NEWS * (seconds.min(known * SURPRISE) - known),
            None => seconds,
        });
    }

    /// Expected seconds of a round of the draft model.
    pub fn round_seconds(&self) -> f64 {
        self.round.unwrap_or_else(|| self.seconds(1) * EXPECTED_ROUND)
    }

    /// Expected seconds of a step of `rows`; a step of one row is 1 while nothing is measured. More rows never take
    /// less.
    pub fn seconds(&self, rows: usize) -> f64 {
        let rows = rows as f64;
        let known = || self.buckets.iter().filter(|bucket| bucket.is_known(self.steps));
        let below = known().rfind(|bucket| bucket.rows <= rows);
        let above = known().find(|bucket| bucket.rows > rows);
        // Fewer rows may have been measured slower, in a busier moment.
        let floor = known()
            .filter(|bucket| bucket.rows <= rows)
            .map(|bucket| bucket.seconds)
            .fold(0.0, f64::max);
        let expected = match (below, above) {
            (None, None) => shape(rows),
            (Some(near), None) | (None, Some(near)) => {
                near.seconds * shape(rows) / shape(near.rows)
            }
            (Some(low), Some(high)) => {
                let share = (rows - low.rows) / (high.rows - low.rows);
                low.seconds + share * (high.seconds - low.seconds)
            }
        };
        expected.max(floor)
    }
}

impl Bucket {
    fn is_known(&self, steps: u64) -> bool {
        self.seen > 0 && steps - self.seen <= MEMORY_STEPS
    }
}

/// The expected form of the cost, up to a factor.
fn shape(rows: f64) -> f64 {
    1.0 + EXPECTED_SLOPE * (rows - 1.0)
}
