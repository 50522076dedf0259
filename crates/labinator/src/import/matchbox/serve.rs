//! What a machine fetches from matchbox while it boots, made into files that are served here: templates
//! translated, addresses of matchbox replaced, assets named.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::go::{self, Known, literal, quoted};
use super::ipxe::{self, Around};
use super::labels::{Label, Labels, OF_THE_MACHINE, choose};
use super::remark::Remarks;
use super::store::{Group, Store, address};
use super::urls::{self, Endpoint, Wanted, decoded, is_computed, parameters};
use super::{Machine, metadata, names};

/// Stands for an address of matchbox while the text around it is translated.
const HOLE: [char; 2] = ['\u{e000}', '\u{e001}'];
/// Where the translated texts lie, beside the lab file.
pub(super) const FOLDER: &str = "matchbox";

/// Something was lost, and is told already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lost;

/// One file that a machine can fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) path: String,
    /// It is rendered for each machine.
    pub(super) template: bool,
}

/// Everything a machine can fetch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Served {
    pub(super) pieces: BTreeMap<String, Piece>,
    pub(super) folder: Option<String>,
}

/// For whom something is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct For<'a> {
    pub(super) machine: &'a Machine,
    /// The group it boots by: its variables are those of the lab file.
    pub(super) group: &'a Group,
    pub(super) around: Around<'a>,
}

/// Makes files.
pub(super) struct Cook<'a> {
    pub(super) store: &'a Store,
    /// Groups in the order in which they are tried.
    pub(super) groups: Vec<&'a Group>,
    /// What matchbox is called in addresses.
    pub(super) hosts: Vec<String>,
    pub(super) assets: PathBuf,
    /// Folder of the lab file.
    pub(super) home: PathBuf,
    /// The name under which each address is served.
    pub(super) names: BTreeMap<Wanted, String>,
    /// Texts to write, by path from the lab file.
    pub(super) files: BTreeMap<String, String>,
    pub(super) remarks: &'a mut Remarks,
}

