//! matchbox's folder as it lies on the disk: which files it reads, and what it makes of them
//! (`matchbox/storage/filestore.go`, `storagepb/group.go`, `storagepb/profile.go`; version 0.11).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use model::MacAddr;
use serde_json::{Map, Value};

use super::remark::Remarks;

/// Largest file of the folder that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// Machines that get the same profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    /// Its file, from matchbox's folder.
    pub(super) place: String,
    /// The file's name without its ending.
    pub(super) id: String,
    /// What people call it; empty where nobody says.
    pub(super) name: String,
    /// Name of the profile's file without its ending.
    pub(super) profile: String,
    /// Labels that a request must have, all of them.
    pub(super) selector: BTreeMap<String, String>,
    /// What templates know.
    pub(super) metadata: Map<String, Value>,
}

impl Group {
    /// The address in its selector. A key written `MAC` is another label: requests say `mac`.
    pub(super) fn mac(&self) -> Option<MacAddr> {
        self.selector.get("mac")?.parse().ok()
    }

    /// What its templates know: metadata, over it the selector with its keys in small letters
    /// (`matchbox/http/parse.go`).
    pub(super) fn variables(&self) -> Map<String, Value> {
        let mut all = self.metadata.clone();
        let selector = self.selector.iter();
        all.extend(selector.map(|(key, value)| (key.to_lowercase(), Value::String(value.clone()))));
        all.remove("request");
        all
    }
}

/// What is booted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Profile {
    /// Its file, from matchbox's folder.
    pub(super) place: String,
    /// The file's name without its ending.
    pub(super) id: String,
    /// What people call it; empty where nobody says.
    pub(super) name: String,
    pub(super) kernel: String,
    pub(super) initrd: Vec<String>,
    pub(super) args: Vec<String>,
    /// File below `ignition`, `cloud` and `generic`; empty for none.
    pub(super) ignition: String,
    pub(super) cloud: String,
    pub(super) generic: String,
}

/// Everything that was read.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) folder: PathBuf,
    pub(super) groups: Vec<Group>,
    pub(super) profiles: BTreeMap<String, Profile>,
}

impl Store {
    /// Reads groups and profiles. Files that matchbox passes over are told of.
    ///
    /// # Errors
    /// A folder that is needed cannot be read.
    pub(super) fn read(folder: &Path, groups: &Path, remarks: &mut Remarks) -> Result<Self, String> {
        let mut store = Self { folder: folder.to_owned(), groups: Vec::new(), profiles: BTreeMap::new() };
        for (place, id, root) in documents(groups, "groups", remarks)? {
            match group(&place, &id, &root, remarks) {
                Ok(group) => store.groups.push(group),
                Err(why) => remarks.lost(&place, format!("matchbox passes over this group: {why}"), ""),
            }
        }
        for (place, id, root) in documents(&folder.join("profiles"), "profiles", remarks)? {
            match profile(&place, &id, &root, remarks) {
                Ok(profile) => {
                    store.profiles.insert(id, profile);
                }
                Err(why) => remarks.lost(&place, format!("matchbox passes over this profile: {why}"), ""),
            }
        }
        Ok(store)
    }

    /// A template below `ignition`, `cloud` or `generic`.
    pub(super) fn template(&self, kind: &str, name: &str) -> Result<String, String> {
        // A name that climbs out of its folder is cut to what is left of it, as matchbox does.
        let inner = name.split('/').filter(|part| !matches!(*part, "" | "." | ".."));
        read(&inner.fold(self.folder.join(kind), |path, part| path.join(part)))
    }
}

fn read(path: &Path) -> Result<String, String> {
    let about = fs::metadata(path).map_err(|why| why.to_string())?;
    if about.len() > LARGEST {
        return Err(format!("it is larger than {LARGEST} bytes"));
    }
    fs::read_to_string(path).map_err(|why| why.to_string())
}

/// A JSON file: its place, its name without the ending, its content.
type Document = (String, String, Map<String, Value>);

