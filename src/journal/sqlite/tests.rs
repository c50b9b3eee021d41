//! What only this backend has: its log.

use std::time::Duration;

use hyper::body::Bytes;

use super::super::{EventFilter, Journal, NewEvent, Options};
use super::open::log_length;
use crate::clock::Clock;
use crate::event::Event;
use crate::rules::Decision;

async fn open(file: &std::path::Path) -> Journal {
    let options =
        Options { url: format!("sqlite:{}", file.display()), keep: Duration::from_secs(86_400) };
    Journal::open(&options, Clock::system()).await.unwrap()
}

#[tokio::test]
async fn a_large_log_that_a_kill_left_is_moved_into_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let (file, copy) = (folder.path().join("journal.db"), folder.path().join("copy.db"));
    let journal = open(&file).await;
    let body = Bytes::from(format!("\"{}\"", "x".repeat(1024 * 1024)));
    for i in 0..65 {
        let event = Event {
            source: "replicer".into(),
            id: i.to_string(),
            kind: "call.ended".to_owned(),
            time: None,
            received: Clock::system().now(),
            body: body.clone(),
        };
        let new = NewEvent {
            event,
            natural_keys: Vec::new(),
            decision: Decision::default(),
            rules: "version-1".into(),
        };
        journal.accept(new).await.unwrap();
    }
    assert!(log_length(&file) > super::LARGE_LOG, "fewer writes than bring a checkpoint");
    std::fs::copy(&file, &copy).unwrap();
    std::fs::copy(folder.path().join("journal.db-wal"), folder.path().join("copy.db-wal")).unwrap();
    journal.close().await;

    let journal = open(&copy).await;
    assert!(log_length(&copy) < 1024 * 1024, "{} bytes", log_length(&copy));
    assert_eq!(journal.events(EventFilter::default()).await.unwrap().len(), 65);
    journal.close().await;
}