impl Cook<'_> {
    /// A path as the lab file names it.
    pub(super) fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.home).unwrap_or(path).to_string_lossy().into_owned()
    }

    /// Takes the addresses of matchbox out of a text.
    /// Holes are counted from `first` on.
    pub(super) fn with_holes(
        &mut self,
        place: &str,
        text: &str,
        first: usize,
    ) -> Result<(String, Vec<Wanted>), Lost> {
        if text.contains(HOLE) {
            self.remarks.lost(place, "it holds characters of Unicode's private area", "");
            return Err(Lost);
        }
        let mut out = String::new();
        let mut wanted = Vec::new();
        let mut from = 0;
        let found = if self.hosts.is_empty() { Vec::new() } else { urls::find(text, &self.hosts) };
        for found in found {
            out.push_str(text.get(from..found.at.start).unwrap_or_default());
            let [begin, end] = HOLE;
            out.push_str(&format!("{begin}{}{end}", first + wanted.len()));
            from = found.at.end;
            wanted.push(found.wanted);
        }
        out.push_str(text.get(from..).unwrap_or_default());
        let low = out.to_lowercase();
        for host in self.hosts.iter().filter(|host| low.contains(host.as_str())) {
            let what = format!("it names matchbox itself ({host}) in a form that is not understood");
            self.remarks.lost(place, what, "write the address out, and import again");
        }
        Ok((out, wanted))
    }

    /// Puts what is served here in their place.
    pub(super) fn filled(
        &mut self,
        (place, text, wanted): (&str, &str, &[Wanted]),
        whom: For<'_>,
        served: &mut Served,
    ) -> Result<String, Lost> {
        let mut ours = Vec::new();
        for one in wanted {
            ours.push(self.want(place, one, whom, served));
        }
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, (number, after))) = next(rest) {
            out.push_str(before);
            let end = if out.ends_with('{') { out.pop() } else { None };
            out.push_str(end.map_or("", |_| "{{ '{' }}"));
            let one = number.parse::<usize>().ok().and_then(|number| ours.get(number));
            match one {
                Some(Ok(name)) if name.is_empty() => out.push_str("{{ seed_url }}"),
                Some(Ok(name)) => out.push_str(&format!("{{{{ seed_url }}}}/{name}")),
                Some(Err(Lost)) | None => return Err(Lost),
            }
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    /// The name under which what an address asks for is served; empty for the whole folder.
    fn want(
        &mut self,
        place: &str,
        wanted: &Wanted,
        whom: For<'_>,
        served: &mut Served,
    ) -> Result<String, Lost> {
        match wanted {
            Wanted::Rendered(endpoint, query) => self.rendered(place, (*endpoint, query), whom, served),
            Wanted::Asset(path) if is_computed(path) => {
                self.remarks.lost(place, format!("which file of the assets it is, is computed: {path}"), "");
                Err(Lost)
            }
            Wanted::Asset(path) => {
                let full = self.assets.join(path);
                let shown = self.shown(&full);
                if path.is_empty() || path.ends_with('/') || full.is_dir() {
                    if served.folder.as_ref().is_some_and(|known| *known != shown) {
                        self.remarks.lost(
                            place,
                            format!("{shown} is the second folder of assets it uses"),
                            "",
                        );
                        return Err(Lost);
                    }
                    served.folder = Some(shown);
                    return Ok(String::new());
                }
                self.missing(place, &full);
                let name = self.named(wanted, path);
                served.pieces.insert(name.clone(), Piece { path: shown, template: false });
                Ok(name)
            }
            Wanted::Other(path) => {
                self.remarks.lost(
                    place,
                    format!("it asks matchbox for {path}, which is not served here"),
                    "",
                );
                Err(Lost)
            }
        }
    }

    /// Says that a file has to be put in its place.
    pub(super) fn missing(&mut self, place: &str, path: &Path) {
        if !path.is_file() {
            let shown = self.shown(path);
            self.remarks.note(
                place,
                format!("{shown} is not there"),
                "put it there, or name the folder with --assets",
            );
        }
    }

    /// The name under which an address is served, the same for every machine.
    pub(super) fn named(&mut self, wanted: &Wanted, file: &str) -> String {
        if let Some(name) = self.names.get(wanted) {
            return name.clone();
        }
        let name = names::served(file, |name| self.names.values().any(|taken| taken == name));
        self.names.insert(wanted.clone(), name.clone());
        name
    }

    fn rendered(
        &mut self,
        place: &str,
        (endpoint, query): (Endpoint, &str),
        whom: For<'_>,
        served: &mut Served,
    ) -> Result<String, Lost> {
        let asked = format!("/{}?{query}", endpoint.name());
        let choice = choose(&self.groups, &labels(query, whom.machine));
        for (group, label) in &choice.unsure {
            let what =
                format!("{asked} may mean this group for {}: its `{label}` is not known", whom.machine.name);
            self.remarks.lost(&group.place, what, whom.machine.advice(label));
        }
        let Some(group) = choice.group else {
            self.remarks.lost(
                place,
                format!("matchbox answers {asked} of {} with 404: no group fits", whom.machine.name),
                "",
            );
            return Err(Lost);
        };
        let file = match (endpoint, self.store.profiles.get(&group.profile)) {
            (Endpoint::Metadata, _) => format!("{}.env", group.id),
            (_, None) => {
                self.remarks.lost(&group.place, format!("there is no profile `{}`", group.profile), "");
                return Err(Lost);
            }
            (Endpoint::Ignition, Some(profile)) => profile.ignition.clone(),
            (Endpoint::Cloud, Some(profile)) => profile.cloud.clone(),
            (Endpoint::Generic, Some(profile)) => profile.generic.clone(),
        };
        if file.is_empty() {
            let what =
                format!("matchbox answers {asked} with 404: profile {} names no file for it", group.profile);
            self.remarks.lost(place, what, "");
            return Err(Lost);
        }
        let wanted = Wanted::Rendered(endpoint, query.to_owned());
        let name = self.named(&wanted, &file);
        if served.pieces.contains_key(&name) {
            return Ok(name);
        }
        // It is there before it is made: a text may name itself.
        served.pieces.insert(name.clone(), Piece { path: String::new(), template: true });
        let text = self.text((endpoint, &file, query), group, whom, served);
        let Ok(text) = text else {
            served.pieces.remove(&name);
            return Err(Lost);
        };
        let path = self.kept(&format!("{FOLDER}/{}/{}", endpoint.name(), plain(&file)), text);
        served.pieces.insert(name.clone(), Piece { path, template: true });
        Ok(name)
    }

    /// Keeps a text under this path, or under one beside it when another lies there.
    fn kept(&mut self, path: &str, text: String) -> String {
        let numbered = |number: u32| match number {
            1 => path.to_owned(),
            number => {
                let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
                let (stem, ending) = file.find('.').map_or((file, ""), |cut| file.split_at(cut));
                format!("{folder}/{stem}-{number}{ending}")
            }
        };
        let mut paths = (1..).map(numbered);
        let free = |path: &String| self.files.get(path).is_none_or(|known| *known == text);
        let path = paths.find(free).unwrap_or_default();
        self.files.insert(path.clone(), text);
        path
    }

    fn text(
        &mut self,
        (endpoint, file, query): (Endpoint, &str, &str),
        group: &Group,
        whom: For<'_>,
        served: &mut Served,
    ) -> Result<String, Lost> {
        let place = format!("{}/{file}", endpoint.name());
        let variables = group.variables();
        let called = match names::variables(&variables, group.mac() == Some(whom.machine.mac)) {
            Ok(called) => called,
            Err((one, other)) => {
                self.remarks.lost(
                    &group.place,
                    format!("`{one}` and `{other}` would be called alike here"),
                    "rename one",
                );
                return Err(Lost);
            }
        };
        let (query, raw) = request(query, whom);
        let known =
            Known { variables: &variables, called: &called, query: &query, raw_query: raw.as_deref() };
        if endpoint == Endpoint::Metadata {
            if raw.is_none() {
                let what = "REQUEST_RAW_QUERY is left out of it: it is not known to the letter";
                self.remarks.note(&format!("metadata of {}", group.place), what, "");
            }
            return Ok(metadata::text(&known));
        }
        let source = self.store.template(endpoint.name(), file).map_err(|why| {
            self.remarks.lost(&place, why, "");
            Lost
        })?;
        let is_ignition = file.ends_with(".ign") || file.ends_with(".ignition");
        if endpoint == Endpoint::Ignition && !is_ignition {
            let stem = place.rsplit_once('.').map_or(place.as_str(), |(stem, _)| stem);
            let help = format!(
                "make Ignition of it, `butane {place} > {stem}.ign`, let `ignition_id` name that, and import again"
            );
            self.remarks.lost(
                &place,
                "it is Butane, which matchbox turns into Ignition and Labinator does not",
                help,
            );
            return Err(Lost);
        }
        if source.contains(";base64,") {
            self.remarks.note(&place, "what is packed inside `data:` addresses was not looked into", "");
        }
        let (text, wanted) = self.with_holes(&place, &source, 0)?;
        let text = match endpoint {
            Endpoint::Ignition => literal(&text),
            Endpoint::Cloud | Endpoint::Generic | Endpoint::Metadata => go::translate(&text, &known)
                .map_err(|faults| {
                    for fault in faults {
                        self.remarks.lost(&format!("{place}:{}", fault.line), fault.what, "");
                    }
                    Lost
                })?,
        };
        let text = self.filled((&place, &text, &wanted), whom, served)?;
        // Another group's variables are not those of the machine; plain Ignition has none.
        let own = group.place == whom.group.place || endpoint == Endpoint::Ignition;
        Ok(if own { text } else { format!("{}{text}", settings(&variables, &called)) })
    }
}

