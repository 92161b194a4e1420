//! Edges of the histograms. Each set covers a small model on a fast CPU and a large one on a slow CPU.

use prometheus_client::metrics::histogram::Histogram;

/// Seconds of a whole request, a wait or a first token. The 0.2 edge is the objective for the first token.
const REQUEST_SECONDS: [f64; 15] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];
/// Seconds of one token or one step; the low edges tell models above 100 tokens a second apart.
const TOKEN_SECONDS: [f64; 13] =
    [0.001, 0.0025, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.5];
/// Tokens of a step.
const TOKENS: [f64; 12] =
    [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0];

pub(super) fn request_seconds() -> Histogram {
    Histogram::new(REQUEST_SECONDS)
}

pub(super) fn token_seconds() -> Histogram {
    Histogram::new(TOKEN_SECONDS)
}

pub(super) fn tokens() -> Histogram {
    Histogram::new(TOKENS)
}
