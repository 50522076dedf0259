//! Reading a device's options: what is missing, of another driver, or not what it should look like is said with its place.

use std::collections::BTreeSet;

use model::{DeviceSpec, SecretRef, Span};

use super::super::fields::{Found, Typed, number_of, text_of, texts_of};
use super::super::file::PowerFile;
use super::super::mistake::Mistake;
use super::super::network::duration;
use super::super::words::listed;
use super::super::yaml::{Node, Place};
use super::{Given, Kind, Opt, PortNames, Shape};

/// Pause between two machines that are switched on, unless told: what six small supplies take at once trips one of them.
const STAGGER: Span = Span(500);

/// What every device can be told.
const COMMON: &[&str] = &["stagger", "protect", "standby"];

/// The options of one device, being read.
#[derive(Debug)]
pub(in crate::config) struct Read<'a> {
    /// The driver's name in the lab file.
    word: &'static str,
    /// What it can be told.
    known: &'static [Opt],
    /// What every driver of its section can be told besides.
    common: &'static [&'static str],
    /// Where the driver is named.
    driver: Place,
    options: &'a [Given],
    found: &'a mut Found,
}

impl<'a> Read<'a> {
    /// The options of a driver, as they were typed.
    pub(in crate::config) const fn of(
        (word, known, common): (&'static str, &'static [Opt], &'static [&'static str]),
        (options, driver): (&'a [Given], Place),
        found: &'a mut Found,
    ) -> Self {
        Self { word, known, common, driver, options, found }
    }

    fn node(&self, key: &str) -> Option<&Node> {
        self.options.iter().find(|given| given.key == key).map(|given| &given.entry.value)
    }

    /// Where an option is written; `None` where it is not.
    pub(in crate::config) fn place(&self, key: &str) -> Option<Place> {
        self.options.iter().find(|given| given.key == key).map(|given| given.entry.key_place)
    }

    /// Some options are missing that others do not make up for.
    pub(in crate::config) fn lacks(&mut self, keys: &[&str], help: &str) {
        let title = format!("the driver `{}` needs {}", self.word, listed(keys.iter().copied()));
        self.found.push(Mistake::new(title, self.driver, "as it is written here").help(help));
    }

    /// A text, where it was written as one.
    pub(in crate::config) fn text(&mut self, key: &'static str) -> Option<Typed<String>> {
        let node = self.node(key)?.clone();
        text_of(key, &node, self.found)
    }

    /// A whole number.
    pub(in crate::config) fn number(&mut self, key: &'static str) -> Option<Typed<u64>> {
        let node = self.node(key)?.clone();
        number_of(key, &node, self.found)
    }

