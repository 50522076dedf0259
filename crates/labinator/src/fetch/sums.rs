//! Reads what distributors say about their files: lists of digests, and stream metadata.

use serde_json::Value;

/// A digest that a distributor told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// SHA-256, hexadecimal.
    Sha256(String),
    /// SHA-512, hexadecimal.
    Sha512(String),
}

impl Told {
    /// By its length; `None` for anything else, such as MD5.
    fn of(word: &str) -> Option<Self> {
        let hex = word.bytes().all(|byte| byte.is_ascii_hexdigit());
        match word.len() {
            64 if hex => Some(Self::Sha256(word.to_ascii_lowercase())),
            128 if hex => Some(Self::Sha512(word.to_ascii_lowercase())),
            _ => None,
        }
    }

    /// Its digits.
    #[must_use]
    pub fn digits(&self) -> &str {
        match self {
            Self::Sha256(digits) | Self::Sha512(digits) => digits,
        }
    }
}

/// The digest of `path` in a list of lines `DIGEST  PATH`. A path of the list counts when it is the end of the
/// wanted one, part by part: lists are written from the folder they lie in. The strongest digest wins.
#[must_use]
pub fn in_list(text: &str, path: &str) -> Option<Told> {
    let wanted: Vec<&str> = path.split('/').collect();
    let mut best: Option<(usize, Told)> = None;
    for line in text.lines() {
        let Some((digest, name)) = line.split_once(char::is_whitespace) else { continue };
        let Some(told) = Told::of(digest) else { continue };
        let name = name.trim().trim_start_matches('*').trim_start_matches("./");
        let parts: Vec<&str> = name.split('/').collect();
        if !wanted.ends_with(&parts) {
            continue;
        }
        let rank = parts.len() * 2 + usize::from(matches!(told, Told::Sha512(_)));
        if best.as_ref().is_none_or(|(known, _)| *known < rank) {
            best = Some((rank, told));
        }
    }
    best.map(|(_, told)| told)
}

/// Address and digest of one artefact in stream metadata of Fedora `CoreOS` (form of
/// coreos/stream-metadata-go: `architectures.CPU.artifacts.metal.formats.pxe.NAME`).
#[must_use]
pub fn in_stream(metadata: &Value, cpu: &str, name: &str) -> Option<(String, Told)> {
    let artefact = metadata.pointer(&format!("/architectures/{cpu}/artifacts/metal/formats/pxe/{name}"))?;
    let location = artefact.get("location")?.as_str()?.to_owned();
    Some((location, Told::of(artefact.get("sha256")?.as_str()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_from_the_folder_they_lie_in() {
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        let text = format!(
            "{a}  ./netboot/debian-installer/amd64/linux\n{b}  ./netboot/gtk/debian-installer/amd64/linux\n"
        );
        let path = "dists/x/images/netboot/debian-installer/amd64/linux";
        assert_eq!(in_list(&text, path), Some(Told::Sha256(a.clone())));
        assert_eq!(in_list(&format!("{a} *vmlinuz\n"), "v1/vmlinuz"), Some(Told::Sha256(a.clone())));
        assert_eq!(in_list(&format!("{a}  xvmlinuz\n"), "v1/vmlinuz"), None);
        assert_eq!(
            in_list("d41d8cd98f00b204e9800998ecf8427e  vmlinuz\n", "vmlinuz"),
            None,
            "MD5 proves nothing"
        );
    }

    #[test]
    fn a_digests_file_of_gentoo_form_gives_its_strongest() {
        let (md5, sha512) = ("d".repeat(32), "C".repeat(128));
        let text = format!("# MD5 HASH\n{md5}  a.vmlinuz\n# SHA512 HASH\n{sha512}  a.vmlinuz\n");
        assert_eq!(in_list(&text, "x/a.vmlinuz"), Some(Told::Sha512("c".repeat(128))));
    }

    #[test]
    fn stream_metadata_names_place_and_digest() {
        let digest = "e".repeat(64);
        let text = format!(
            r#"{{"architectures":{{"x86_64":{{"artifacts":{{"metal":{{"formats":{{"pxe":{{"kernel":{{"location":"https://h/k","sha256":"{digest}"}}}}}}}}}}}}}}}}"#
        );
        let metadata: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            in_stream(&metadata, "x86_64", "kernel"),
            Some(("https://h/k".to_owned(), Told::Sha256(digest)))
        );
        assert_eq!(in_stream(&metadata, "aarch64", "kernel"), None);
    }
}
