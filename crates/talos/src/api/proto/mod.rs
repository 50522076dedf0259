//! Messages and calls of the machine API, made by `cargo xtask protos` from `crates/talos/proto`.

#![expect(
    missing_docs,
    clippy::doc_markdown,
    clippy::must_use_candidate,
    clippy::struct_excessive_bools,
    reason = "generated; what the messages are is said in the .proto files"
)]

pub mod common;
pub mod cosi;
pub mod events;
pub mod machine;
pub mod storage;
pub mod told;
pub mod upgrade;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use sha2::{Digest, Sha256};

    #[test]
    fn the_generated_files_are_those_of_the_sources() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut names: Vec<PathBuf> =
            fs::read_dir(here.join("proto")).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        let mut hash = Sha256::new();
        for name in &names {
            hash.update(name.file_name().unwrap().to_str().unwrap());
            hash.update([0]);
            hash.update(fs::read(name).unwrap());
            hash.update([0]);
        }
        let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        for name in ["common", "cosi", "events", "machine", "storage", "told", "upgrade"] {
            let text = fs::read_to_string(here.join(format!("src/api/proto/{name}.rs"))).unwrap();
            assert!(
                text.lines().next().unwrap().ends_with(&digest),
                "{name}.rs is old: run `cargo xtask protos`"
            );
        }
    }
}
