//! How surely a machine must be known before it gets its config, and how it gets there.

use std::path::Path;

use model::{AgentUpdates, ConfigCarrier, ImageRef, LabSpec, Proof, SecureBootRule};
use talos::inline::{InlineError, encode};
use talos::release::{Minor, Version};

use super::fields::{Found, Typed};
use super::mistake::Mistake;
use super::talos::path_in;

/// The words for a level.
const LEVELS: [(&str, Proof); 3] =
    [("address", Proof::Address), ("place", Proof::Place), ("key", Proof::Key)];

/// What agents may be told about builds, by its word.
const UPDATES: [(&str, AgentUpdates); 2] = [("auto", AgentUpdates::Auto), ("hold", AgentUpdates::Hold)];

/// What may be asked of the programs that firmware starts, by its word.
const SECURE_BOOT: [(&str, SecureBootRule); 2] =
    [("off", SecureBootRule::Off), ("required", SecureBootRule::Required)];

/// Judges whether agents take the build that the boss carries.
pub(super) fn agent_updates(typed: &Typed<String>, found: &mut Found) -> Option<AgentUpdates> {
    one_of("agent-updates", typed, UPDATES, found)
}

/// Judges whether what firmware starts must be signed.
pub(super) fn secure_boot(typed: &Typed<String>, found: &mut Found) -> Option<SecureBootRule> {
    one_of("secure-boot", typed, SECURE_BOOT, found)
}

fn one_of<T>(key: &str, typed: &Typed<String>, words: [(&str, T); 2], found: &mut Found) -> Option<T> {
    let known = words.each_ref().map(|(word, _)| *word);
    let value = words.into_iter().find(|(word, _)| *word == typed.value).map(|(_, value)| value);
    if value.is_none() {
        let title = format!("`{key}` cannot be {}", typed.value);
        let [one, other] = known;
        let mistake = Mistake::new(title, typed.place, format!("neither `{one}` nor `{other}`"));
        found.push(mistake.nearest(&typed.value, known, "values"));
    }
    value
}

/// Judges a level that is asked for: it must be one, and something in the lab must be able to prove it.
pub(super) fn proof(typed: &Typed<String>, found: &mut Found) -> Option<Proof> {
    let Some((_, proof)) = LEVELS.into_iter().find(|(word, _)| *word == typed.value) else {
        let title = format!("`proof` cannot be {}", typed.value);
        let mistake = Mistake::new(title, typed.place, "not a level");
        found.push(mistake.nearest(&typed.value, LEVELS.map(|(word, _)| word), "levels"));
        return None;
    };
    let lacks = match proof {
        Proof::Address => return Some(proof),
        Proof::Place => "no switch of this lab tells at which port a machine is",
        Proof::Key => "nothing that this lab boots makes a key",
    };
    let mistake = Mistake::new(format!("nothing here proves a machine by its {proof}"), typed.place, lacks);
    found.push(mistake.help(
        "`proof: address` is what this version can prove; keep strangers off the board's segment meanwhile",
    ));
    None
}

/// Judges how configs get to their machines.
pub(super) fn carrier(typed: &Typed<String>, found: &mut Found) -> Option<ConfigCarrier> {
    match typed.value.as_str() {
        "push" => return Some(ConfigCarrier::Push),
        "pull" => return Some(ConfigCarrier::Pull),
        _ => {}
    }
    let mistake = Mistake::new(
        format!("`carrier` cannot be {}", typed.value),
        typed.place,
        "nothing that carries configs",
    );
    found.push(match typed.value.as_str() {
        "volume" | "nocloud" => {
            let say = "`push` reaches every machine that boots from here; for one beside the lab, `labinator talos \
                       volume NODE -o FILE` writes a volume to attach to it by hand";
            mistake.help(say)
        }
        "inline" => {
            let say = "a config has keys in it, and a kernel line is read by everybody; `push` is the way. Documents \
                       without keys: `inline: FILE`";
            mistake.help(say)
        }
        other => mistake.nearest(other, ["push", "pull"], "carriers"),
    });
    None
}

