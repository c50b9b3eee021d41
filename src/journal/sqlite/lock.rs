//! One process for one journal, on a disk that keeps its word.
//!
//! The lock is the operating system's, on a file beside the journal, so a crash releases it. Network file systems are
//! refused: their locks and shared memory don't hold what SQLite's write-ahead log needs
//! (<https://sqlite.org/wal.html>, "all processes using a database must be on the same host computer").

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::super::OpenError;

/// File systems (third field of `/proc/self/mounts`) that a journal can't live on.
const NETWORK: &[&str] = &[
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "afs",
    "ncpfs",
    "ceph",
    "fuse.sshfs",
    "fuse.s3fs",
    "fuse.glusterfs",
    "fuse.rclone",
    "fuse.gcsfuse",
];

/// Held as long as the journal is open.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Takes the lock of the journal at `path`.
pub(super) fn take(path: &Path) -> Result<Lock, OpenError> {
    let lock = beside(path, ".lock");
    let shown = lock.display();
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&lock).map_err(|err| {
        OpenError(format!("can't create `{shown}`: {err}; the journal's folder must be writable"))
    })?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            let holder = holder.trim();
            let by = if holder.is_empty() { String::new() } else { format!(" (process {holder})") };
            return Err(OpenError(format!(
                "the journal `{}` is in use by another hookbell{by}, which holds `{shown}`; \
                 stop it, or name another file in [journal] url",
                path.display()
            )));
        }
        Err(TryLockError::Error(err)) => {
            return Err(OpenError(format!("can't lock `{shown}`: {err}")));
        }
    }
    // Only for the message above; a failure to write it changes nothing.
    let _ = file.set_len(0);
    let _ = file.rewind();
    let _ = write!(file, "{}", std::process::id());
    Ok(Lock { _file: file })
}

/// `path` with `suffix` after its name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Refuses a folder on a network file system, where the system tells.
pub(super) fn refuse_network(folder: &Path) -> Result<(), OpenError> {
    let (Ok(folder), Ok(mounts)) =
        (folder.canonicalize(), std::fs::read_to_string("/proc/self/mounts"))
    else {
        return Ok(());
    };
    match file_system(&mounts, &folder) {
        Some(kind) if NETWORK.contains(&kind) => Err(OpenError(format!(
            "`{}` is on a network file system ({kind}), where a journal can be damaged; use a local disk",
            folder.display()
        ))),
        _ => Ok(()),
    }
}

/// The kind of file system that holds `folder`: the longest mount point that contains it, the last one if several.
fn file_system<'m>(mounts: &'m str, folder: &Path) -> Option<&'m str> {
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ');
            // Spaces in a mount point are written as \040.
            let point = fields.nth(1)?.replace("\\040", " ");
            let kind = fields.next()?;
            folder.starts_with(&point).then_some((point.len(), kind))
        })
        .max_by_key(|(length, _)| *length)
        .map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_mount_point_decides() {
        let mounts = "/dev/vda / ext4 rw 0 0\nsrv:/x /data nfs4 rw 0 0\n/dev/vdb /data/own\\040disk xfs rw 0 0\n";
        assert_eq!(file_system(mounts, Path::new("/var/lib")), Some("ext4"));
        assert_eq!(file_system(mounts, Path::new("/data/a/b")), Some("nfs4"));
        assert_eq!(file_system(mounts, Path::new("/database")), Some("ext4"));
        assert_eq!(file_system(mounts, Path::new("/data/own disk/a")), Some("xfs"));
    }

    #[test]
    fn the_second_one_is_refused_until_the_first_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let first = take(&path).unwrap();
        let err = take(&path).unwrap_err().to_string();
        assert!(
            err.contains("a.db.lock") && err.contains(&std::process::id().to_string()),
            "{err}"
        );
        drop(first);
        take(&path).unwrap();
    }
}
