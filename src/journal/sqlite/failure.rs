//! What an error of SQLite means for the journal: this operation only, no writing for now, or the end.

use rusqlite::ffi;
use rusqlite::{Error, ErrorCode};

/// How far an error reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// One operation asked for something impossible; others may go on.
    Operation,
    /// Nothing can be written now, but perhaps later: full disk, read-only file, no file handles, a foreign lock.
    Writing,
    /// The file or the disk can't be trusted any more. After a failed fsync the kernel may have dropped the pages it
    /// could not write, so trying again would report success for lost data (PostgreSQL's "fsyncgate", 2018).
    Journal,
}

/// Judges an error.
pub(super) fn reach(err: &Error) -> Reach {
    let Error::SqliteFailure(failure, _) = err else { return Reach::Operation };
    match failure.code {
        // ENOSPC arrives as "full". Growing the shared-memory file on a full disk has codes of its own.
        ErrorCode::DiskFull
        | ErrorCode::ReadOnly
        | ErrorCode::CannotOpen
        | ErrorCode::PermissionDenied
        | ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::OutOfMemory
        | ErrorCode::FileLockingProtocolFailed => Reach::Writing,
        ErrorCode::SystemIoFailure => match failure.extended_code {
            // A refused write (EROFS, EIO) leaves no doubt about what is on disk: the transaction is rolled back. It
            // is a failed fsync that does.
            ffi::SQLITE_IOERR_WRITE
            | ffi::SQLITE_IOERR_TRUNCATE
            | ffi::SQLITE_IOERR_SHMSIZE
            | ffi::SQLITE_IOERR_SHMOPEN
            | ffi::SQLITE_IOERR_NOMEM => Reach::Writing,
            _ => Reach::Journal,
        },
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::InternalMalfunction => {
            Reach::Journal
        }
        _ => Reach::Operation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_fsync_ends_the_journal_and_a_full_disk_does_not() {
        let of = |code| reach(&Error::SqliteFailure(ffi::Error::new(code), None));
        assert_eq!(of(ffi::SQLITE_IOERR_FSYNC), Reach::Journal);
        assert_eq!(of(ffi::SQLITE_IOERR_DIR_FSYNC), Reach::Journal);
        assert_eq!(of(ffi::SQLITE_IOERR_READ), Reach::Journal);
        assert_eq!(of(ffi::SQLITE_CORRUPT), Reach::Journal);
        assert_eq!(of(ffi::SQLITE_IOERR_WRITE), Reach::Writing);
        assert_eq!(of(ffi::SQLITE_FULL), Reach::Writing);
        assert_eq!(of(ffi::SQLITE_READONLY), Reach::Writing);
        assert_eq!(of(ffi::SQLITE_IOERR_SHMSIZE), Reach::Writing);
        assert_eq!(of(ffi::SQLITE_CONSTRAINT), Reach::Operation);
        assert_eq!(reach(&Error::QueryReturnedNoRows), Reach::Operation);
    }
}