/// Reads and packs the documents that machines find on their kernel lines, for a release, a carrier and so many bytes of
/// other kernel arguments. `Some(None)` where there are none.
pub(super) fn inline(
    paths: &[Typed<String>],
    folder: &Path,
    (release, carrier, beside): (Option<&str>, Option<ConfigCarrier>, usize),
    found: &mut Found,
) -> Option<Option<String>> {
    let Some(first) = paths.first() else { return Some(None) };
    if carrier == Some(ConfigCarrier::Pull) {
        let mistake = Mistake::new(
            "`inline` does nothing where configs are fetched",
            first.place,
            "Talos has its config before it would look there",
        );
        found.push(mistake.help("make the documents a patch of the config: `patches: { all: FILE }`"));
        return None;
    }
    let release = release.and_then(|text| text.parse::<Version>().ok());
    let release = release.and_then(|version| Minor::of(&version).ok());
    let before = found.len();
    let mut all = Vec::new();
    for typed in paths {
        let Some(path) = path_in(folder, typed, "document", found) else { continue };
        match std::fs::read_to_string(&path) {
            Ok(text) => match encode(&text, release, 0) {
                Ok(_) => all.push(text),
                Err(why) => found.push(unfit(typed, &why)),
            },
            Err(why) => {
                let mistake =
                    Mistake::new(format!("{} cannot be read", typed.value), typed.place, why.to_string());
                found.push(mistake.help("it is seen from the folder of this file"));
            }
        }
    }
    if found.len() > before {
        return None;
    }
    match encode(&all.join("\n---\n"), release, beside) {
        Ok(value) => Some(Some(value)),
        Err(why) => {
            found.push(unfit(first, &why));
            None
        }
    }
}

fn unfit(typed: &Typed<String>, why: &InlineError) -> Mistake {
    let title = format!("{} cannot stand on a kernel line", typed.value);
    Mistake::new(title, typed.place, why.to_string()).help(why.advice())
}

/// What is allowed and still deserves a second thought.
pub(super) fn warnings(spec: &LabSpec) -> Vec<String> {
    let mut all = Vec::new();
    for (name, scenario) in &spec.scenarios {
        let pulls = scenario.talos.as_ref().filter(|talos| talos.carrier == ConfigCarrier::Pull);
        let Some(talos) = pulls else { continue };
        let control: Vec<&str> = talos.control_plane.iter().map(model::NodeName::as_str).collect();
        all.push(format!(
            "scenario {name}: {} fetch their configs in the clear, with the keys of the whole cluster in them; whoever \
             listens on the segment, or takes the address first, has the cluster. `carrier: push` keeps them",
            control.join(", ")
        ));
        if matches!(scenario.image, ImageRef::Files { kernel: None, uki: Some(_), .. }) {
            all.push(format!(
                "scenario {name}: its image is a UKI, which takes no kernel argument, so no machine learns where its \
                 config is, and each ends as config-lost. Give `kernel` and `initrd`, or `carrier: push`"
            ));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The warnings for a cluster of two machines with this beside them.
    fn of(more: &str) -> Vec<String> {
        let lab = include_str!("../../../../labs/talos.yaml");
        let tried =
            format!("scenarios:\n  tried: {{ talos: v1.12, control-plane: [node1, node3], {more} }}\n");
        let text = lab.replace("scenarios:\n", &tried);
        warnings(&crate::config::parse(text.as_bytes(), "lab.yaml", Path::new(".")).unwrap())
    }

    #[test]
    fn a_control_plane_that_fetches_its_config_is_warned_of() {
        assert_eq!(of("carrier: push"), [""; 0]);
        let found = of("carrier: pull");
        assert!(found.len() == 1 && found[0].starts_with("scenario tried: node1, node3 fetch"), "{found:?}");
    }

    #[test]
    fn a_uki_that_is_to_fetch_a_config_is_warned_of() {
        let found = of("carrier: pull, image: { uki: Cargo.toml }");
        assert!(found.len() == 2 && found[1].starts_with("scenario tried: its image is a UKI"), "{found:?}");
        assert_eq!(of("carrier: push, image: { uki: Cargo.toml }"), [""; 0]);
        for hears in ["{ kernel: Cargo.toml, uki: Cargo.toml }", "node"] {
            assert_eq!(of(&format!("carrier: pull, image: {hears}")).len(), 1, "{hears}");
        }
    }
}