/// Every JSON file of a folder.
fn documents(folder: &Path, called: &str, remarks: &mut Remarks) -> Result<Vec<Document>, String> {
    let entries = fs::read_dir(folder).map_err(|why| format!("{}: {why}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let mut all = Vec::new();
    for path in paths {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let place = format!("{called}/{name}");
        let Some(id) = name.strip_suffix(".json").filter(|_| path.is_file()) else {
            if !name.starts_with('.') {
                remarks.note(&place, "matchbox reads only *.json here, and no folders", "");
            }
            continue;
        };
        let parsed = read(&path).and_then(|text| {
            serde_json::from_str(&text).map_err(|why: serde_json::Error| format!("it is no JSON: {why}"))
        });
        match parsed {
            Ok(Value::Object(root)) => all.push((place, id.to_owned(), root)),
            Ok(_) => remarks.lost(&place, "matchbox passes over this file: it is no object", ""),
            Err(why) => remarks.lost(&place, format!("matchbox passes over this file: {why}"), ""),
        }
    }
    Ok(all)
}

/// Fields of an object. Go finds them in any case of letters, and passes over those it does not know.
struct Fields<'a> {
    place: &'a str,
    rest: BTreeMap<String, &'a Value>,
}

impl<'a> Fields<'a> {
    fn open(place: &'a str, root: &'a Map<String, Value>) -> Self {
        Self { place, rest: root.iter().map(|(key, value)| (key.to_lowercase(), value)).collect() }
    }

    fn take(&mut self, key: &str) -> Option<&'a Value> {
        self.rest.remove(key).filter(|value| !value.is_null())
    }

    fn text(&mut self, key: &str) -> Result<String, String> {
        match self.take(key) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(format!("`{key}` is no text")),
        }
    }

    fn texts(&mut self, key: &str) -> Result<Vec<String>, String> {
        let wrong = || format!("`{key}` is no list of texts");
        let Some(value) = self.take(key) else { return Ok(Vec::new()) };
        let text = |one: &Value| one.as_str().map(str::to_owned).ok_or_else(wrong);
        value.as_array().ok_or_else(wrong)?.iter().map(text).collect()
    }

    fn object(&mut self, key: &str) -> Result<Option<&'a Map<String, Value>>, String> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Object(all)) => Ok(Some(all)),
            Some(_) => Err(format!("`{key}` is no object")),
        }
    }

    fn close(self, remarks: &mut Remarks) {
        for key in self.rest.keys() {
            remarks.note(self.place, format!("matchbox knows no `{key}`, and nothing was made of it"), "");
        }
    }
}

fn group(place: &str, id: &str, root: &Map<String, Value>, remarks: &mut Remarks) -> Result<Group, String> {
    let mut fields = Fields::open(place, root);
    fields.text("id")?;
    let name = fields.text("name")?;
    let profile = fields.text("profile")?;
    let mut selector = BTreeMap::new();
    for (key, value) in fields.object("selector")?.into_iter().flatten() {
        let text = value.as_str().ok_or_else(|| format!("`{key}` of its selector is no text"))?;
        // Written in any of Go's forms, compared in one.
        let text = if key.eq_ignore_ascii_case("mac") { address(text)?.to_string() } else { text.to_owned() };
        selector.insert(key.clone(), text);
    }
    let metadata = fields.object("metadata")?.cloned().unwrap_or_default();
    fields.close(remarks);
    let metadata =
        metadata.into_iter().map(|(key, value)| (key, as_printed(value, place, remarks))).collect();
    let metadata: Map<String, Value> = metadata;
    if metadata.contains_key("request") {
        remarks.note(place, "metadata called `request` is hidden by the request itself", "");
    }
    let (place, id) = (place.to_owned(), id.to_owned());
    Ok(Group { place, id, name, profile, selector, metadata })
}

/// Go reads every number as a float and prints it in its shortest form (package `fmt`, verb `%v`): one that looks
/// different then becomes the text that machines were told.
fn as_printed(value: Value, place: &str, remarks: &mut Remarks) -> Value {
    match value {
        Value::Number(number) => {
            let (written, printed) = (number.to_string(), printed(&number));
            if written == printed {
                return Value::Number(number);
            }
            let what =
                format!("matchbox prints the number {written} of its metadata as {printed}, and so it stays");
            remarks.note(place, what, "correct it in the lab file if it was not meant");
            Value::String(printed)
        }
        Value::Array(all) => all.into_iter().map(|one| as_printed(one, place, remarks)).collect(),
        Value::Object(all) => {
            all.into_iter().map(|(key, one)| (key, as_printed(one, place, remarks))).collect()
        }
        Value::Null | Value::Bool(_) | Value::String(_) => value,
    }
}

