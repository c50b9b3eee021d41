//! Dedupe keys: whether an event is known already, and by which number.
//!
//! Keys are random, so a table of them is written at random places: each key would write a page of its own, which
//! costs several times what its event does. So the newest keys stand only in their events' rows (`events.keys`) and in
//! memory. They go to the table `dedupe` later, many in one pass and in the table's order, so that neighbours share
//! pages: a few with each event that comes in, so that no event waits for all. `meta.keyed` is the number up to which
//! the table is complete; the keys of later events are read from their rows at the start.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::super::DedupeKey;
use super::store::Store;

/// So many new keys come together before they go to the table: about 1 MB, and at most twice as many to read at the
/// start. The more there are, the more of them share a page.
const TOGETHER: usize = 16_384;
/// Keys that go to the table with each event that comes in. Faster than they come, which is about two each.
const WITH_EACH: usize = 4;

/// The keys that the table lacks, or lacked until a moment ago.
pub(super) struct NewKeys {
    /// Each with its event's number.
    numbers: HashMap<[u8; 16], i64>,
    /// Those on their way into the table, in order.
    moving: Vec<([u8; 16], i64)>,
    /// How many of `moving` are there.
    moved: usize,
    /// When all of `moving` are there, the table is complete up to this number.
    until: i64,
}

impl NewKeys {
    /// Reads them from their events' rows.
    pub(super) fn read(conn: &Connection) -> rusqlite::Result<Self> {
        let keyed: i64 =
            conn.query_row("SELECT value FROM meta WHERE key = 'keyed'", [], |row| row.get(0))?;
        let mut numbers = HashMap::new();
        let mut later = conn.prepare_cached("SELECT number, keys FROM events WHERE number > ?1")?;
        let mut rows = later.query([keyed])?;
        while let Some(row) = rows.next()? {
            let number = row.get(0)?;
            let keys = row.get_ref(1)?.as_blob()?;
            numbers.extend(keys.as_chunks().0.iter().map(|key| (*key, number)));
        }
        Ok(Self { numbers, moving: Vec::new(), moved: 0, until: keyed })
    }

    fn add(&mut self, keys: &[u8], number: i64) {
        self.numbers.extend(keys.as_chunks().0.iter().map(|key| (*key, number)));
        if self.moving.is_empty() && self.numbers.len() >= TOGETHER {
            self.moving = self.numbers.iter().map(|(key, number)| (*key, *number)).collect();
            self.moving.sort_unstable();
            self.until = number;
        }
    }

    /// Takes the next few for the table; also, after the last of them, up to where the table is complete.
    fn take_some(&mut self) -> (Vec<([u8; 16], i64)>, Option<i64>) {
        if self.moving.is_empty() {
            return (Vec::new(), None);
        }
        let to = self.moving.len().min(self.moved + WITH_EACH);
        let mut some = self.moving[self.moved..to].to_vec();
        // Their events may have been removed meanwhile.
        some.retain(|(key, number)| self.numbers.get(key) == Some(number));
        self.moved = to;
        if to < self.moving.len() {
            return (some, None);
        }
        (self.moving, self.moved) = (Vec::new(), 0);
        self.numbers.retain(|_, number| *number > self.until);
        (some, Some(self.until))
    }
}

impl Store {
    /// The event that has this key.
    pub(super) fn event_of(&mut self, key: DedupeKey) -> rusqlite::Result<Option<i64>> {
        match self.new_keys()?.numbers.get(&key.0) {
            Some(number) => Ok(Some(*number)),
            None => number_in_table(self.connection(), key),
        }
    }

    /// Remembers the keys of a new event, whose row has them, and brings a few of those before into the table.
    pub(super) fn add_keys(&mut self, keys: &[u8], number: i64) -> rusqlite::Result<()> {
        let new = self.new_keys()?;
        new.add(keys, number);
        let (some, complete) = new.take_some();
        for (key, number) in some {
            self.execute(
                "INSERT INTO dedupe VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                params![key, number],
            )?;
        }
        match complete {
            Some(number) => {
                self.execute("UPDATE meta SET value = ?1 WHERE key = 'keyed'", [number])
            }
            None => Ok(()),
        }
    }

    /// Forgets the keys of an event that is removed.
    pub(super) fn remove_keys(&mut self, keys: &[u8], number: i64) -> rusqlite::Result<()> {
        for key in keys.as_chunks().0 {
            self.new_keys()?.numbers.remove(key);
            self.execute(
                "DELETE FROM dedupe WHERE key = ?1 AND number = ?2",
                params![key, number],
            )?;
        }
        Ok(())
    }
}

