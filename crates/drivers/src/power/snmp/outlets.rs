//! What outlets are called by SNMP: the makers' own names, and those of the lab file.

use model::SnmpOutlets;
use wire::snmp::{Oid, Value};

/// What is spoken of when an outlet is switched or read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outlets {
    set: String,
    state: String,
    /// Watts, where the maker has a name for them.
    watts: Option<String>,
    on: i32,
    off: i32,
    is_on: i32,
    is_off: i32,
}

/// What becomes the port in a name.
const PORT: &str = "{port}";

impl Outlets {
    /// Of a maker, by PowerNet-MIB of APC; or of the lab file.
    pub(super) fn of(outlets: &SnmpOutlets) -> Self {
        let apc = |column: &str| format!("1.3.6.1.4.1.318.1.1.{column}.{PORT}");
        match outlets {
            // sPDUOutletCtl: outletOn(1), outletOff(2), and read the same.
            SnmpOutlets::ApcMasterswitch => {
                let name = apc("4.4.2.1.3");
                Self { set: name.clone(), state: name, watts: None, on: 1, off: 2, is_on: 1, is_off: 2 }
            }
            // rPDUOutletControlOutletCommand: immediateOn(1), immediateOff(2);
            // rPDUOutletStatusOutletState: outletStatusOn(1), outletStatusOff(2).
            SnmpOutlets::ApcRpdu => Self {
                set: apc("12.3.3.1.1.4"),
                state: apc("12.3.5.1.1.4"),
                watts: None,
                on: 1,
                off: 2,
                is_on: 1,
                is_off: 2,
            },
            // rPDU2OutletSwitchedControlCommand: immediateOn(1), immediateOff(2); rPDU2OutletSwitchedStatusState: off(1),
            // on(2), the other way round; rPDU2OutletMeteredStatusPower, in watts.
            SnmpOutlets::ApcRpdu2 => Self {
                set: apc("26.9.2.4.1.5"),
                state: apc("26.9.2.3.1.5"),
                watts: Some(apc("26.9.4.3.1.7")),
                on: 1,
                off: 2,
                is_on: 2,
                is_off: 1,
            },
            SnmpOutlets::Own { set, state, on, off, is_on, is_off } => Self {
                set: set.clone(),
                state: state.clone(),
                watts: None,
                on: *on,
                off: *off,
                is_on: *is_on,
                is_off: *is_off,
            },
        }
    }

    /// What is set to what, to switch an outlet.
    pub(super) fn order(&self, port: &str, on: bool) -> Option<(Oid, Value)> {
        let value = if on { self.on } else { self.off };
        Some((named(&self.set, port)?, Value::Integer(value)))
    }

    /// What is read of an outlet.
    pub(super) fn state(&self, port: &str) -> Option<Oid> {
        named(&self.state, port)
    }

    /// What its watts are read of.
    pub(super) fn watts(&self, port: &str) -> Option<Oid> {
        named(self.watts.as_deref()?, port)
    }

    /// Whether an outlet is on; `None` of a number that says neither.
    pub(super) fn is_on(&self, value: &Value) -> Option<bool> {
        match value.number()? {
            number if number == i64::from(self.is_on) => Some(true),
            number if number == i64::from(self.is_off) => Some(false),
            _ => None,
        }
    }
}

/// A name with the port in it: numbers, such as `5`, or `1.5` of the fifth outlet of the first strip. An outlet has one
/// name: `05` is none.
fn named(name: &str, port: &str) -> Option<Oid> {
    let text = name.replace(PORT, port);
    let oid: Oid = text.parse().ok()?;
    (oid.to_string() == text.trim_start_matches('.')).then_some(oid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_makers_outlet_has_the_names_and_numbers_of_its_mib() {
        let own = SnmpOutlets::Own {
            set: "1.3.6.1.4.1.9999.1.{port}.7".to_owned(),
            state: "1.3.6.1.4.1.9999.2.{port}".to_owned(),
            on: 17,
            off: 16,
            is_on: 1,
            is_off: 0,
        };
        let table = [
            (SnmpOutlets::ApcMasterswitch, "3", ("318.1.1.4.4.2.1.3.3", 1, 2), ("318.1.1.4.4.2.1.3.3", 1, 2)),
            (
                SnmpOutlets::ApcRpdu,
                "24",
                ("318.1.1.12.3.3.1.1.4.24", 1, 2),
                ("318.1.1.12.3.5.1.1.4.24", 1, 2),
            ),
            (SnmpOutlets::ApcRpdu2, "5", ("318.1.1.26.9.2.4.1.5.5", 1, 2), ("318.1.1.26.9.2.3.1.5.5", 2, 1)),
            (own, "1.5", ("9999.1.1.5.7", 17, 16), ("9999.2.1.5", 1, 0)),
        ];
        for (outlets, port, (set, on, off), (state, is_on, is_off)) in table {
            let outlets = Outlets::of(&outlets);
            let name = |rest: &str| -> Oid { format!("1.3.6.1.4.1.{rest}").parse().unwrap() };
            assert_eq!(outlets.order(port, true), Some((name(set), Value::Integer(on))));
            assert_eq!(outlets.order(port, false), Some((name(set), Value::Integer(off))));
            assert_eq!(outlets.state(port), Some(name(state)));
            assert_eq!(outlets.is_on(&Value::Integer(is_on)), Some(true));
            assert_eq!(outlets.is_on(&Value::Gauge(u32::try_from(is_off).unwrap())), Some(false));
            for neither in [Value::Integer(9), Value::NoInstance, Value::Octets(b"1".to_vec())] {
                assert_eq!(outlets.is_on(&neither), None, "{neither}");
            }
            for none in ["left", "05", "5.", ".5", "+5", ""] {
                assert_eq!(outlets.order(none, true), None, "{none}");
            }
        }
    }
}