/// The text before the next hole, its number, and the text behind it.
fn next(rest: &str) -> Option<(&str, (&str, &str))> {
    let [begin, end] = HOLE;
    rest.split_once(begin).and_then(|(before, after)| Some((before, after.split_once(end)?)))
}

/// The variables of another group than the one a machine boots by, written into the template.
fn settings(variables: &Map<String, Value>, called: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    for (name, value) in variables {
        if let Some(ours) = called.get(name).filter(|ours| *ours != "mac") {
            out.push_str(&format!("{{% set {ours} = {} %}}\n", expression(value)));
        }
    }
    out
}

/// A value as an expression of our templates.
pub(super) fn expression(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::Bool(so) => so.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(all) => {
            let all: Vec<String> = all.iter().map(expression).collect();
            format!("[{}]", all.join(", "))
        }
        Value::Object(all) => {
            let all: Vec<String> =
                all.iter().map(|(key, value)| format!("{}: {}", quoted(key), expression(value))).collect();
            format!("{{ {} }}", all.join(", "))
        }
    }
}

/// Labels of a request with this query.
fn labels(query: &str, machine: &Machine) -> Labels {
    let mut all = Labels::new();
    for (key, value) in parameters(query) {
        let own = OF_THE_MACHINE.contains(&key).then(|| machine.label(key));
        let label = match (is_computed(value), own) {
            (true, Some(own)) => own,
            (true, None) => Label::Unknown,
            (false, _) if key.eq_ignore_ascii_case("mac") => match address(&decoded(value)) {
                Ok(mac) => Label::Known(mac.to_string()),
                // matchbox passes over an address it cannot read.
                Err(_) => continue,
            },
            (false, _) => Label::Known(decoded(&value.replace('+', " "))),
        };
        all.insert(key.to_owned(), label);
    }
    all
}

