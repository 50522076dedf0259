//! Every example of `labs/` is right, and every wrong file of `tests/check/` is answered as its `.txt` says.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

use std::path::{Path, PathBuf};

use labinator::config;

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == ending))
        .collect();
    all.sort();
    assert!(!all.is_empty(), "no {ending} files in {}", folder.display());
    all
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// Compares with the golden file, or writes it when `UPDATE_GOLDEN` is set.
fn same_as_golden(path: &Path, text: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, text).unwrap();
        return;
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(text, golden, "{} differs; UPDATE_GOLDEN=1 writes it anew", path.display());
}

#[test]
fn every_example_lab_is_right() {
    for path in files(&here().join("../../labs"), "yaml") {
        if let Err(mistakes) = config::load(&path) {
            panic!("{mistakes}");
        }
    }
}

#[test]
fn every_wrong_file_is_answered_as_written_down() {
    for path in files(&here().join("tests/check"), "yaml") {
        let bytes = std::fs::read(&path).unwrap();
        let mistakes = config::parse(&bytes, &name_of(&path), Path::new("")).unwrap_err();
        same_as_golden(&path.with_extension("txt"), &format!("{mistakes}\n"));
        let lines = mistakes.lines();
        assert_eq!(lines.len(), mistakes.found().len());
        for line in lines {
            let head = format!("{}:{}:{}", name_of(&path), line.line, line.column);
            assert!(line.line == 0 || mistakes.to_string().contains(&head), "{head} is not shown");
        }
    }
}

#[test]
fn a_wrong_file_is_answered_in_colour_with_the_same_words() {
    for path in files(&here().join("tests/check"), "yaml") {
        let bytes = std::fs::read(&path).unwrap();
        let mistakes = config::parse(&bytes, &name_of(&path), Path::new("")).unwrap_err();
        let coloured = mistakes.render(true, 140);
        let mut plain = String::new();
        let mut rest = coloured.as_str();
        while let Some((before, after)) = rest.split_once("\x1b[") {
            plain.push_str(before);
            rest = after.split_once('m').map_or("", |(_, text)| text);
        }
        plain.push_str(rest);
        assert_eq!(plain, mistakes.render(false, 140), "{}", name_of(&path));
    }
}

#[test]
fn a_file_with_one_line_missing_is_right_or_says_what_is_wrong() {
    for path in files(&here().join("../../labs"), "yaml") {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for left_out in 0..lines.len() {
            let kept: Vec<&str> =
                lines.iter().enumerate().filter(|(n, _)| *n != left_out).map(|(_, l)| *l).collect();
            if let Err(mistakes) = config::parse(kept.join("\n").as_bytes(), "lab.yaml", Path::new("")) {
                assert!(!mistakes.found().is_empty(), "without line {left_out}");
            }
        }
    }
}

#[test]
fn a_file_cut_anywhere_or_with_a_changed_byte_never_panics_and_never_fails_without_a_reason() {
    std::thread::scope(|scope| {
        for path in files(&here().join("../../labs"), "yaml") {
            // How many machines a rack has does not change how the file reads, but takes its time at each cut.
            let text = std::fs::read_to_string(&path).unwrap().replace("count: 4500", "count: 40");
            scope.spawn(move || cut_and_changed(text.as_bytes()));
        }
    });
}

#[expect(clippy::indexing_slicing, reason = "a test may stop")]
fn cut_and_changed(bytes: &[u8]) {
    for at in (0..bytes.len()).step_by(29) {
        let mut changed = bytes.to_vec();
        for other in [b'}', b'\n', b':', b'\'', 0xff] {
            changed[at] = other;
            if let Err(mistakes) = config::parse(&changed, "lab.yaml", Path::new("")) {
                assert!(!mistakes.found().is_empty());
                assert!(!mistakes.render(true, 80).is_empty());
            }
        }
        if let Err(mistakes) = config::parse(&bytes[..at], "lab.yaml", Path::new("")) {
            assert!(!mistakes.found().is_empty(), "cut at {at}");
        }
    }
}

#[test]
fn the_example_means_what_it_says() {
    let spec = config::load(&here().join("../../labs/board.yaml")).unwrap();
    assert_eq!(spec.lab.as_str(), "wall");
    assert_eq!(spec.network.lease_seconds, 3600);
    assert_eq!((spec.board.columns, spec.board.rows), (3, 2));
    let physical = &spec.scenarios[&"physical".parse().unwrap()];
    assert_eq!(physical.enough, 5);
    let order: Vec<&str> = physical.nodes.iter().map(model::NodeName::as_str).collect();
    assert_eq!(order, ["node1", "node2", "node3", "node4", "node5", "node6"]);
    assert_eq!(spec.limits.first_ask, model::Span::secs(180));
    assert_eq!(spec.limits.fetch, model::Limits::default().fetch);
}

