//! Which kernel modules a machine needs, in the order in which they can be loaded.
//!
//! A kernel package carries no `modules.dep` (its installation makes it), so what a module depends on is
//! read where the linker left it: the `depends=` word of the ELF section `.modinfo`.

use std::collections::BTreeSet;

/// The modules a module names in `depends=`; `None` when the file is no ELF64 object with `.modinfo`.
#[must_use]
pub(super) fn depends(object: &[u8]) -> Option<Vec<String>> {
    let info = section(object, b".modinfo")?;
    let words = info.split(|byte| *byte == 0).filter_map(|word| word.strip_prefix(b"depends="));
    let names = words.flat_map(|list| list.split(|byte| *byte == b','));
    Some(names.filter(|n| !n.is_empty()).map(|n| plain(&String::from_utf8_lossy(n))).collect())
}

/// A module's name as the kernel has it: `virtio-rng.ko` is the module `virtio_rng`.
#[must_use]
pub(super) fn plain(name: &str) -> String {
    name.replace('-', "_")
}

/// Puts `wanted` and all they depend on in loading order.
///
/// `needs` gives what one module depends on, and nothing for a module built into the kernel.
pub(super) fn in_order(wanted: &[&str], needs: impl Fn(&str) -> Option<Vec<String>>) -> Vec<String> {
    let mut order = Vec::new();
    let mut seen = BTreeSet::new();
    // A name is pushed twice: first to be looked into, then, below all it depends on, to be written down.
    let mut open: Vec<(String, bool)> = wanted.iter().rev().map(|name| (plain(name), false)).collect();
    while let Some((name, looked)) = open.pop() {
        if looked {
            order.push(name);
        } else if seen.insert(name.clone())
            && let Some(needs) = needs(&name)
        {
            open.push((name, true));
            open.extend(needs.into_iter().rev().map(|need| (need, false)));
        }
    }
    order
}

/// The bytes of a section of an ELF64 little-endian object (System V ABI, "Sections").
fn section<'a>(object: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    if object.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let table = number(object, 0x28, 8)?;
    let entry_size = number(object, 0x3a, 2)?;
    let count = number(object, 0x3c, 2)?;
    let header = |index: usize| {
        let at = table.checked_add(index.checked_mul(entry_size)?)?;
        object.get(at..at.checked_add(entry_size)?)
    };
    let body = |header: &[u8]| {
        let at = number(header, 0x18, 8)?;
        object.get(at..at.checked_add(number(header, 0x20, 8)?)?)
    };
    let names = body(header(number(object, 0x3e, 2)?)?)?;
    (0..count).filter_map(header).find_map(|header| {
        let name = names.get(number(header, 0, 4)?..)?;
        (name.strip_prefix(wanted)?.first() == Some(&0)).then(|| body(header)).flatten()
    })
}

/// A little-endian number of at most eight bytes.
fn number(bytes: &[u8], at: usize, size: usize) -> Option<usize> {
    let mut wide = [0; 8];
    wide.get_mut(..size)?.copy_from_slice(bytes.get(at..at.checked_add(size)?)?);
    usize::try_from(u64::from_le_bytes(wide)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest object with a `.modinfo`: header, names, info, two section headers.
    fn object(info: &[u8]) -> Vec<u8> {
        let names = b"\0.shstrtab\0.modinfo\0";
        let mut bytes = vec![0; 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        let header = |name: u32, at: usize, size: usize| {
            let mut header = vec![0; 64];
            header[..4].copy_from_slice(&name.to_le_bytes());
            header[0x18..0x20].copy_from_slice(&(at as u64).to_le_bytes());
            header[0x20..0x28].copy_from_slice(&(size as u64).to_le_bytes());
            header
        };
        let table = 64 + names.len() + info.len();
        bytes.extend_from_slice(names);
        bytes.extend_from_slice(info);
        bytes.extend(header(1, 64, names.len()));
        bytes.extend(header(11, 64 + names.len(), info.len()));
        bytes[0x28..0x30].copy_from_slice(&(table as u64).to_le_bytes());
        bytes[0x3a] = 64;
        bytes[0x3c] = 2;
        bytes
    }

    #[test]
    fn what_a_module_depends_on_is_read_from_the_object() {
        let found = depends(&object(b"license=GPL\0depends=virtio_ring,net-failover\0name=x\0"));
        assert_eq!(found.unwrap(), ["virtio_ring", "net_failover"]);
        assert_eq!(depends(&object(b"depends=\0")).unwrap(), [""; 0]);
    }

    #[test]
    fn a_broken_object_is_no_module() {
        let whole = object(b"depends=a\0");
        for length in 0..whole.len() {
            assert_eq!(depends(&whole[..length]), None, "{length}");
        }
    }

    #[test]
    fn a_module_stands_after_all_it_needs_and_once() {
        let order = in_order(&["net", "rng"], |name| match name {
            "net" => Some(vec!["ring".to_owned(), "failover".to_owned()]),
            "rng" => Some(vec!["virtio".to_owned(), "ring".to_owned(), "core".to_owned()]),
            "virtio" => Some(vec!["ring".to_owned()]),
            "core" => None,
            _ => Some(Vec::new()),
        });
        assert_eq!(order, ["ring", "failover", "net", "virtio", "rng"]);
    }

    #[test]
    fn a_circle_ends() {
        let order =
            in_order(&["a"], |name| Some(vec![if name == "a" { "b".to_owned() } else { "a".to_owned() }]));
        assert_eq!(order, ["b", "a"]);
    }
}
