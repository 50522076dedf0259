//! The `logs` section: files on the boss that the log stream follows.

use std::path::Path;

use model::LogsSpec;
use schemars::JsonSchema;

use super::fields::{Fields, Found, Typed, texts_of};
use super::mistake::Mistake;
use super::yaml::{Entry, Place};

/// Files followed at most: each is looked at four times a second.
const MOST: usize = 64;

/// What the log stream follows besides what machines send.
#[derive(Debug, Clone, Default, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LogsFile {
    /// Its key.
    #[schemars(skip)]
    pub place: Place,
    /// Files on the boss, such as `/var/log/dnsmasq.log`.
    #[schemars(with = "Option<Vec<String>>")]
    pub files: Option<Typed<Vec<Typed<String>>>>,
}

/// Reads the section.
pub(super) fn read(entry: &Entry, found: &mut Found) -> Option<LogsFile> {
    let mut fields = Fields::open("logs", entry.key_place, &entry.value, found)?;
    let files = fields.node("files").and_then(|entry| texts_of("files", &entry.value, found));
    let file = LogsFile { place: fields.place, files };
    fields.close(&[], found);
    Some(file)
}

/// Judges the section.
pub(super) fn judge(file: &LogsFile, found: &mut Found) -> LogsSpec {
    let mut files: Vec<String> = Vec::new();
    for typed in file.files.iter().flat_map(|files| &files.value) {
        let path = Path::new(&typed.value);
        if !path.is_absolute() || path.file_name().is_none() || typed.value.contains(['\n', '\t']) {
            let title = format!("`{}` is no file that can be followed", typed.value);
            found.push(
                Mistake::new(title, typed.place, "not an absolute path of a file")
                    .help("write it from the root on: `/var/log/dnsmasq.log`"),
            );
        } else if files.contains(&typed.value) {
            let title = format!("`{}` stands here twice", typed.value);
            found.push(Mistake::new(title, typed.place, "the second time").help("take one of them out"));
        } else {
            files.push(typed.value.clone());
        }
    }
    if let Some(typed) = file.files.as_ref().and_then(|files| files.value.get(MOST)) {
        let title = format!("{MOST} files can be followed");
        found.push(Mistake::new(title, typed.place, "one too many").help("follow fewer"));
    }
    LogsSpec { files }
}