/// A number as Go prints it: with an exponent below 0.0001 and from 1,000,000 on.
fn printed(number: &serde_json::Number) -> String {
    let Some(value) = number.as_f64() else { return number.to_string() };
    let shortest = format!("{value:e}");
    let (digits, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    match exponent.parse::<i32>() {
        Ok(exponent) if (-4..6).contains(&exponent) => value.to_string(),
        Ok(exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
        }
        Err(_) => shortest,
    }
}

/// An Ethernet address in one of the three forms Go knows.
pub(super) fn address(text: &str) -> Result<MacAddr, String> {
    let dotted: String = text.split('.').collect();
    let pairs: Vec<&str> = (0..6).filter_map(|at| dotted.get(at * 2..at * 2 + 2)).collect();
    let written = if text.contains('.') && dotted.len() == 12 { pairs.join(":") } else { text.to_owned() };
    written.parse().map_err(|_| format!("`{text}` is not an Ethernet address of six bytes"))
}

fn profile(
    place: &str,
    id: &str,
    root: &Map<String, Value>,
    remarks: &mut Remarks,
) -> Result<Profile, String> {
    let mut fields = Fields::open(place, root);
    if fields.text("id")?.is_empty() {
        return Err("it has no `id`".to_owned());
    }
    let boot = fields.object("boot")?.cloned().unwrap_or_default();
    let mut booted = Fields::open(place, &boot);
    let profile = Profile {
        place: place.to_owned(),
        id: id.to_owned(),
        name: fields.text("name")?,
        kernel: booted.text("kernel")?,
        initrd: booted.texts("initrd")?,
        args: booted.texts("args")?,
        ignition: fields.text("ignition_id")?,
        cloud: fields.text("cloud_id")?,
        generic: fields.text("generic_id")?,
    };
    booted.close(remarks);
    fields.close(remarks);
    Ok(profile)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group_of(text: &str) -> Result<Group, String> {
        group(
            "groups/a.json",
            "a",
            serde_json::from_str::<Value>(text).unwrap().as_object().unwrap(),
            &mut Remarks::default(),
        )
    }

    #[test]
    fn addresses_are_read_in_every_form_that_go_knows() {
        for text in ["52:54:00:AB:cd:ef", "52-54-00-ab-cd-ef", "5254.00ab.cdef"] {
            assert_eq!(address(text).unwrap().to_string(), "52:54:00:ab:cd:ef", "{text}");
        }
        for text in ["", "52:54:00:ab:cd", "52:54:00:ab:cd:ef:00:01", "5254.00ab.cde"] {
            assert!(address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_are_printed_as_go_does() {
        // As matchbox 0.11 printed them.
        for (written, told) in [
            ("1000000", "1e+06"),
            ("123456789", "1.23456789e+08"),
            ("3.0", "3"),
            ("2.5", "2.5"),
            ("1e21", "1e+21"),
            ("0.00001", "1e-05"),
            ("123456", "123456"),
            ("-7", "-7"),
            ("0", "0"),
        ] {
            assert_eq!(printed(&serde_json::from_str(written).unwrap()), told, "{written}");
        }
    }

    #[test]
    fn a_selector_outranks_metadata_and_hides_the_case_of_its_keys() {
        let group = group_of(
            r#"{"Profile":"p","selector":{"mac":"52-54-00-AB-CD-EF","Region":"us"},"metadata":{"region":"eu","request":1,"n":3}}"#,
        )
        .unwrap();
        let told: Vec<String> =
            group.variables().iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(told, ["mac=\"52:54:00:ab:cd:ef\"", "n=3", "region=\"us\""]);
        assert_eq!(
            (group.profile.as_str(), group.mac().unwrap().to_string().as_str()),
            ("p", "52:54:00:ab:cd:ef")
        );
        assert!(group_of(r#"{"selector":{"a":1}}"#).is_err());
        assert!(group_of(r#"{"selector":{"mac":"x"}}"#).is_err());
    }
}
