//! What one tenant has used of its limits per minute and per day. Pure: the time and the limits come from the caller.
//!
//! An answer's tokens are counted as they come. A request that says its maximum sets that many aside first, and gives back at
//! its end what it did not use; of one that does not say, nothing is known, so it only needs a bucket that is not empty.

use std::time::Duration;

use jiff::Timestamp;
use realm_crds::engine_config::LimitsEntry;

use super::{
    bucket::Bucket,
    day::{Day, DayNumber},
    exceeded::{Exceeded, Limit},
};

/// What a tenant has used.
#[derive(Debug, Default)]
pub struct Quota {
    requests: Bucket,
    input: Bucket,
    output: Bucket,
    day: Day,
}

/// Tokens that were set aside for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserved {
    /// How many are left of them.
    pub tokens: u64,
    /// Whose day's they are.
    pub day: DayNumber,
}

/// What a limit allows, and what is left of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The limit.
    pub limit: u64,
    /// What is left now.
    pub left: u64,
    /// Time until all of it is there again.
    pub reset: Duration,
}

impl Quota {
    /// Counts a request, or says why not.
    pub fn request(&mut self, limits: &LimitsEntry, now: Timestamp) -> Result<(), Exceeded> {
        let Some(limit) = limits.requests_per_minute else { return Ok(()) };
        self.requests.flow(limit, now);
        grant(&self.requests, Limit::RequestsPerMinute, limit, 1)?;
        self.requests.take(1);
        Ok(())
    }

    /// Counts a prompt and sets `answer` tokens aside (0 when the request does not say), or says why not and counts
    /// nothing.
    pub fn prompt(
        &mut self,
        limits: &LimitsEntry,
        now: Timestamp,
        prompt: u64,
        answer: u64,
    ) -> Result<Reserved, Exceeded> {
        self.flow(limits, now);
        if let Some(limit) = limits.input_tokens_per_minute {
            grant(&self.input, Limit::InputTokensPerMinute, limit, prompt)?;
        }
        let mut reserved = answer;
        if let Some(limit) = limits.output_tokens_per_minute {
            reserved = reserved.min(u64::from(limit));
            grant(&self.output, Limit::OutputTokensPerMinute, limit, reserved.max(1))?;
        }
        if let Some(limit) = limits.tokens_per_day {
            reserved = reserved.min(limit.saturating_sub(prompt));
            self.grant_day(limit, now, prompt + reserved.max(1))?;
        }
        self.input.take(prompt);
        self.day.take(prompt);
        self.use_output(reserved);
        Ok(Reserved { tokens: reserved, day: DayNumber::of(now) })
    }

    /// Counts tokens that an agent reads beside its request's prompt, or says why not and counts nothing.
    pub fn read(
        &mut self,
        limits: &LimitsEntry,
        now: Timestamp,
        tokens: u64,
    ) -> Result<(), Exceeded> {
        self.flow(limits, now);
        if let Some(limit) = limits.input_tokens_per_minute {
            grant(&self.input, Limit::InputTokensPerMinute, limit, tokens)?;
        }
        if let Some(limit) = limits.tokens_per_day {
            self.grant_day(limit, now, tokens)?;
        }
        self.input.take(tokens);
        self.day.take(tokens);
        Ok(())
    }

    /// Whether anything is left for more of an answer: of what was set aside for it, or at all.
    pub fn more(
        &mut self,
        limits: &LimitsEntry,
        now: Timestamp,
        reserved: Reserved,
    ) -> Result<(), Exceeded> {
        if reserved.tokens > 0 {
            return Ok(());
        }
        self.flow(limits, now);
        if let Some(limit) = limits.output_tokens_per_minute {
            grant(&self.output, Limit::OutputTokensPerMinute, limit, 1)?;
        }
        limits.tokens_per_day.map_or(Ok(()), |limit| self.grant_day(limit, now, 1))
    }

    /// Counts tokens of an answer: those set aside first.
    pub fn spend(
        &mut self,
        limits: &LimitsEntry,
        now: Timestamp,
        reserved: &mut Reserved,
        tokens: u64,
    ) {
        let known = tokens.min(reserved.tokens);
        reserved.tokens -= known;
        self.flow(limits, now);
        self.use_output(tokens - known);
    }

