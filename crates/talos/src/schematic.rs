//! Schematics of the image factory: what is built into an image, and its name without asking anybody.
//!
//! The factory names a schematic by SHA-256 over its YAML in one canonical form: fields in a fixed order, what is
//! empty left out, four spaces (image-factory, `pkg/schematic`).

use sha2::{Digest, Sha256};

use crate::release::{Minor, Version};
use crate::yaml::{Map, Value, emit};

/// What is asked of an image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schematic {
    /// For a single-board computer: image and name of its overlay, such as `siderolabs/sbc-raspberrypi` and
    /// `rpi_generic`.
    pub overlay: Option<(String, String)>,
    /// Kernel arguments, in order.
    pub kernel_args: Vec<String>,
    /// Values of the META partition by key.
    pub meta: Vec<(u8, String)>,
    /// Official extensions, such as `siderolabs/intel-ucode`, in order: another order is another schematic.
    pub extensions: Vec<String>,
    /// `SecureBoot`: the well-known certificates of Microsoft are enrolled too.
    pub well_known_certificates: bool,
}

impl Schematic {
    /// The canonical text, which the factory takes too (`POST /schematics`).
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let texts = |all: &[String]| Value::List(all.iter().map(|text| Value::from(text.as_str())).collect());
        let mut customization = Map::new();
        if !self.kernel_args.is_empty() {
            customization.insert("extraKernelArgs", texts(&self.kernel_args));
        }
        if !self.meta.is_empty() {
            let value = |(key, value): &(u8, String)| {
                Map::new().with("key", i64::from(*key)).with("value", value.as_str()).into()
            };
            customization.insert("meta", Value::List(self.meta.iter().map(value).collect()));
        }
        if !self.extensions.is_empty() {
            let official = Map::new().with("officialExtensions", texts(&self.extensions));
            customization.insert("systemExtensions", official);
        }
        if self.well_known_certificates {
            let secure = Map::new().with("includeWellKnownCertificates", true);
            customization.insert("secureboot", secure);
        }
        let mut all = Map::new();
        if let Some((image, name)) = &self.overlay {
            all.insert("overlay", Map::new().with("image", image.as_str()).with("name", name.as_str()));
        }
        emit(&all.with("customization", customization).into())
    }

    /// The name, 64 hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> String {
        Sha256::digest(self.to_yaml()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The installer's image for metal. Before 1.10 one installer served every platform.
    #[must_use]
    pub fn installer(&self, minor: Minor, talos: &Version) -> String {
        let name = if minor >= Minor::V1_10 { "metal-installer" } else { "installer" };
        format!("factory.talos.dev/{name}/{}:v{talos}", self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::{EMPTY_SCHEMATIC, installer};

    fn texts(all: &[&str]) -> Vec<String> {
        all.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn ids_are_those_that_the_factory_gives() {
        let plain = Schematic::default();
        let documented = Schematic {
            kernel_args: texts(&["net.ifnames=0"]),
            extensions: texts(&["siderolabs/gvisor", "siderolabs/intel-ucode"]),
            ..Schematic::default()
        };
        let pi = ("siderolabs/sbc-raspberrypi".to_owned(), "rpi_generic".to_owned());
        for (schematic, id) in [
            (plain.clone(), EMPTY_SCHEMATIC),
            (
                Schematic { overlay: Some(pi), ..plain.clone() },
                "ee21ef4a5ef808a9b7484cc0dda0f25075021691c8c09a276591eedb638ea1f9",
            ),
            (
                Schematic { meta: vec![(10, "foo".to_owned())], ..plain.clone() },
                "d308a2a5ee2277bed5fbaa104fcbc8d59122abfa737df987a95b4ca763459a7f",
            ),
            (
                Schematic { well_known_certificates: true, ..plain },
                "fa8e05f142a851d3ee568eb0a8e5841eaf6b0ebc8df9a63df16ac5ed2c04f3e6",
            ),
        ] {
            assert_eq!(schematic.id(), id, "{}", schematic.to_yaml());
        }
        let id = documented.id();
        assert!(id.starts_with("b8e8fbbe") && id.ends_with("d176"), "{id}");
    }

    #[test]
    fn the_installer_of_an_empty_schematic_is_the_default_of_1_14() {
        let talos = Minor::V1_14.latest();
        assert_eq!(Schematic::default().installer(Minor::V1_14, &talos), installer(Minor::V1_14, &talos));
        let talos = Minor::V1_9.latest();
        assert!(
            Schematic::default().installer(Minor::V1_9, &talos).starts_with("factory.talos.dev/installer/")
        );
    }
}