#[test]
fn nodes_of_a_scenario_come_in_the_boards_order_however_they_were_listed() {
    let text = std::fs::read_to_string(here().join("../../labs/demo.yaml")).unwrap();
    let text = text.replace("[node1, node2]", "[node6, node2, node3, node1]");
    let spec = config::parse(text.as_bytes(), "lab.yaml", Path::new("")).unwrap();
    let bios = &spec.scenarios[&"bios".parse().unwrap()];
    let order: Vec<&str> = bios.nodes.iter().map(model::NodeName::as_str).collect();
    assert_eq!(order, ["node1", "node3", "node2", "node6"]);
}

#[test]
fn paths_are_seen_from_the_lab_files_folder() {
    let folder = here().join("../../labs");
    let spec = config::load(&folder.join("any-system.yaml")).unwrap();
    let expected = model::ImageRef::Files {
        kernel: None,
        initrd: Vec::new(),
        uki: Some(folder.join("assets/system.efi").display().to_string()),
        args: String::new(),
    };
    assert_eq!(spec.scenarios[&"uki".parse().unwrap()].image, expected);
}

#[test]
fn a_file_that_is_not_there_says_so_and_shows_no_place() {
    let mistakes = config::load(Path::new("/nowhere/lab.yaml")).unwrap_err();
    assert_eq!(mistakes.lines()[0].line, 0);
    assert!(mistakes.to_string().starts_with("error: cannot read /nowhere/lab.yaml"), "{mistakes}");
}

#[test]
fn the_schema_asks_for_the_same_keys_as_the_reader() {
    let schema = config::schema();
    let required = |of: &serde_json::Value| {
        let mut keys: Vec<String> =
            of["required"].as_array().unwrap().iter().map(|k| k.as_str().unwrap().to_owned()).collect();
        keys.sort();
        keys
    };
    assert_eq!(required(&schema), ["board", "lab", "network", "power"]);
    assert_eq!(required(&schema["$defs"]["NodeFile"]), ["at", "ip", "mac", "power"]);
    assert_eq!(required(&schema["$defs"]["NetworkFile"]), ["boss", "dhcp", "interface", "subnet"]);
    let ways = schema["$defs"]["ScenarioFile"]["anyOf"].as_array().unwrap();
    let ways: Vec<_> = ways.iter().map(required).collect();
    assert_eq!(ways, [["image", "nodes"], ["control-plane", "talos"]]);
    // A key that the reader does not know is a mistake: so every key of the schema must be known to it.
    for (shape, properties) in schema["$defs"].as_object().unwrap() {
        for key in properties["properties"].as_object().into_iter().flatten().map(|(key, _)| key) {
            assert!(key != "place" && key != "later", "{shape} shows {key}");
        }
    }
}

#[test]
fn every_way_to_get_stuck_has_its_page() {
    use model::FaultCode::{
        AgentLost, ConfigLost, ConfigRefused, CrashLooping, FetchStalled, GuestRefused, HostLost, Impostor,
        InstallStalled, KernelSilent, NeverAsked, NoControlPlane, NotJoined, PowerRefused, PowerUnknown,
        PowerUnseen,
    };
    let folder = here().join("../../docs/operating");
    let index = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let faults = [
        NeverAsked,
        FetchStalled,
        KernelSilent,
        InstallStalled,
        AgentLost,
        PowerRefused,
        PowerUnseen,
        PowerUnknown,
        ConfigLost,
        ConfigRefused,
        Impostor,
        NotJoined,
        NoControlPlane,
        HostLost,
        GuestRefused,
        CrashLooping,
    ];
    for fault in faults {
        // A new fault must be added above, with a page of its own.
        match fault {
            NeverAsked | FetchStalled | KernelSilent | InstallStalled | AgentLost | PowerRefused
            | PowerUnseen | PowerUnknown | ConfigLost | ConfigRefused | Impostor | NotJoined
            | NoControlPlane | HostLost | GuestRefused | CrashLooping => {}
        }
    }
    let refusals = [
        lifecycle::Refusal::UnknownScenario { asked: String::new(), known: Vec::new() }.code(),
        lifecycle::Refusal::UnknownNode { asked: String::new(), known: Vec::new() }.code(),
        lifecycle::Refusal::ImageMissing { scenario: "x".parse().unwrap(), lacks: Vec::new() }.code(),
        lifecycle::Refusal::AnotherRunning { running: "x".parse().unwrap() }.code(),
        lifecycle::Refusal::Stopping.code(),
        lifecycle::Refusal::CounterAway.code(),
        lifecycle::Refusal::ImagesUnread.code(),
        lifecycle::Refusal::NotInstalling { node: "x".parse().unwrap() }.code(),
        lifecycle::Refusal::SwitchedByHand { node: "x".parse().unwrap() }.code(),
    ];
    let names = faults.map(|f| f.to_string()).into_iter().chain(refusals.map(|r| r.replace('_', "-")));
    for name in names {
        let page = std::fs::read_to_string(folder.join(format!("{name}.md"))).unwrap_or_default();
        assert!(page.starts_with(&format!("# {name}: ")), "{name} has no page");
        assert!(index.contains(&format!("({name}.md)")), "{name} is not in the index");
    }
}