    /// Gives back what an answer did not use of what was set aside for it.
    pub fn settle(&mut self, limits: &LimitsEntry, now: Timestamp, reserved: Reserved) {
        self.flow(limits, now);
        self.output.give(reserved.tokens);
        self.day.give(reserved.day, reserved.tokens);
    }

    /// Gives back a prompt that was never computed.
    pub fn forget_prompt(
        &mut self,
        limits: &LimitsEntry,
        now: Timestamp,
        day: DayNumber,
        prompt: u64,
    ) {
        self.flow(limits, now);
        self.input.give(prompt);
        self.day.give(day, prompt);
    }

    /// How the limit of requests stands, when there is one.
    pub fn requests(&mut self, limits: &LimitsEntry, now: Timestamp) -> Option<Standing> {
        let limit = limits.requests_per_minute?;
        self.requests.flow(limit, now);
        Some(standing(&self.requests, limit))
    }

    /// How the limit of tokens stands of which least is left.
    pub fn tokens(&mut self, limits: &LimitsEntry, now: Timestamp) -> Option<Standing> {
        self.flow(limits, now);
        let input = limits.input_tokens_per_minute.map(|limit| standing(&self.input, limit));
        let output = limits.output_tokens_per_minute.map(|limit| standing(&self.output, limit));
        let day = limits.tokens_per_day.map(|limit| Standing {
            limit,
            left: self.day.left(limit),
            reset: Day::reset(now),
        });
        [input, output, day].into_iter().flatten().min_by_key(|standing| standing.left)
    }

    fn flow(&mut self, limits: &LimitsEntry, now: Timestamp) {
        flow(&mut self.input, limits.input_tokens_per_minute, now);
        flow(&mut self.output, limits.output_tokens_per_minute, now);
        self.day.flow(now);
    }

    fn use_output(&mut self, tokens: u64) {
        self.output.take(tokens);
        self.day.take(tokens);
    }

    fn grant_day(&self, limit: u64, now: Timestamp, wanted: u64) -> Result<(), Exceeded> {
        let left = self.day.left(limit);
        if wanted <= left {
            return Ok(());
        }
        let retry = (wanted <= limit).then(|| Day::reset(now));
        Err(Exceeded { limit: Limit::TokensPerDay, allowed: limit, wanted, left, retry })
    }
}

/// What has no limit is not kept: a limit that comes later begins with a full bucket.
fn flow(bucket: &mut Bucket, limit: Option<u32>, now: Timestamp) {
    match limit {
        Some(limit) => bucket.flow(limit, now),
        None => *bucket = Bucket::default(),
    }
}

fn grant(bucket: &Bucket, name: Limit, limit: u32, wanted: u64) -> Result<(), Exceeded> {
    let left = bucket.left(limit);
    if wanted <= left {
        return Ok(());
    }
    let fits = wanted <= u64::from(limit);
    let retry = fits.then(|| bucket.wait(limit, wanted));
    Err(Exceeded { limit: name, allowed: limit.into(), wanted, left, retry })
}

