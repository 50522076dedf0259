//! What QEMU's trace points tell of the `fw_cfg` device, and how often the suspected cause says it is read.

use std::io::{BufRead, BufReader, Read};

use crate::workspace::Outcome;

/// One content was selected, and then so many bytes of it were read by the data port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pass {
    pub(super) key: u16,
    pub(super) reads: u64,
}

/// What one QEMU did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Trace {
    /// Every selection, in order.
    pub(super) passes: Vec<Pass>,
    /// How often the processor left the guest for QEMU because of a port (`KVM_EXIT_IO`); under KVM only.
    pub(super) exits: u64,
}

/// The trace points that [`read`] knows, as arguments of QEMU.
pub(super) const POINTS: [&str; 6] =
    ["-trace", "fw_cfg_select", "-trace", "fw_cfg_read", "-trace", "kvm_run_exit"];

/// Reads a trace to its end. Lines may begin with a process id and a time: versions of QEMU differ.
///
/// # Errors
/// The pipe broke.
pub(super) fn read(stream: impl Read) -> Outcome<Trace> {
    let mut trace = Trace::default();
    let mut lines = BufReader::with_capacity(1 << 20, stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return Ok(trace);
        }
        // Twenty million lines: the commonest first, and no text is made of it.
        if has(&line, b"fw_cfg_read ") {
            if let Some(pass) = trace.passes.last_mut() {
                pass.reads += 1;
            }
        } else if has(&line, b"kvm_run_exit ") {
            trace.exits += u64::from(has(&line, b", reason 2"));
        } else if let Some(key) = selected(&String::from_utf8_lossy(&line)) {
            trace.passes.push(Pass { key, reads: 0 });
        }
    }
}

fn has(line: &[u8], word: &[u8]) -> bool {
    line.windows(word.len()).any(|part| part == word)
}

/// The key in `fw_cfg_select 0x56… key 0x002c 'unknown', ret: 1`.
fn selected(line: &str) -> Option<u16> {
    let (_, rest) = line.split_once("fw_cfg_select ")?;
    let (_, key) = rest.split_once(" key 0x")?;
    u16::from_str_radix(key.split(' ').next()?, 16).ok()
}

/// Most that one call reads from a file in sysfs, in bytes: the kernel's page on x86.
pub(super) const PAGE: u64 = 4096;

/// The suspected cause as a list of passes: each page is a selection of its own that reads again everything before it.
pub(super) fn again_from_zero(size: u64) -> Vec<u64> {
    (1..=size.div_ceil(PAGE)).map(|page| (page * PAGE).min(size)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_counted_by_selection() {
        let text = "qemu: warning: something\n\
                    fw_cfg_read 0x1 = 0x0\n\
                    fw_cfg_select 0x1 key 0x0019 'file_dir', ret: 1\n\
                    fw_cfg_read 0x1 = 0x0\n\
                    kvm_run_exit cpu_index 0, reason 2\n\
                    kvm_run_exit cpu_index 0, reason 20\n\
                    77@1790000000.000001:fw_cfg_select 0x1 key 0x002c 'unknown', ret: 1\n\
                    77@1790000000.000002:fw_cfg_read 0x1 = 0xff\n\
                    77@1790000000.000003:fw_cfg_read 0x1 = 0x2\n";
        let trace = read(text.replace("reason 20\n", "reason 17\n").as_bytes()).unwrap();
        assert_eq!(trace.passes, [Pass { key: 0x19, reads: 1 }, Pass { key: 0x2c, reads: 2 }]);
        assert_eq!(trace.exits, 1);
    }

    #[test]
    fn each_page_reads_again_what_lies_before_it() {
        assert_eq!(again_from_zero(4000), [4000]);
        assert_eq!(again_from_zero(4096), [4096]);
        assert_eq!(again_from_zero(10_000), [4096, 8192, 10_000]);
        assert_eq!(again_from_zero(400_000).iter().sum::<u64>(), 4096 * (97 * 98 / 2) + 400_000);
    }
}
