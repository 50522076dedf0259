//! Strips of outlets that speak SNMP.

use model::{DeviceKind, SnmpDevice, SnmpOutlets, SnmpVersion};
use wire::snmp::Oid;

use super::network::{host, needed, option};
use super::{Kind, Opt, PortNames, Read, Shape};

/// Options that describe outlets of no maker that is known here.
const OWN: &[&str] = &["oid", "state-oid", "on-value", "off-value", "state-on-value", "state-off-value"];

/// Which version is spoken.
pub(in crate::config) const VERSION: Opt =
    option("version", Shape::Choice(&["1", "2c"]), "Version of SNMP; `2c` unless told.");

/// Reads [`VERSION`].
pub(in crate::config) fn version(read: &mut Read<'_>) -> Option<SnmpVersion> {
    if let Some(typed) = read.maybe("version", Read::text)?
        && matches!(typed.value.trim_start_matches('v'), "3" | "3c")
    {
        let help = "`2c` and `1` are; their community goes over the cable in the clear, so give the device a network \
                    that nobody else listens on, and let it take questions from the boss's address only";
        read.wrong("SNMP version 3 is not spoken here".to_owned(), typed.place, "not `1` or `2c`", help);
        return None;
    }
    Some(match read.maybe("version", Read::choice)? {
        Some("1") => SnmpVersion::One,
        _ => SnmpVersion::TwoC,
    })
}

/// Outlets by SNMP.
pub(super) const SNMP: Kind = Kind {
    word: "snmp",
    about: "strip of outlets, or whatever else switches by SNMP",
    options: &[
        needed("host", "10.0.0.40", Shape::Text, "Name or address, with `:PORT` where that is not 161."),
        needed("credentials", "secret:pdu", Shape::Secret, "Where the community is kept that may write."),
        VERSION,
        option(
            "profile",
            Shape::Choice(&["apc-masterswitch", "apc-rpdu", "apc-rpdu2"]),
            "Whose outlets they are: `apc-masterswitch`, `apc-rpdu` or `apc-rpdu2`. Others by `oid`.",
        ),
        option("oid", Shape::Text, "Name that is set to switch; `{port}` in it becomes the port."),
        option("state-oid", Shape::Text, "Name that is read, where it is not the one that is set."),
        option("on-value", Shape::Number, "Number that switches on."),
        option("off-value", Shape::Number, "Number that switches off."),
        option(
            "state-on-value",
            Shape::Number,
            "Number that is read of an outlet that is on; `on-value` unless told.",
        ),
        option("state-off-value", Shape::Number, "The same of one that is off."),
    ],
    ports: PortNames::Any,
    build: |read| {
        let host = host(read, "for example `10.0.0.40` or `pdu1:1161`");
        let credentials = read.secret("credentials");
        let version = version(read)?;
        let outlets = outlets(read)?;
        Some(DeviceKind::Snmp(Box::new(SnmpDevice {
            host: host?,
            credentials: credentials?,
            version,
            outlets,
        })))
    },
};

fn outlets(read: &mut Read<'_>) -> Option<SnmpOutlets> {
    let profile = read.maybe("profile", Read::choice)?;
    let own = OWN.iter().find_map(|key| read.place(key));
    match (profile, own) {
        (Some(profile), Some(place)) => {
            let help = "leave out `profile`, or the names and numbers of your own";
            read.wrong(
                format!("the profile `{profile}` knows that already"),
                place,
                "no use beside it",
                help,
            );
            None
        }
        (Some("apc-masterswitch"), None) => Some(SnmpOutlets::ApcMasterswitch),
        (Some("apc-rpdu"), None) => Some(SnmpOutlets::ApcRpdu),
        (Some(_), None) => Some(SnmpOutlets::ApcRpdu2),
        (None, _) => described(read),
    }
}

/// Outlets that the lab file describes.
fn described(read: &mut Read<'_>) -> Option<SnmpOutlets> {
    let help = "for example `profile: apc-rpdu2`, or `oid: \"1.3.6.1.4.1.9999.1.{port}\", on-value: 1, off-value: 2`";
    let lacking: Vec<&str> =
        ["oid", "on-value", "off-value"].into_iter().filter(|key| read.place(key).is_none()).collect();
    if !lacking.is_empty() {
        match lacking.len() {
            3 => read.lacks(&["profile"], help),
            _ => read.lacks(&lacking, help),
        }
        return None;
    }
    let set = name(read, "oid");
    let state = read.maybe("state-oid", name)?;
    let (on, off) = (value(read, "on-value"), value(read, "off-value"));
    let (is_on, is_off) = (read.maybe("state-on-value", value)?, read.maybe("state-off-value", value)?);
    let (set, on, off) = (set?, on?, off?);
    let (is_on, is_off) = (is_on.unwrap_or(on), is_off.unwrap_or(off));
    for (key, same) in [("off-value", on == off), ("state-off-value", is_on == is_off)] {
        if same {
            let place = read.place(key).or_else(|| read.place("off-value"))?;
            let help = "an outlet that is on and one that is off must differ";
            read.wrong(format!("`{key}` is the same as that of on"), place, "the same number", help);
            return None;
        }
    }
    Some(SnmpOutlets::Own { state: state.unwrap_or_else(|| set.clone()), set, on, off, is_on, is_off })
}

/// A name with `{port}` in it.
fn name(read: &mut Read<'_>, key: &'static str) -> Option<String> {
    let typed = read.text(key)?;
    let right = typed.value.contains("{port}") && typed.value.replace("{port}", "1").parse::<Oid>().is_ok();
    if !right {
        let title = format!("`{}` is no name of outlets", typed.value);
        read.wrong(
            title,
            typed.place,
            "not numbers with dots and `{port}`",
            "for example `\"1.3.6.1.4.1.9999.1.{port}\"`",
        );
    }
    right.then_some(typed.value)
}

/// A number as SNMP has it, of 32 bits with a sign.
fn value(read: &mut Read<'_>, key: &'static str) -> Option<i32> {
    let typed = read.number(key)?;
    let number = i32::try_from(typed.value).ok();
    if number.is_none() {
        read.wrong(
            format!("`{key}` is too large"),
            typed.place,
            "more than 2147483647",
            "numbers of SNMP have 32 bits",
        );
    }
    number
}