/// The event that has this key, by the table, which lacks the newest.
pub(super) fn number_in_table(conn: &Connection, key: DedupeKey) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached("SELECT number FROM dedupe WHERE key = ?1")?
        .query_row([key.0], |row| row.get(0))
        .optional()
}

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;
    use std::path::Path;
    use std::time::Duration;

    use super::super::accept::ID;
    use super::super::open;
    use super::super::store::Keys;
    use super::super::writer::Sync;
    use super::*;
    use crate::clock::Clock;

    fn store(folder: &Path) -> Store {
        let clock = Clock::system();
        let opened = open::open(&folder.join("a.db"), &clock).unwrap();
        let keys = Keys::load(&opened.conn).unwrap();
        Store::new(opened.conn, clock, Duration::from_secs(1), keys).unwrap()
    }

    fn keys(event: i64) -> [DedupeKey; 2] {
        ["id", "natural"].map(|kind| DedupeKey::new("replicer", kind, &event.to_string()))
    }

    fn bytes(event: i64) -> Vec<u8> {
        keys(event).map(|key| key.0).concat()
    }

    /// Within a transaction.
    fn add(store: &mut Store, event: i64) {
        store
            .execute(
                "INSERT INTO events (number, source, id, kind, received, rules, notifications, keys) \
                 VALUES (?1, 'replicer', '', '', 0, 1, 0, ?2)",
                params![event, bytes(event)],
            )
            .unwrap();
        store.add_keys(&bytes(event), event).unwrap();
    }

    fn add_all(store: &mut Store, events: RangeInclusive<i64>) {
        store.begin(Sync::Process).unwrap();
        events.for_each(|event| add(store, event));
        store.commit().unwrap();
    }

    fn number(store: &mut Store, event: i64) -> Option<i64> {
        let [id, natural] = keys(event);
        let number = store.event_of(id).unwrap();
        assert_eq!(store.event_of(natural).unwrap(), number);
        number
    }

    /// The number up to which the table is complete, and how many keys it has.
    fn table(store: &Store) -> (i64, i64) {
        let sql =
            "SELECT (SELECT value FROM meta WHERE key = 'keyed'), (SELECT count(*) FROM dedupe)";
        store.connection().query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    }

    #[test]
    fn a_key_is_found_wherever_it_stands_and_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = self::store(folder.path());
        let mut last = 0;
        // All new; some on their way; the first 8,192 events' keys in the table.
        for (events, complete, moved) in
            [(5_000, 0, 0..1), (10_000, 0, 1..16_384), (13_000, 8_192, 16_384..16_385)]
        {
            add_all(&mut store, last + 1..=events);
            last = events;
            let (up_to, count) = table(&store);
            assert_eq!(up_to, complete);
            assert!(moved.contains(&count), "{count}");
            for event in 1..=events {
                assert_eq!(number(&mut store, event), Some(event));
            }
            assert_eq!(number(&mut store, events + 1), None);
        }
        drop(store);
        let mut store = self::store(folder.path());
        for event in 1..=last {
            assert_eq!(number(&mut store, event), Some(event));
        }
        assert_eq!(number(&mut store, last + 1), None);
    }

    #[test]
    fn a_removed_event_stays_unknown_though_its_keys_were_on_their_way() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = self::store(folder.path());
        add_all(&mut store, 1..=8_300);
        assert!(table(&store).1 > 0);
        store.begin(Sync::Process).unwrap();
        for event in 1..=200 {
            store.execute("DELETE FROM events WHERE number = ?1", [event]).unwrap();
            store.remove_keys(&bytes(event), event).unwrap();
        }
        store.commit().unwrap();
        add_all(&mut store, 8_301..=12_500);
        assert_eq!(table(&store), (8_192, 2 * (8_192 - 200)));
        drop(store);
        let mut store = self::store(folder.path());
        assert!((1..=200).all(|event| number(&mut store, event).is_none()));
        assert_eq!(number(&mut store, 201), Some(201));
    }

    #[test]
    fn a_rolled_back_event_is_unknown() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = self::store(folder.path());
        add_all(&mut store, 1..=10);
        store.begin(Sync::Process).unwrap();
        add(&mut store, 11);
        assert_eq!(number(&mut store, 11), Some(11));
        store.rollback().unwrap();
        assert_eq!(number(&mut store, 11), None);
        assert_eq!(number(&mut store, 10), Some(10));
        assert_eq!(store.event_of(DedupeKey::new("another", ID, "10")).unwrap(), None);
    }
}
