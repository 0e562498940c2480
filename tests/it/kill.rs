//! kill -9 of the real binary, at named places and at seeded times: nothing lost, nothing doubled, the same rows late.

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use crate::support::{Scratch, Variant, checkout, full};

/// Places in the life of a checkpoint, a commit and a restart, one for each group.
const PLACES: [&str; 24] = [
    "barrier.inject",
    "barrier.align.last",
    "snapshot.capture",
    "snapshot.upload.begin",
    "snapshot.upload.mid",
    "snapshot.upload.end",
    "snapshot.ack",
    "file.write.mid",
    "file.prepare.done",
    "sink.prepared",
    "manifest.before",
    "manifest.published",
    "file.publish.before",
    "file.publish.mid",
    "file.publish.after",
    "file.marker.before",
    "file.marker.after",
    "confirm.before",
    "confirm.after",
    "gc.marked",
    "gc.delete.mid",
    "gc.done",
    "restore.claimed",
    "restore.sink.fenced",
];

fn late_flights() -> PathBuf {
    checkout().join("queries/late_flights.sql")
}

fn quick() -> Variant {
    Variant { every_rows: Some(700), parallelism: Some(2), ..Variant::default() }
}

/// Runs the main job with a kill at the given visit of a place, then once more without; true if the kill happened.
fn kill_and_resume(place: &str, visit: usize, twice: bool) -> bool {
    let undisturbed = Scratch::new();
    undisturbed.run_well(&late_flights(), &quick());
    let expected = undisturbed.published();
    assert_eq!((expected["departures"].len(), expected["late_flights"].len()), (373, 194));

    let scratch = Scratch::new();
    let killing = Variant { failpoint: Some(format!("{place}:{visit}")), ..quick() };
    let killed = !scratch.run(&late_flights(), &killing).status.success();
    if twice && killed {
        let second = Variant { failpoint: Some("restore.sink.fenced:1".to_owned()), ..quick() };
        scratch.run(&late_flights(), &second);
    }
    let last = scratch.run_well(&late_flights(), &quick());
    assert_eq!(scratch.published(), expected, "killed at {place}:{visit}");
    let said = String::from_utf8_lossy(&last.stderr);
    if said.contains("resumed job") {
        // The figures are those of all runs together: every row once.
        for figure in ["373 rows", "6,064 in", "late 194"] {
            assert!(said.contains(figure), "killed at {place}:{visit}: no `{figure}` in\n{said}");
        }
    }
    killed
}

#[test]
fn kills_at_named_places_lose_and_double_nothing() {
    let chosen = [
        ("barrier.align.last", 3, false),
        ("snapshot.upload.mid", 2, false),
        ("sink.prepared", 4, true),
        ("manifest.before", 2, false),
        ("manifest.published", 2, true),
        ("file.publish.before", 3, false),
        ("file.publish.mid", 1, false),
        ("file.publish.after", 2, false),
        ("file.marker.before", 1, false),
        ("file.marker.after", 2, false),
        ("confirm.before", 1, false),
    ];
    let killed = chosen.iter().filter(|(place, visit, twice)| kill_and_resume(place, *visit, *twice)).count();
    assert!(killed >= 10, "only {killed} of {} places were met", chosen.len());
}

#[test]
fn full_a_hundred_kills() {
    if !full() {
        return;
    }
    let mut kills = 0;
    for (number, place) in PLACES.iter().cycle().take(PLACES.len() * 4).enumerate() {
        kills += usize::from(kill_and_resume(place, 1 + number / PLACES.len() * 2, number % 3 == 0));
    }
    kills += timed_kills(30.max(100_usize.saturating_sub(kills)), 7);
    assert!(kills >= 100, "only {kills} kills happened");
}

#[test]
fn timed_kills_of_a_year_of_flights() {
    timed_kills(2, 1);
}

/// Kills a run over the year of flights after seeded times until it ends by itself; returns how often. Each round
/// starts anew, and the rounds of one call share one undisturbed answer.
fn timed_kills(wanted: usize, seed: u64) -> usize {
    let year = Scratch::new();
    let query = year_query(&year);
    year.run_well(&query, &Variant::default());
    let expected = year.published();
    let mut random = seed;
    let mut kills = 0;
    while kills < wanted {
        let scratch = Scratch::new();
        let query = year_query(&scratch);
        loop {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let wait = Duration::from_millis(150 + (random >> 33) % 900);
            let mut child = scratch
                .command(&Variant { every_rows: Some(20_000), ..Variant::default() })
                .arg(&query)
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .spawn()
                .expect("the program starts");
            if let Some(status) = wait_at_most(&mut child, wait) {
                assert!(status.success(), "the year of flights ended with {status}");
                break;
            }
            child.kill().expect("a running process can be killed");
            child.wait().expect("a killed process ends");
            kills += 1;
            if kills >= wanted {
                scratch.run_well(&query, &Variant::default());
                break;
            }
        }
        assert_eq!(scratch.published(), expected, "after {kills} kills, seed {seed}");
    }
    kills
}

/// Waits for a process; `None` when it still runs after `time`.
fn wait_at_most(child: &mut std::process::Child, time: Duration) -> Option<std::process::ExitStatus> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let end = tokio::time::timeout(time, async {
            loop {
                if let Some(status) = child.try_wait().expect("a child can be asked") {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        end.await.ok()
    })
}

/// The main job over the whole year, in a scratch directory.
fn year_query(scratch: &Scratch) -> PathBuf {
    let packed = std::fs::File::open(checkout().join("tests/data/flights_2013.csv.gz")).expect("the year of flights");
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(packed).read_to_end(&mut text).expect("a gzip file");
    std::fs::write(scratch.path().join("flights_2013.csv"), text).expect("room for the year");
    let query = std::fs::read_to_string(late_flights()).expect("the main job");
    let query = query
        .replace("queries/data/flights_week1.csv", "flights_2013.csv")
        .replace("'execution.checkpointing.interval' = '1 s'", "'execution.checkpointing.interval' = '100 ms'");
    let path = scratch.path().join("year_of_flights.sql");
    std::fs::write(&path, query).expect("room for the query");
    path
}
