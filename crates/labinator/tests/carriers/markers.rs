//! What gives a cluster's secrets away, in every form in which they travel, and the search for it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use talos::secrets::Secrets;

/// Shortest value of a secrets file that is a secret: names of kinds and cluster ids of a test are shorter.
const SHORTEST: usize = 16;
/// Characters of a long key that are looked for: a line of it is enough to be caught.
const LINE: usize = 48;

/// What must not be heard.
pub(crate) struct Markers(Vec<(String, Vec<u8>)>);

impl Markers {
    /// Of these secrets: each of their values as it is written, what is written in it, and keys of anybody's.
    pub(crate) fn of(secrets: &Secrets) -> Self {
        let mut all = Vec::new();
        for anybody in ["PRIVATE KEY", "bootstraptoken", "secretboxEncryptionSecret"] {
            all.push((anybody.to_owned(), anybody.as_bytes().to_vec()));
            all.extend(in_base64(anybody.as_bytes()).map(|text| (format!("{anybody} in base64"), text)));
        }
        let text = secrets.to_yaml().unwrap();
        for line in text.lines() {
            let Some((name, value)) = line.trim().split_once(": ") else { continue };
            if value.len() < SHORTEST || name == "crt" {
                continue;
            }
            all.push((name.to_owned(), head(value.as_bytes())));
            let Ok(pem) = STANDARD.decode(value).or_else(|_| URL_SAFE.decode(value)) else { continue };
            all.push((format!("{name}, decoded"), head(&pem)));
            let Ok(pem) = String::from_utf8(pem) else { continue };
            let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
            // The beginning of a key is the same for all of its kind.
            let own = &body[body.len().saturating_sub(LINE + 4)..body.len() - 4];
            all.push((format!("{name}, as PEM"), own.as_bytes().to_vec()));
            let der = STANDARD.decode(&body).unwrap();
            all.push((format!("{name}, as DER"), der[der.len().saturating_sub(24)..].to_vec()));
        }
        assert!(all.len() > 30, "{} markers", all.len());
        Self(all)
    }

    /// Names of what is in these bytes.
    pub(crate) fn found_in(&self, heard: &[u8]) -> Vec<&str> {
        let is_in = |marker: &[u8]| heard.windows(marker.len()).any(|window| window == marker);
        self.0.iter().filter(|(_, marker)| is_in(marker)).map(|(name, _)| name.as_str()).collect()
    }
}

fn head(bytes: &[u8]) -> Vec<u8> {
    bytes[bytes.len().saturating_sub(LINE)..].to_vec()
}

/// A text as it looks inside of base64, at each of the three places where it can begin.
fn in_base64(text: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..3).map(|before| {
        let padded = [&[0; 3][..before], text].concat();
        let coded = STANDARD.encode(&padded);
        // What the bytes around it have a part in says nothing.
        let (from, to) = ([0, 2, 3][before], padded.len() * 8 / 6);
        coded.as_bytes()[from..to].to_vec()
    })
}
