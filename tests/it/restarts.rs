//! A job that the outside world fails again and again: how its restarts are told, and how a stop ends them.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use beadline::connectors::SinkMode;
use beadline::connectors::memory::MemorySink;
use beadline::runtime::{Backoff, JobConfig, Notice, RestartStrategy};
use beadline::storage::{FakeStore, Fault};

use crate::contracts::{config, kept_back};
use crate::simulated::{runtime, soon, world};

/// A disk that stays full: the delays grow, and a stop makes a few attempts more at once and then ends with the reason.
#[test]
fn a_stop_ends_a_job_that_would_be_restarted_for_ever() {
    let store = FakeStore::new();
    let restarts = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&restarts);
    let config = JobConfig {
        checkpoint_interval: Some(Duration::from_millis(60)),
        restart: RestartStrategy::ExponentialDelay(Backoff { jitter: 0.0, ..Backoff::default() }),
        ..config(1)
    };
    let error = runtime().block_on(soon(async {
        let notices = Arc::new(move |notice| {
            if let Notice::Warning(text) = notice {
                told.lock().expect("nobody panics").push(text);
            }
        });
        let plan = kept_back(1_000_000, &MemorySink::new(SinkMode::Append));
        let job = beadline::runtime::start(plan, config, world(&store, false), notices);
        job.checkpoint().await.expect("the disk has room");
        let full = store.operations();
        (full..full + 10_000).for_each(|operation| store.plant(operation, Fault::Fail));
        while job.restarts().count < 3 {
            let _ = tokio::time::timeout(Duration::from_millis(10), pending::<()>()).await;
        }
        let waiting = job.restarts();
        assert!(waiting.next_start.is_some() && waiting.last_cause.is_some(), "{waiting:?}");
        job.stop().await;
        job.wait().await.expect_err("it could not take its checkpoint")
    }));
    assert!(error.is_retryable(), "{error}");
    let restarts = restarts.lock().expect("nobody panics");
    let delays = ["1.0 s (for the 1. time)", "1.5 s (for the 2. time)", "2.2 s (for the 3. time)"];
    assert_eq!(restarts.len(), delays.len() + 9, "{restarts:#?}");
    for (text, delay) in restarts.iter().zip(delays) {
        assert!(text.starts_with(&format!("job contract restarts in {delay} after: ")), "{text}");
    }
}
