//! Breaks the disk under a bridge on command (a full disk, a read-only one, one that fails or hangs) and sets its wall
//! clock. The shim is C, built once with the compiler that Rust links with; real file systems and clocks can't be made
//! to fail on command by an ordinary user.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The built shim, for `LD_PRELOAD`.
pub(crate) fn shim() -> PathBuf {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    let built = SHIM.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (ready, building) = (
            folder.join(format!("faults-{}.so", std::process::id())),
            folder.join(format!("faults-{}.building", std::process::id())),
        );
        let source = super::root().join("tests/it/support/faults.c");
        let output = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([building.as_os_str(), source.as_os_str()])
            .arg("-ldl")
            .output()
            .expect("cc, which Rust links with, is there");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::rename(&building, &ready).unwrap();
        ready
    });
    built.clone()
}

/// The disk under one bridge; sound until told otherwise.
pub(crate) struct Disk {
    control: tempfile::NamedTempFile,
}

impl Disk {
    /// A sound disk.
    pub(crate) fn sound() -> Self {
        Self { control: tempfile::NamedTempFile::new().unwrap() }
    }

    /// What `HOOKBELL_TEST_FAULT` is set to.
    pub(crate) fn control(&self) -> String {
        self.control.path().display().to_string()
    }

    /// From now on the disk is `full`, `readonly`, `io`, `sync`, `hang` or (any other word) sound.
    pub(crate) fn is(&self, word: &str) {
        std::fs::write(self.control.path(), word).unwrap();
    }
}

/// The wall clock of one bridge; right until it is set.
pub(crate) struct WallClock {
    control: tempfile::NamedTempFile,
}

impl WallClock {
    /// A clock that is right.
    pub(crate) fn right() -> Self {
        Self { control: tempfile::NamedTempFile::new().unwrap() }
    }

    /// What `HOOKBELL_TEST_CLOCK` is set to.
    pub(crate) fn control(&self) -> String {
        self.control.path().display().to_string()
    }

    /// From now on the clock shows so many seconds more than it should.
    pub(crate) fn is_off_by(&self, seconds: i64) {
        // In one piece, so that it is never read half written.
        let next = self.control.path().with_extension("next");
        std::fs::write(&next, seconds.to_string()).unwrap();
        std::fs::rename(next, self.control.path()).unwrap();
    }
}
