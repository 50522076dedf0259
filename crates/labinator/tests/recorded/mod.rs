//! What matchbox 0.11 answered for `fixtures/matchbox`, and how the same is said here.

use std::fs;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

/// Where each address of matchbox is served.
pub(crate) const SERVED: [(&str, &str, &str); 9] = [
    ("node1", "ignition?uuid={uuid}&mac={mac}", "worker-2.ign"),
    ("node1", "generic?mac={mac}&part=env", "worker-3.env"),
    ("node2", "ignition?uuid={uuid}&mac={mac}", "worker-2.ign"),
    ("node2", "generic?mac={mac}&part=env", "worker-3.env"),
    ("node3", "cloud?mac={mac}&region=edge", "edge.yaml"),
    ("node4", "generic?mac={mac}&stage=one", "preseed.cfg"),
    ("node4", "ignition?mac={mac}&os=installed", "worker.ign"),
    ("node4", "generic?mac={mac}&os=installed&part=late", "worker-2.env"),
    ("node4", "metadata?mac={mac}&os=installed", "installed.env"),
];

#[derive(Deserialize)]
pub(crate) struct Recorded {
    pub(crate) node: String,
    pub(crate) request: String,
    pub(crate) answer: String,
}

pub(crate) fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

pub(crate) fn recorded() -> Vec<Recorded> {
    serde_json::from_str(&fs::read_to_string(fixtures().join("matchbox-answers.json")).unwrap()).unwrap()
}

pub(crate) fn dashed(node: &str) -> String {
    format!("02-4c-41-42-00-0{}", node.trim_start_matches("node"))
}

pub(crate) fn filled(text: &str, node: &str) -> String {
    let uuid = format!("5a000000-0000-0000-0000-00000000000{}", node.trim_start_matches("node"));
    text.replace("{uuid}", &uuid).replace("{mac}", &dashed(node))
}

/// A text of matchbox with every address of it as Labinator has it.
pub(crate) fn as_ours(text: &str, node: &str) -> String {
    const MATCHBOX: &str = "http://matchbox.lan:8080";
    let base = format!("http://10.79.0.1/n/{}", dashed(node));
    let mut text = text.to_owned();
    let own = || SERVED.into_iter().filter(|(of, ..)| *of == node);
    for (_, request, name) in own() {
        let request = request.replace("{uuid}", "${uuid}").replace("{mac}", "${mac:hexhyp}");
        text = text.replace(&format!("{MATCHBOX}/{request}"), &format!("{base}/{name}"));
    }
    text = text
        .replace("${mac:hexhyp}", &dashed(node))
        .replace("${net0/mac:hexhyp}", &dashed(node))
        .replace("${hostname}", node)
        .replace(&format!("{MATCHBOX}/assets/edge/tools/tools.raw"), &format!("{base}/tools.raw"))
        // One address names a machine by its number, whoever asks.
        .replace(
            &format!("{MATCHBOX}/generic?mac=02-4c-41-42-00-01&part=env"),
            &format!("{base}/worker.env"),
        );
    for (of, request, name) in own() {
        let request = filled(request, of).replace(&dashed(node), &dashed(node).replace('-', ":"));
        text = text.replace(&format!("{MATCHBOX}/{request}"), &format!("{base}/{name}"));
    }
    text
}

/// What stays of JSON when everything empty is taken out: matchbox writes every field of Ignition, and its own
/// version of it.
fn essence(value: Value) -> Value {
    match value {
        Value::Object(all) => all
            .into_iter()
            .map(|(key, value)| (key, essence(value)))
            .filter(|(key, value)| key != "version" && *value != serde_json::json!({}))
            .collect(),
        Value::Array(all) => all.into_iter().map(essence).collect(),
        other => other,
    }
}

pub(crate) fn same_text(ours: &str, theirs: &str, (name, node): (&str, &str)) {
    if name.ends_with(".ign") {
        let parsed = |text: &str| essence(serde_json::from_str(text).unwrap());
        // The ampersand is written in JSON's long form.
        assert_eq!(parsed(ours), parsed(&as_ours(&theirs.replace("\\u0026", "&"), node)), "{name} of {node}");
    } else if name == "installed.env" {
        // matchbox's order is that of a Go map: chance.
        let sorted = |text: &str| {
            // The letters of the request are chance too: how the machine writes its address.
            let lines = text.lines().filter(|line| !line.starts_with("REQUEST_RAW_QUERY="));
            let mut lines: Vec<String> = lines.map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(ours), sorted(theirs), "{name} of {node}");
    } else {
        assert_eq!(ours, as_ours(theirs, node), "{name} of {node}");
    }
}

/// The scenario of the profile that a machine boots.
pub(crate) fn profile_of(node: &str) -> &'static str {
    match node {
        "node3" => "edge",
        "node4" => "install",
        _ => "worker",
    }
}

/// The name under which what a request asked for is served.
pub(crate) fn served_as(node: &str, request: &str) -> &'static str {
    let found =
        SERVED.iter().find(|(of, wanted, _)| *of == node && filled(&format!("/{wanted}"), of) == request);
    found.map(|(_, _, name)| *name).unwrap()
}

/// The machines that no group names by their address.
pub(crate) const MACHINES: [&str; 4] =
    ["--machine", "node3=02:4c:41:42:00:03,region=edge", "--machine", "node4=02:4c:41:42:00:04"];
