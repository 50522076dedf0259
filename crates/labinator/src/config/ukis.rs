//! Unified kernel images have their command line inside: what the boss would say on it, nobody reads.

use model::{ConfigCarrier, ImageRef, LabSpec};

/// Scenarios whose machines would have to be told on a command line that they do not read.
pub(super) fn warnings(spec: &LabSpec) -> Vec<String> {
    let silent = spec.scenarios.iter().filter(|(_, scenario)| {
        let pulls = scenario.talos.as_ref().is_some_and(|talos| talos.carrier == ConfigCarrier::Pull);
        pulls && matches!(scenario.image, ImageRef::Files { kernel: None, uki: Some(_), .. })
    });
    let told = silent.map(|(name, _)| {
        format!(
            "scenario {name}: its image is a UKI, which takes no kernel argument, so no machine learns where its config is, \
             and each ends as config-lost. Give `kernel` and `initrd`, or `carrier: push`"
        )
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_uki_that_is_to_fetch_a_config_is_warned_of() {
        let lab = include_str!("../../../../labs/talos.yaml");
        let of = |carrier: &str, image: &str| {
            let tried = format!(
                "scenarios:\n  tried: {{ talos: v1.12, control-plane: [node1, node3], carrier: {carrier}, image: {image} }}\n"
            );
            let text = lab.replace("scenarios:\n", &tried);
            warnings(&crate::config::parse(text.as_bytes(), "lab.yaml", Path::new(".")).unwrap())
        };
        let found = of("pull", "{ uki: Cargo.toml }");
        assert!(found.len() == 1 && found[0].starts_with("scenario tried: its image is a UKI"), "{found:?}");
        for (carrier, image) in [
            ("push", "{ uki: Cargo.toml }"),
            ("pull", "{ kernel: Cargo.toml, uki: Cargo.toml }"),
            ("pull", "node"),
        ] {
            assert_eq!(of(carrier, image), [""; 0], "{carrier} {image}");
        }
    }
}
