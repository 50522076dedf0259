//! Manifests made by the user's own `helm template` or `kustomize build`, and held to a digest.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Starts programs. Whoever starts them elsewhere in the house lends us a hand.
pub trait Run {
    /// Runs a program with these arguments to its end; all that it wrote to standard output.
    ///
    /// # Errors
    /// Why there is no output, in one sentence: it is missing, failed, or wrote more than is taken.
    fn run(
        &self,
        program: &str,
        arguments: &[String],
    ) -> impl Future<Output = Result<Vec<u8>, String>> + Send;
}

/// What to render.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bundle {
    /// `helm template`, without hooks and with definitions.
    Helm {
        /// Name of the release.
        release: String,
        /// Folder or archive of the chart.
        chart: String,
        /// Namespace it is for.
        namespace: Option<String>,
        /// Files of values, in order.
        values: Vec<String>,
    },
    /// `kustomize build`.
    Kustomize {
        /// The folder.
        folder: String,
    },
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// YAML of several documents.
    pub yaml: Vec<u8>,
    /// Its SHA-256 in hexadecimal, to be written down beside the bundle.
    pub sha256: String,
}

/// Why a bundle cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// The program did not give any output.
    #[error("`{program}` gave no manifests: {why}")]
    Program {
        /// Which.
        program: &'static str,
        /// Why.
        why: String,
    },
    /// The output is another than the one that was pinned.
    #[error("`{program}` renders sha256 {found}, and {pinned} is pinned")]
    Changed {
        /// Which.
        program: &'static str,
        /// The digest that is written down.
        pinned: String,
        /// The digest of what came out.
        found: String,
    },
}

impl BundleError {
    /// Stable word for logs and tests.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Program { .. } => "bundle-program",
            Self::Changed { .. } => "bundle-changed",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Program { .. } => "run it by hand; manifests that are rendered already need no program",
            Self::Changed { .. } => "compare what it renders with what it did, then pin the new digest",
        }
    }
}

impl Bundle {
    /// Renders it, and compares with the digest that is pinned.
    ///
    /// # Errors
    /// [`BundleError`].
    pub async fn render(&self, run: &impl Run, pinned: Option<&str>) -> Result<Rendered, BundleError> {
        let (program, arguments) = self.command();
        let yaml = run.run(program, &arguments).await.map_err(|why| BundleError::Program { program, why })?;
        if yaml.trim_ascii().is_empty() {
            return Err(BundleError::Program { program, why: "its output is empty".to_owned() });
        }
        let mut found = String::with_capacity(64);
        for byte in Sha256::digest(&yaml) {
            found.push_str(&format!("{byte:02x}"));
        }
        match pinned.map(|pinned| pinned.trim_start_matches("sha256:")) {
            Some(pinned) if !pinned.eq_ignore_ascii_case(&found) => {
                Err(BundleError::Changed { program, pinned: pinned.to_owned(), found })
            }
            Some(_) | None => Ok(Rendered { yaml, sha256: found }),
        }
    }

    fn command(&self) -> (&'static str, Vec<String>) {
        match self {
            Self::Helm { release, chart, namespace, values } => {
                let mut words: Vec<String> =
                    vec!["template".to_owned(), "--include-crds".to_owned(), "--no-hooks".to_owned()];
                words.extend(namespace.iter().map(|namespace| format!("--namespace={namespace}")));
                words.extend(values.iter().map(|values| format!("--values={values}")));
                // A name that begins with a dash is a name.
                words.extend(["--".to_owned(), release.clone(), chart.clone()]);
                ("helm", words)
            }
            Self::Kustomize { folder } => {
                ("kustomize", vec!["build".to_owned(), "--".to_owned(), folder.clone()])
            }
        }
    }
}
