//! Lists the files of `providers/`, so that a definition is built in by being there.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=providers");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let mut files: Vec<PathBuf> = fs::read_dir(root.join("providers"))?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<io::Result<_>>()?;
    files.retain(|f| f.extension().is_some_and(|e| e == "toml"));
    files.sort();
    let mut list = String::from("[\n");
    for file in &files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        // Debug text is a Rust literal, whatever the path holds.
        let _ = writeln!(list, "({:?}, include_str!({:?})),", format!("providers/{name}"), file);
    }
    list.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(Path::new(&out).join("providers.rs"), list)
}