fn standing(bucket: &Bucket, limit: u32) -> Standing {
    Standing { limit: limit.into(), left: bucket.left(limit), reset: bucket.reset(limit) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: LimitsEntry = LimitsEntry::NONE;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_763_985_600 + seconds).unwrap()
    }

    fn refusal(result: Result<Reserved, Exceeded>) -> (Limit, Option<u64>) {
        let exceeded = result.unwrap_err();
        (exceeded.limit, exceeded.retry.map(|wait| wait.as_secs()))
    }

    #[test]
    fn requests_of_a_minute() {
        let limits = LimitsEntry { requests_per_minute: Some(2), ..NONE };
        let mut quota = Quota::default();
        assert_eq!(quota.request(&limits, at(0)), Ok(()));
        assert_eq!(quota.request(&limits, at(0)), Ok(()));
        let refused = quota.request(&limits, at(1)).unwrap_err();
        assert_eq!(refused.retry, Some(Duration::from_secs(29)));
        let standing = quota.requests(&limits, at(1)).unwrap();
        assert_eq!((standing.limit, standing.left, standing.reset.as_secs()), (2, 0, 59));
        assert_eq!(quota.request(&limits, at(30)), Ok(()));
        assert_eq!(quota.request(&NONE, at(30)), Ok(()));
    }

    #[test]
    fn a_refused_prompt_counts_nothing() {
        let limits = LimitsEntry {
            input_tokens_per_minute: Some(100),
            output_tokens_per_minute: Some(60),
            tokens_per_day: Some(1000),
            ..NONE
        };
        let mut quota = Quota::default();
        quota.prompt(&limits, at(0), 10, 60).unwrap();
        let refused = refusal(quota.prompt(&limits, at(0), 80, 30));
        assert_eq!(refused, (Limit::OutputTokensPerMinute, Some(30)));
        assert!(quota.prompt(&limits, at(30), 90, 30).is_ok(), "the 80 were not counted");
        let large = refusal(quota.prompt(&limits, at(30), 101, 1));
        assert_eq!(large, (Limit::InputTokensPerMinute, None), "no time helps");
    }

    #[test]
    fn what_is_set_aside_and_not_used_comes_back() {
        let limits =
            LimitsEntry { output_tokens_per_minute: Some(60), tokens_per_day: Some(200), ..NONE };
        let mut quota = Quota::default();
        let mut reserved = quota.prompt(&limits, at(0), 10, 500).unwrap();
        assert_eq!(reserved.tokens, 60, "no more than the bucket holds");
        quota.spend(&limits, at(0), &mut reserved, 20);
        quota.settle(&limits, at(0), reserved);
        let left = quota.tokens(&limits, at(0)).unwrap();
        assert_eq!((left.limit, left.left), (60, 40));
        let mut silent = quota.prompt(&limits, at(0), 10, 0).unwrap();
        quota.spend(&limits, at(0), &mut silent, 70);
        quota.settle(&limits, at(0), silent);
        let refused = refusal(quota.prompt(&limits, at(0), 1, 0));
        assert_eq!(refused, (Limit::OutputTokensPerMinute, Some(31)), "a debt of 30 and the one");
        assert_eq!(quota.day.left(200), 200 - 10 - 20 - 10 - 70);
    }

    #[test]
    fn an_agent_reads_and_goes_on_while_anything_is_left() {
        let limits = LimitsEntry {
            input_tokens_per_minute: Some(100),
            output_tokens_per_minute: Some(60),
            ..NONE
        };
        let mut quota = Quota::default();
        let mut asked = quota.prompt(&limits, at(0), 40, 60).unwrap();
        assert_eq!(quota.read(&limits, at(0), 60), Ok(()));
        let refused = quota.read(&limits, at(0), 1).unwrap_err();
        assert_eq!((refused.limit, refused.left), (Limit::InputTokensPerMinute, 0));
        assert_eq!(quota.more(&limits, at(0), asked), Ok(()), "60 are set aside");
        quota.spend(&limits, at(0), &mut asked, 60);
        let refused = quota.more(&limits, at(0), asked).unwrap_err();
        assert_eq!(refused.limit, Limit::OutputTokensPerMinute);
        assert_eq!(quota.more(&limits, at(1), asked), Ok(()), "a second gives one back");
        let day = LimitsEntry { tokens_per_day: Some(100), ..NONE };
        let silent = quota.prompt(&day, at(90), 9, 0);
        assert_eq!(refusal(silent).0, Limit::TokensPerDay, "160 are used");
    }

    #[test]
    fn a_day_ends_the_refusal() {
        let limits = LimitsEntry { tokens_per_day: Some(100), ..NONE };
        let mut quota = Quota::default();
        quota.prompt(&limits, at(0), 60, 30).unwrap();
        let (limit, retry) = refusal(quota.prompt(&limits, at(60), 20, 0));
        assert_eq!(limit, Limit::TokensPerDay);
        let wait = i64::try_from(retry.unwrap()).unwrap();
        assert!(quota.prompt(&limits, at(60 + wait), 20, 0).is_ok());
        assert_eq!(refusal(quota.prompt(&limits, at(60 + wait), 100, 0)).1, None, "never fits");
    }
}
