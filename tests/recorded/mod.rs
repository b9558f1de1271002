//! Real polls: `*.ndjson.zst` in `$POLLCAST_CORPUS`, one `{"at": …, "body": "…"}` a line, oldest
//! first.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The recorded polls; none where nothing says where they are.
pub fn files() -> Vec<PathBuf> {
    let Some(folder) = std::env::var_os("POLLCAST_CORPUS") else {
        say("skipped: POLLCAST_CORPUS is not set");
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("POLLCAST_CORPUS names a folder")
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(".ndjson.zst"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no *.ndjson.zst in {folder:?}");
    files
}

pub fn name(file: &Path) -> String {
    file.file_name().unwrap().to_string_lossy().into_owned()
}

/// The bodies as they were answered.
pub fn bodies(file: &Path) -> Vec<String> {
    let mut decoder = zstd::Decoder::new(fs::File::open(file).unwrap()).unwrap();
    decoder.window_log_max(27).unwrap();
    let mut lines = Vec::new();
    decoder.read_to_end(&mut lines).unwrap();
    let lines = lines.split(|byte| *byte == b'\n');
    let body = |line: &[u8]| {
        let line: serde_json::Value = serde_json::from_slice(line).unwrap();
        line["body"].as_str().unwrap().to_owned()
    };
    lines.filter(|line| !line.is_empty()).map(body).collect()
}

/// Past the test harness, which shows what a test prints only if it fails.
pub fn say(line: &str) {
    let line = format!("{line}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}