    /// One of the words that the option may be.
    pub(in crate::config) fn choice(&mut self, key: &'static str) -> Option<&'static str> {
        let typed = self.text(key)?;
        let shape = self.known.iter().find(|option| option.key == key).map(|option| option.shape);
        let Some(Shape::Choice(words)) = shape else { return None };
        let found = words.iter().find(|word| **word == typed.value).copied();
        if found.is_none() {
            let title = format!("`{}` is no `{key}` of the driver `{}`", typed.value, self.word);
            let mistake = Mistake::new(title, typed.place, "not known");
            self.found.push(mistake.nearest(&typed.value, words.iter().copied(), "there are"));
        }
        found
    }

    /// A list of words with at least one in it.
    pub(in crate::config) fn words(&mut self, key: &'static str) -> Option<Vec<String>> {
        let node = self.node(key)?.clone();
        let words = texts_of(key, &node, self.found)?;
        if words.value.is_empty() {
            self.wrong(
                format!("`{key}` is empty"),
                words.place,
                "a program and its arguments",
                "leave it out, or name one",
            );
            return None;
        }
        Some(words.value.into_iter().map(|word| word.value).collect())
    }

    /// A list of words that may be left out; the outer `None` when it is wrong.
    #[expect(clippy::option_option, reason = "left out is no mistake")]
    pub(in crate::config) fn maybe_words(&mut self, key: &'static str) -> Option<Option<Vec<String>>> {
        match self.node(key) {
            None => Some(None),
            Some(_) => self.words(key).map(Some),
        }
    }

    /// What may be left out, read by one of the others; the outer `None` when it is wrong.
    #[expect(clippy::option_option, reason = "left out is no mistake")]
    pub(in crate::config) fn maybe<T>(
        &mut self,
        key: &'static str,
        read: fn(&mut Self, &'static str) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.node(key) {
            None => Some(None),
            Some(_) => read(self, key).map(Some),
        }
    }

    /// Where a secret is kept. A secret itself is never written in the lab file.
    pub(in crate::config) fn secret(&mut self, key: &'static str) -> Option<SecretRef> {
        let typed = self.text(key)?;
        secret_ref(key, &typed, self.found)
    }

    /// Something is wrong.
    pub(in crate::config) fn wrong(&mut self, title: String, place: Place, label: &str, help: &str) {
        self.found.push(Mistake::new(title, place, label).help(help));
    }

    /// Says which options are missing, and which are another driver's. True when all is there.
    pub(in crate::config) fn complete(&mut self, driver: &Typed<String>) -> bool {
        let before = self.found.len();
        let own: Vec<&str> = self.known.iter().map(|option| option.key).collect();
        for given in self.options.iter().filter(|given| !own.contains(&given.key)) {
            let all = own.iter().copied().chain(self.common.iter().copied());
            self.found.push(
                Mistake::new(
                    format!("`{}` is not an option of the driver `{}`", given.key, self.word),
                    given.entry.key_place,
                    "no use here",
                )
                .other(driver.place, "this driver")
                .help(format!("it has {}", listed(all))),
            );
        }
        let missing = self.known.iter().filter(|option| option.needed.is_some());
        let missing: Vec<_> = missing.filter(|option| self.node(option.key).is_none()).collect();
        if !missing.is_empty() {
            let keys = listed(missing.iter().map(|option| option.key));
            let examples: Vec<String> = missing
                .iter()
                .map(|option| format!("{}: {}", option.key, option.needed.unwrap_or_default()))
                .collect();
            self.found.push(
                Mistake::new(
                    format!("the driver `{}` needs {keys}", self.word),
                    driver.place,
                    "without it there is nothing to speak to",
                )
                .help(format!("for example `{}`", examples.join(", "))),
            );
        }
        self.found.len() == before
    }
}

/// A reference to a secret, or what is to be written instead.
pub(in crate::config) fn secret_ref(
    key: &str,
    typed: &Typed<String>,
    found: &mut Found,
) -> Option<SecretRef> {
    let read = secret(&typed.value);
    if read.is_none() {
        found.push(
            Mistake::new(format!("`{key}` says where a secret is kept"), typed.place, "not `secret:…` or `file:…`")
                .help("a lab file is passed around; write `file:/etc/labinator/NAME`, a file that only its owner reads")
                .help("or `secret:NAME`, kept by `labinator secret set NAME < FILE`"),
        );
    }
    read
}

/// A reference to a secret.
fn secret(text: &str) -> Option<SecretRef> {
    if let Some(name) = text.strip_prefix("secret:") {
        let right = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        return (!name.is_empty() && name.chars().all(right)).then(|| SecretRef::Kept(name.to_owned()));
    }
    let path = text.strip_prefix("file:").filter(|path| path.starts_with('/'))?;
    Some(SecretRef::File(path.to_owned()))
}

/// Judges a device.
pub(in crate::config) fn device(
    kind: &'static Kind,
    (file, driver): (&PowerFile, &Typed<String>),
    found: &mut Found,
) -> Option<DeviceSpec> {
    for (key, typed) in [("memory", &file.memory), ("disk", &file.disk)] {
        if let Some(typed) = typed {
            found.push(
                Mistake::new(format!("`{key}` is for the driver `virtual`"), typed.place, "no use here")
                    .other(driver.place, "these are real machines"),
            );
        }
    }
    let stagger = file.stagger.as_ref().map_or(Some(STAGGER), |typed| duration("stagger", typed, found));
    let protect = file.protect.iter().flatten();
    let protect: Option<BTreeSet<String>> =
        protect.map(|port| is_port(kind, port, found).then(|| port.value.clone())).collect();
    let standby = match &file.standby {
        None => Some(None),
        Some(typed) => watts(typed, found).map(Some),
    };
    let about = (kind.word, kind.options, COMMON);
    let mut read = Read::of(about, (&file.options, driver.place), found);
    let complete = read.complete(driver);
    let kind = complete.then(|| (kind.build)(&mut read)).flatten();
    Some(DeviceSpec { kind: kind?, stagger: stagger?, protect: protect?, standby: standby? })
}

/// Says when a device has no such port.
pub(in crate::config) fn is_port(kind: &Kind, port: &Typed<String>, found: &mut Found) -> bool {
    is_port_of((kind.word, kind.ports), port, found)
}

/// Says when a driver of this name has no such port.
pub(in crate::config) fn is_port_of(
    (word, ports): (&str, PortNames),
    port: &Typed<String>,
    found: &mut Found,
) -> bool {
    let right = match ports {
        PortNames::Any => true,
        // A port has one name: `01` is none.
        PortNames::UpTo(last) => {
            let number = port.value.parse::<u16>().ok().filter(|number| (1..=last).contains(number));
            number.is_some_and(|number| number.to_string() == port.value)
        }
    };
    if let (false, PortNames::UpTo(last)) = (right, ports) {
        let title = format!("a `{word}` has no port `{}`", port.value);
        found
            .push(Mistake::new(title, port.place, "no such port").help(format!("its ports are 1 to {last}")));
    }
    right
}

/// Watts as milliwatts.
fn watts(typed: &Typed<String>, found: &mut Found) -> Option<u32> {
    let number = typed.value.strip_suffix('W').map(str::trim_end).and_then(|text| {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let part = part.get(..part.len().min(3)).unwrap_or_default();
        let scale = 10_u32.checked_pow(u32::try_from(3_usize.checked_sub(part.len())?).ok()?)?;
        whole
            .parse::<u32>()
            .ok()?
            .checked_mul(1000)?
            .checked_add(part.parse::<u32>().ok()?.checked_mul(scale)?)
    });
    if number.is_none() {
        let title = format!("`{}` is not an amount of power", typed.value);
        found.push(Mistake::new(title, typed.place, "a number and `W`").help("for example `3W` or `2.5W`"));
    }
    number
}
