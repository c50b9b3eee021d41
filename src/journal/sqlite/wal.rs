//! Looks for damage in the write-ahead log before SQLite sees it.
//!
//! SQLite takes the first frame whose checksum is wrong for the end of the log and drops what follows without a word
//! (<https://sqlite.org/walformat.html>, section 4.4). At the end of the log that is a crash, and normal. In the
//! middle it is damage, and acknowledged events may be behind it. A frame's header holds the running checksum after
//! it, so the frames behind a bad one can still be checked, each from the one before.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// What the log looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Log {
    /// Nothing is wrong with it, apart from an unfinished end.
    Sound,
    /// Frame `frame` (1 is the first, 0 the log's header) is bad, and committed frames come after it.
    Damaged {
        /// Which one.
        frame: u64,
    },
}

/// Reads the log at `path`; a missing or empty one is sound.
pub(super) fn scan(path: &Path) -> std::io::Result<Log> {
    match File::open(path) {
        Ok(file) => scan_frames(BufReader::with_capacity(1 << 18, file)),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(Log::Sound),
        Err(err) => Err(err),
    }
}

fn scan_frames(mut log: impl Read) -> std::io::Result<Log> {
    let mut header = [0; HEADER];
    if !fill(&mut log, &mut header)? {
        return Ok(Log::Sound);
    }
    let page = word(&header, 8);
    // The last bit of the magic number says in which byte order the checksums are. A damaged magic number or page
    // size makes the header's checksum wrong too; guess what nearly every machine writes.
    let mut sums = Sums { big_endian: word(&header, 0) == 0x377f_0683 };
    let sound_header = word(&header, 0) & !1 == 0x377f_0682
        && sums.add((0, 0), &header[..24]) == (word(&header, 24), word(&header, 28));
    sums.big_endian &= sound_header;
    let page = if sound_header { usize::try_from(page).unwrap_or(4096) } else { 4096 };
    let mut salt = sound_header.then(|| (word(&header, 16), word(&header, 20)));
    let mut before = (word(&header, 24), word(&header, 28));
    let mut bad = (!sound_header).then_some(0);

    let mut frame = vec![0; FRAME_HEADER + page];
    let mut number = 0;
    while fill(&mut log, &mut frame)? {
        number += 1;
        let frame_salt = (word(&frame, 8), word(&frame, 12));
        let after = (word(&frame, 16), word(&frame, 20));
        // Under a damaged header the frames themselves tell which salt they had.
        let salt = *salt.get_or_insert(frame_salt);
        let sum = sums.add(sums.add(before, &frame[..8]), &frame[FRAME_HEADER..]);
        let good = frame_salt == salt && sum == after;
        let commits = word(&frame, 4) != 0;
        match bad {
            None if !good => bad = Some(number),
            Some(frame) if good && commits => return Ok(Log::Damaged { frame }),
            _ => {}
        }
        before = after;
    }
    Ok(Log::Sound)
}

/// Fills `into`, or says that the log ended before.
fn fill(log: &mut impl Read, into: &mut [u8]) -> std::io::Result<bool> {
    match log.read_exact(into) {
        Ok(()) => Ok(true),
        Err(err) if err.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(err) => Err(err),
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |b| u32::from_be_bytes(*b))
}

/// The log's checksum: section 4.2 of the format.
#[derive(Clone, Copy)]
struct Sums {
    big_endian: bool,
}

impl Sums {
    fn add(self, (mut a, mut b): (u32, u32), bytes: &[u8]) -> (u32, u32) {
        let (pairs, _) = bytes.as_chunks::<8>();
        let read: fn([u8; 4]) -> u32 =
            if self.big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
        for p in pairs {
            a = a.wrapping_add(read([p[0], p[1], p[2], p[3]])).wrapping_add(b);
            b = b.wrapping_add(read([p[4], p[5], p[6], p[7]])).wrapping_add(a);
        }
        (a, b)
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    /// A log of several commits, as SQLite writes it.
    fn log() -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch(
            "PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (x)",
        )
        .unwrap();
        for _ in 0..5 {
            conn.execute("INSERT INTO t VALUES (randomblob(3000))", []).unwrap();
        }
        std::fs::read(dir.path().join("a.db-wal")).unwrap()
    }

    #[test]
    fn a_log_as_written_is_sound() {
        assert_eq!(scan_frames(&log()[..]).unwrap(), Log::Sound);
        assert_eq!(scan_frames(&[][..]).unwrap(), Log::Sound);
    }

    #[test]
    fn a_log_cut_anywhere_is_a_crash_and_sound() {
        let log = log();
        for cut in (0..log.len()).step_by(97) {
            assert_eq!(scan_frames(&log[..cut]).unwrap(), Log::Sound, "cut at {cut}");
        }
    }

    #[test]
    fn a_flipped_bit_before_the_last_frame_is_damage_wherever_it_is() {
        let mut log = log();
        let last = log.len() - FRAME_HEADER - 4096;
        for at in (0..last).step_by(37) {
            log[at] ^= 0x10;
            assert_ne!(scan_frames(&log[..]).unwrap(), Log::Sound, "flipped at {at}");
            log[at] ^= 0x10;
        }
    }

    #[test]
    fn an_old_tail_with_other_salts_is_sound() {
        let (mut new, old) = (log(), log());
        new.truncate(HEADER + 2 * (FRAME_HEADER + 4096));
        let kept = new.len();
        new.extend_from_slice(&old[kept..]);
        assert_eq!(scan_frames(&new[..]).unwrap(), Log::Sound);
    }
}
