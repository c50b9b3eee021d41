//! From a URL to connections that can be trusted, or a reason that a person can act on.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::super::OpenError;
use super::lock::{self, Lock, beside};
use super::{schema, wal};
use crate::clock::Clock;

/// 3.51.3: older ones can corrupt a file in WAL mode with several connections (<https://sqlite.org/wal.html>,
/// "the WAL-reset bug").
const OLDEST_SQLITE: i32 = 3_051_003;

/// An opened file with its lock, checked and migrated.
pub(super) struct Opened {
    pub(super) conn: Connection,
    pub(super) lock: Lock,
    pub(super) damaged: Option<PathBuf>,
}

/// The path in `sqlite:PATH`.
pub(super) fn path(url: &str) -> Result<PathBuf, OpenError> {
    match url.strip_prefix("sqlite:").map(|p| p.strip_prefix("//").unwrap_or(p)) {
        Some(path) if !path.is_empty() && !path.starts_with(':') => Ok(PathBuf::from(path)),
        _ => Err(OpenError(format!(
            "[journal] url is `{}`, expected `sqlite:PATH`, for example `sqlite:hookbell.db`",
            shown(url)
        ))),
    }
}

/// A URL without what may be a password.
fn shown(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}…{}", &url[..scheme + 3], &url[at..]),
        _ => url.to_owned(),
    }
}

/// Opens or creates the file at `path` for the writer.
pub(super) fn open(path: &Path, clock: &Clock) -> Result<Opened, OpenError> {
    let version = rusqlite::version_number();
    if version < OLDEST_SQLITE {
        return Err(OpenError(format!(
            "this hookbell was built with SQLite {}, which can damage journals; it needs 3.51.3 or newer",
            rusqlite::version()
        )));
    }
    let name = path.display().to_string();
    let folder = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        return Err(OpenError(format!(
            "the journal's folder `{}` does not exist; create it, or name another place in [journal] url",
            folder.display()
        )));
    }
    lock::refuse_network(folder)?;
    let lock = lock::take(path)?;
    create(path, folder)?;
    let damaged = look_at_log(path, clock)?;
    let mut conn = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .map_err(|err| OpenError(format!("can't open the journal `{name}`: {err}")))?;
    schema::prepare(&mut conn, &name)?;
    let mode: String = conn
        .query_row("PRAGMA journal_mode = wal", [], |row| row.get(0))
        .map_err(|err| OpenError(format!("can't write the journal `{name}`: {err}")))?;
    if mode != "wal" || conn.is_readonly("main").unwrap_or(true) {
        return Err(OpenError(format!(
            "the journal `{name}` can't be written; make the file and its folder writable for this user"
        )));
    }
    Ok(Opened { conn, lock, damaged })
}

/// How long the log of the file at `path` is, in bytes.
pub(super) fn log_length(path: &Path) -> u64 {
    std::fs::metadata(beside(path, "-wal")).map_or(0, |log| log.len())
}

/// A connection with our settings.
pub(super) fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(Duration::from_secs(2))?;
    conn.set_prepared_statement_cache_capacity(64);
    // After a failed fsync nothing may be moved from the log into the file; a clean end checkpoints by itself.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF; PRAGMA temp_store = memory; \
         PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -8000; \
         PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON",
    )?;
    Ok(conn)
}

/// Creates a missing file, readable for its owner only, and checks that an existing one can be used.
fn create(path: &Path, folder: &Path) -> Result<(), OpenError> {
    let name = path.display();
    let log = beside(path, "-wal");
    let has_log = log_length(path) > 0;
    let length = match std::fs::metadata(path) {
        Ok(m) if !m.is_file() => {
            return Err(OpenError(format!(
                "the journal `{name}` is no file; name a file in [journal] url"
            )));
        }
        Ok(m) => Some(m.len()),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => None,
        Err(err) => return Err(OpenError(format!("can't look at the journal `{name}`: {err}"))),
    };
    // SQLite would delete the log and start empty.
    if has_log && length.unwrap_or(0) == 0 {
        return Err(OpenError(format!(
            "the journal `{name}` is missing or empty, but its log `{}` is there; \
             put the file back, or move the log away to start anew",
            log.display()
        )));
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    if length.is_none() {
        options.create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    options.open(path).map_err(|err| {
        let what = if length.is_none() { "create" } else { "write" };
        OpenError(format!(
            "can't {what} the journal `{name}`: {err}; make the file and its folder writable for this user"
        ))
    })?;
    if length.is_none() {
        // The new name must survive a power cut as well.
        std::fs::File::open(folder).and_then(|f| f.sync_all()).map_err(|err| {
            OpenError(format!("can't sync the folder `{}`: {err}", folder.display()))
        })?;
    }
    Ok(())
}

/// Keeps a copy of a journal whose log is damaged in the middle, and says so.
fn look_at_log(path: &Path, clock: &Clock) -> Result<Option<PathBuf>, OpenError> {
    let log = beside(path, "-wal");
    let frame = match wal::scan(&log) {
        Ok(wal::Log::Sound) => return Ok(None),
        Ok(wal::Log::Damaged { frame }) => frame,
        Err(err) => return Err(OpenError(format!("can't read `{}`: {err}", log.display()))),
    };
    let stamp = clock.now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let copy = beside(path, &format!(".damaged-{stamp}"));
    for (from, to) in [(path, &copy), (&*log, &beside(&copy, "-wal"))] {
        std::fs::copy(from, to).map_err(|err| {
            OpenError(format!(
                "the log `{}` is damaged, and no copy could be kept as `{}`: {err}; make room, then start again",
                log.display(),
                to.display()
            ))
        })?;
    }
    tracing::error!(
        log = %log.display(),
        frame,
        copy = %copy.display(),
        "the journal's log is damaged: what was accepted after the damage may be lost; the files were copied as they were"
    );
    Ok(Some(copy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_path() {
        assert_eq!(path("sqlite:hookbell.db").unwrap(), Path::new("hookbell.db"));
        assert_eq!(path("sqlite:/var/lib/h.db").unwrap(), Path::new("/var/lib/h.db"));
        assert_eq!(path("sqlite:///var/lib/h.db").unwrap(), Path::new("/var/lib/h.db"));
        for bad in ["", "hookbell.db", "sqlite:", "sqlite::memory:"] {
            assert!(path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_refused_url_shows_no_password() {
        let err = path("postgres://me:hunter2@db/x").unwrap_err().to_string();
        assert!(!err.contains("hunter2") && err.contains("@db/x"), "{err}");
    }
}
