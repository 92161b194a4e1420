//! Follows the CPU limit of the container while the server runs: Kubernetes changes it in place, and a thread beyond the
//! limit makes every step wait until the kernel lets it run again.

use std::{path::Path, time::Duration};

use realm_engine::engine::ThreadCount;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{metrics::Metrics, threads::threads_under};

/// Time between two looks at the limit.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Keeps `threads` at what the limit below `root` allows, until `ended`.
pub(super) async fn follow(
    root: &Path,
    threads: ThreadCount,
    metrics: Metrics,
    ended: CancellationToken,
) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = ended.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let (now, before) = (threads_under(root), threads.get());
        if now != before {
            tracing::info!(threads = now.get(), before, "the CPU limit has changed");
            threads.set(now);
            metrics.cpu_threads.set(now.get() as i64);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, num::NonZeroUsize};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn threads_follow_the_limit_in_both_directions() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("proc/self/cgroup", "0::/\n");
        write("sys/fs/cgroup/cpu.max", "max 100000\n");
        let all = threads_under(root.path());
        let threads = ThreadCount::new(all);
        let ended = CancellationToken::new();
        let (path, count, end) = (root.path().to_owned(), threads.clone(), ended.clone());
        let task = tokio::spawn(async move { follow(&path, count, Metrics::new(), end).await });
        for (limit, expected) in [("100000 100000\n", NonZeroUsize::MIN), ("max 100000\n", all)] {
            write("sys/fs/cgroup/cpu.max", limit);
            tokio::time::sleep(LOOK_EVERY * 2).await;
            assert_eq!(threads.get(), expected, "{limit}");
        }
        ended.cancel();
        task.await.unwrap();
    }
}
