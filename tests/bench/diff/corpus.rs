//! The recorded polls, fed as they came.
//!
//! `*.ndjson.zst` in `$POLLCAST_CORPUS`: one `{"at": …, "body": "…"}` a line, oldest first.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::case::Case;

/// The member that identifies the elements of a file's arrays: told to jsondiffpatch only.
const KEYS: [(&str, &str); 3] = [
    ("fires", "UniqueId"),
    ("chp", "name"),
    ("fpl", "County Name"),
];

/// The files; None where nobody says where they are.
pub fn read() -> Option<Vec<Case>> {
    let folder = std::env::var_os("POLLCAST_CORPUS")?;
    let entries = fs::read_dir(&folder).expect("POLLCAST_CORPUS names a folder");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a folder's entry").path())
        .filter(|path| path.to_string_lossy().ends_with(".ndjson.zst"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no *.ndjson.zst in {}", folder.display());
    Some(files.iter().map(|file| case(file)).collect())
}

fn case(file: &Path) -> Case {
    let name = file.file_name().expect("a file").to_string_lossy();
    let name = name.trim_end_matches(".ndjson.zst").to_owned();
    let key = KEYS.iter().find(|(file, _)| *file == name);
    Case {
        key: key.map(|(_, key)| (*key).to_owned()),
        bodies: bodies(file),
        recorded: true,
        name,
    }
}

/// Those that are JSON, for nobody here has anything to say about others.
fn bodies(file: &Path) -> Vec<Bytes> {
    let file = File::open(file).expect("the file is there");
    let mut decoder = zstd::Decoder::new(file).expect("zstd");
    decoder.window_log_max(27).expect("a window of 2^27");
    let mut lines = Vec::new();
    decoder.read_to_end(&mut lines).expect("zstd");
    let lines = lines.split(|byte| *byte == b'\n');
    let bodies = lines.filter(|line| !line.is_empty()).map(|line| {
        let line: Value = serde_json::from_slice(line).expect("JSON lines");
        line["body"].as_str().expect("a body").to_owned()
    });
    let json = bodies.filter(|body| serde_json::from_str::<&RawValue>(body).is_ok());
    json.map(Bytes::from).collect()
}