/// The request as templates see it: each parameter, and the whole query, as expressions.
fn request(query: &str, whom: For<'_>) -> (BTreeMap<String, String>, Option<String>) {
    let mut all = BTreeMap::new();
    let mut raw = Some(Vec::new());
    for (at, (key, value)) in parameters(query).enumerate() {
        let before = format!("{}{key}=", if at == 0 { "" } else { "&" });
        let ours = match (is_computed(value), value.strip_prefix("${").and_then(|v| v.strip_suffix('}'))) {
            (false, _) if key == "mac" => {
                address(&decoded(value)).ok().map(|mac| (quoted(&mac.to_string()), quoted(value)))
            }
            (false, _) => Some((quoted(&decoded(&value.replace('+', " "))), quoted(value))),
            (true, Some(inner)) => ipxe::setting(inner, whom.around).map(|as_sent| {
                // matchbox writes the address in its own form, whatever form it came in.
                (if key == "mac" { "mac".to_owned() } else { as_sent.clone() }, as_sent)
            }),
            (true, None) if key == "mac" => Some(("mac".to_owned(), String::new())),
            (true, None) => None,
        };
        let sent = ours.as_ref().map(|(_, sent)| sent.clone()).filter(|sent| !sent.is_empty());
        raw = raw.zip(sent).map(|(mut parts, sent)| {
            parts.extend([quoted(&before), sent]);
            parts
        });
        if let Some((value, _)) = ours {
            all.insert(key.to_owned(), value);
        }
    }
    let raw = raw.map(|parts| if parts.is_empty() { "\"\"".to_owned() } else { parts.join(" ~ ") });
    (all, raw)
}

/// A name of matchbox as a path of ours.
fn plain(file: &str) -> String {
    let parts: Vec<&str> = file.split('/').filter(|part| !matches!(*part, "" | "." | "..")).collect();
    parts.join("/")
}