#[test]
fn every_command_and_link_in_the_pages_is_right() {
    use clap::Parser;
    for path in files(&here().join("../../docs/operating"), "md") {
        let text = std::fs::read_to_string(&path).unwrap();
        for code in text.split('`').skip(1).step_by(2).filter(|code| code.starts_with("labinator ")) {
            if let Err(wrong) = labinator::cli::Cli::try_parse_from(code.split_whitespace()) {
                panic!("{}: `{code}`: {wrong}", name_of(&path));
            }
        }
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, place) = link.split_once('#').unwrap_or((link, ""));
            let there = std::fs::read_to_string(path.with_file_name(file)).unwrap_or_default();
            // A title's place is its words in small letters with dashes between them.
            let titles = there.lines().filter_map(|line| line.strip_prefix("## "));
            let mut places = titles.map(|title| title.to_lowercase().replace(' ', "-"));
            let found = !there.is_empty() && (place.is_empty() || places.any(|found| found == place));
            assert!(found, "{}: {link}", name_of(&path));
        }
    }
}

/// What `labinator check` says of the lab in this folder below `tests/check`.
fn checked(folder: &str) -> std::process::Output {
    let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_labinator"));
    program.args(["check", "lab.yaml"]).current_dir(here().join("tests/check").join(folder));
    program.output().unwrap()
}

#[test]
fn manifests_that_cannot_be_installed_are_told_of_at_their_places() {
    let done = checked("manifests");
    assert_eq!(done.status.code(), Some(1));
    same_as_golden(&here().join("tests/check/manifests/lab.txt"), &String::from_utf8(done.stdout).unwrap());
}

/// A `helm` that renders what stands beside it.
const HELM: &str =
    "#!/bin/sh\n[ \"$1 $2 $3\" = 'template --include-crds --no-hooks' ] || exit 9\ncat rendered\n";

#[test]
fn a_bundle_is_rendered_once_and_held_to_its_digest() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = std::env::temp_dir().join(format!("labinator-bundle-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write("helm", HELM);
    std::fs::set_permissions(folder.join("helm"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let lab = std::fs::read_to_string(here().join("tests/check/manifests/lab.yaml")).unwrap();
    let head = lab.split("scenarios:").next().unwrap();
    write(
        "lab.yaml",
        &format!("{head}scenarios:\n  one: {{ talos: v1.12, control-plane: [node1], install: web.yaml }}\n"),
    );
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: settings }\n";
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let run = |words: &[&str]| {
        let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_labinator"));
        let done = program.args(words).current_dir(&folder).env("PATH", &path).output().unwrap();
        let said = String::from_utf8_lossy(&[&done.stdout[..], &done.stderr].concat()).into_owned();
        (done.status.success(), said)
    };
    let render = ["bundle", "helm", "web", "charts/web", "--values", "values.yaml", "--output", "web.yaml"];
    write(
        "rendered",
        "apiVersion: v1\nkind: Pod\nmetadata: { name: a, annotations: { helm.sh/hook: test } }\n",
    );
    let (well, said) = run(&render);
    assert!(!well && said.contains("Pod a is a Helm hook"), "{said}");
    assert!(!folder.join("web.yaml").exists(), "what cannot be applied is not written");
    write("rendered", map);
    let (well, said) = run(&render);
    assert!(well && said.contains("1 objects, sha256 "), "{said}");
    assert_eq!(std::fs::read_to_string(folder.join("web.yaml")).unwrap(), map);
    assert!(run(&["check", "lab.yaml"]).0 && run(&["bundle", "verify", "web.yaml"]).0);
    write("web.yaml", &map.replace("settings", "others"));
    let (well, said) = run(&["check", "lab.yaml"]);
    assert!(!well && said.contains("it has sha256 ") && said.contains("lab.yaml:11"), "{said}");
    write("web.yaml", map);
    write("rendered", &map.replace("settings", "others"));
    let (well, said) = run(&["bundle", "verify", "web.yaml"]);
    assert!(!well && said.contains("is pinned"), "{said}");
    write("by-hand.yaml", map);
    let (well, said) = run(&["bundle", "kustomize", ".", "--output", "by-hand.yaml"]);
    assert!(!well && said.contains("no `bundle` wrote it"), "{said}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn several_files_are_checked_and_the_worst_decides() {
    let folder = here().join("tests/check");
    let good = here().join("../../labs/talos.yaml");
    let good = std::fs::canonicalize(good).unwrap().display().to_string();
    let run = |files: &[&str]| {
        let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_labinator"));
        let done = program.arg("check").args(files).current_dir(&folder).output().unwrap();
        (done.status.code(), String::from_utf8(done.stdout).unwrap())
    };
    let wrong = files(&folder, "yaml").into_iter().next().unwrap();
    let wrong = wrong.file_name().unwrap().to_str().unwrap().to_owned();
    let well = format!("{good}: lab ");
    let (code, said) = run(&[&wrong, &good]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&wrong) && said.contains(&well), "{said}");
    let (code, said) = run(&[&good, &good]);
    assert!(code == Some(0) && said.matches(&well).count() == 2, "{said}");
    assert_eq!(run(&[]).0, Some(2));
}
