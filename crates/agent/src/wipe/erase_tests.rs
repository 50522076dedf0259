//! Disks that erase themselves: with the answers of an emulated drive, by tools that do to a file what a drive would do,
//! or do not, or fail.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Mutex;

use model::{LabelState, WipeMethod};

use super::disk::{Faults, Range};
use super::label_of;
use super::tests::{MIB, Machine, assert_zeros, no_discard};

/// QEMU 7.2's drive asked by nvme-cli 2.3 in the rescue image.
const CONTROLLER: &str = include_str!("recorded/id-ctrl.json");
const NAMESPACE: &str = include_str!("recorded/id-ns.json");
const LISTED: &str = include_str!("recorded/list-ns.json");

const BYTES: u64 = 64 * MIB;
/// What a format says when it was done.
const SUCCESS: &str = "echo 'Success formatting namespace:1'";
/// Every block reads as this letter, without another size.
fn fill(letter: &str) -> String {
    format!(
        "head -c {BYTES} /dev/zero | tr '\\0' '{letter}' | dd of=\"$last\" conv=notrunc bs=1M 2>/dev/null"
    )
}

impl Machine {
    fn tool_is(&self, name: &str, script: &str) {
        let calls = self.root.join("calls").display().to_string();
        let head =
            format!("#!/bin/sh\necho \"$@\" >>{calls}\nfor last; do :; done\ncd {}\n", self.root.display());
        let path = format!("usr/sbin/{name}");
        self.put(&path, &format!("{head}{script}\n"));
        fs::set_permissions(self.root.join(path), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A drive that answers as the emulated one, but for these numbers of its controller, and formats and sanitizes so.
    fn drive(numbers: &[(&str, u32)], format: &str, sanitize: &str) -> Self {
        let machine = Self::named("nvme0n1", BYTES).filled();
        let mut controller = CONTROLLER.to_owned();
        for (name, number) in numbers {
            let at = controller.find(&format!("\"{name}\":")).unwrap() + name.len() + 3;
            let end = at + controller[at..].find(',').unwrap();
            controller.replace_range(at..end, &number.to_string());
        }
        machine.put("id-ctrl.json", &controller);
        machine.put("id-ns.json", NAMESPACE);
        machine.put("list-ns.json", LISTED);
        machine.tool_is(
            "nvme",
            &format!("case $1 in id-ctrl|id-ns|list-ns) cat $1.json ;; format) {format} ;; sanitize*) {sanitize} ;; esac"),
        );
        machine
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.root.join("calls")).unwrap_or_default()
    }

    fn is_labelled(&self, state: LabelState) -> bool {
        label_of(&self.root, self.name(), self.digest()).is_some_and(|label| label.state == state)
    }

    fn name(&self) -> &'static str {
        if self.root.join("dev/sda").exists() { "sda" } else { "nvme0n1" }
    }
}

/// A drive that says of each question about sanitizing what the next of these numbers means.
fn sanitizing(states: &[u8], then: &str) -> String {
    let answers: Vec<String> = states
        .iter()
        .enumerate()
        .map(|(n, state)| format!("{n}) printf '\\000\\100\\00{state}\\000' ;;"))
        .collect();
    format!(
        "if [ $1 = sanitize-log ]; then n=$(cat asked 2>/dev/null || echo 0); echo $((n + 1)) >asked; \
         case $n in {} *) printf '\\377\\377\\001\\001' ;; esac; else {then}; fi",
        answers.join(" ")
    )
}

#[test]
fn an_emulated_drive_is_formatted_as_it_is_laid_out() {
    let machine = Machine::drive(&[], &format!("{}; {SUCCESS}", fill("\\0")), "false");
    let steps = Mutex::new(Vec::new());
    let report = machine
        .wipe_telling(Faults::default(), &|step, _, _| steps.lock().unwrap().push(step.to_owned()))
        .unwrap();
    assert_eq!(report.method, WipeMethod::NvmeFormat);
    assert_eq!(report.passed_over.len(), 3, "{report:?}");
    assert_eq!(report.passed_over[0], "NVMe sanitize (block erase): the drive does not offer it");
    assert!(report.samples > 1000, "{report:?}");
    assert_zeros(&machine.content(), Range { at: 0, len: BYTES });
    assert!(machine.is_labelled(LabelState::Wiped));
    let calls = machine.calls();
    assert!(
        calls.contains("format --force --ses=1 --timeout=7200000 --lbaf=0 --ms=0 --pi=0 --pil=0 /"),
        "{calls}"
    );
    assert!(!calls.contains("sanitize --"), "{calls}");
    let steps = steps.into_inner().unwrap();
    let place = |wanted: &str| steps.iter().position(|step| step == wanted);
    // It is said before it begins.
    assert!(place("NVMe format (user data erase)") < place("overwriting headers"), "{steps:?}");
    assert!(place("NVMe format (user data erase)").is_some());
}

#[test]
fn a_drive_that_sanitizes_is_asked_until_it_is_done() {
    let go = sanitizing(&[2, 2], &fill("\\0"));
    let machine = Machine::drive(&[("sanicap", 2)], "false", &go);
    let told = Mutex::new(Vec::new());
    let report = machine
        .wipe_telling(Faults::default(), &|step, done, of| {
            told.lock().unwrap().push((step.to_owned(), done, of));
        })
        .unwrap();
    assert_eq!((report.method, report.passed_over.as_slice()), (WipeMethod::NvmeSanitize, [].as_slice()));
    assert!(machine.calls().contains("sanitize --sanact=2 --ause /"));
    assert!(told.into_inner().unwrap().contains(&(
        "NVMe sanitize (block erase)".to_owned(),
        0x4000,
        0x1_0000
    )));
    assert!(machine.is_labelled(LabelState::Wiped), "the label that it erased is written again");
}

#[test]
fn a_drive_with_a_new_key_may_show_noise_but_not_what_was_there() {
    let machine = Machine::drive(&[("sanicap", 1)], "false", &sanitizing(&[], &fill("x")));
    let report = machine.wipe(no_discard()).unwrap();
    assert_eq!(report.method, WipeMethod::NvmeSanitize);
    assert!(machine.calls().contains("--sanact=4"));
    let content = machine.content();
    assert_zeros(&content, Range { at: 0, len: 16 * MIB });
    assert_eq!(content[usize::try_from(40 * MIB).unwrap()], b'x');
}

#[test]
fn a_drive_that_only_says_that_it_erased_itself_is_found_out() {
    let machine = Machine::drive(&[("sanicap", 2)], SUCCESS, &sanitizing(&[], "true"));
    let report = machine.wipe(Faults::default()).unwrap();
    assert_eq!(report.method, WipeMethod::Discard);
    for (way, number) in [("NVMe sanitize (block erase)", 0), ("NVMe format (user data erase)", 3)] {
        let why = &report.passed_over[number];
        assert!(why.starts_with(&format!("{way}: the disk said that it was done, and byte ")), "{why}");
        assert!(why.ends_with("still holds what it held before"), "{why}");
    }
}

#[test]
fn a_format_that_fails_leaves_a_disk_that_nobody_knows_and_says_so() {
    let refuses = "echo 'NVMe status: Access Denied: namespace is write protected(0x86)' >&2; exit 1";
    let machine = Machine::drive(&[], refuses, "false");
    let report = machine.wipe(Faults::default()).unwrap();
    assert_eq!(report.method, WipeMethod::Discard);
    let why = &report.passed_over[3];
    assert!(
        why.contains("Access Denied") && why.ends_with("how much of the disk it reached is not known"),
        "{why}"
    );
    // What fails after that is told with it.
    let machine = Machine::drive(&[], refuses, "false");
    let write_fails = Some(Range { at: 7 * MIB, len: 512 });
    let fault = machine.wipe(Faults { write_fails, no_discard: true, ..Faults::default() }).unwrap_err();
    assert!(fault.touched && fault.why.contains("byte 7340032: cannot be written"), "{fault:?}");
    assert!(fault.why.contains("; before: NVMe format (user data erase): "), "{fault:?}");
    assert!(machine.is_labelled(LabelState::Begun));
}

#[test]
fn a_drive_that_fails_to_sanitize_is_told_to_give_up_and_formatted() {
    let format = format!("{}; {SUCCESS}", fill("\\0"));
    let machine = Machine::drive(&[("sanicap", 2)], &format, &sanitizing(&[2, 3], "true"));
    let report = machine.wipe(Faults::default()).unwrap();
    assert_eq!(report.method, WipeMethod::NvmeFormat);
    assert!(report.passed_over[0].contains("the drive says that it failed"), "{report:?}");
    let calls = machine.calls();
    assert!(
        calls.find("--sanact=1") < calls.find("format --force") && calls.contains("--sanact=1"),
        "{calls}"
    );
}

#[test]
fn a_drive_with_other_namespaces_is_not_told_to_erase_all_of_itself() {
    let reaches_all = [("sanicap", 3), ("fna", 2)];
    let machine = Machine::drive(&reaches_all, SUCCESS, "true");
    machine.put("sys/block/nvme0n2/size", "1");
    machine.put("sys/block/nvme0n1p1/size", "1");
    let report = machine.wipe(Faults::default()).unwrap();
    assert_eq!(report.method, WipeMethod::Discard);
    assert!(report.passed_over[0].ends_with("it would also erase nvme0n2 of the drive"), "{report:?}");
    let machine = Machine::drive(&reaches_all, SUCCESS, "true");
    machine.put("list-ns.json", "{\"nsid_list\":[{\"nsid\":1},{\"nsid\":7}]}");
    let report = machine.wipe(Faults::default()).unwrap();
    assert!(report.passed_over[0].contains("1 namespaces that this machine does not see"), "{report:?}");
    let calls = machine.calls();
    assert!(!calls.contains("format") && !calls.contains("sanitize"), "{calls}");
}

#[test]
fn a_disk_that_comes_back_with_another_size_is_not_said_to_be_wiped() {
    let machine = Machine::drive(&[], "truncate -s 32M \"$last\"", "false");
    let fault = machine.wipe(Faults::default()).unwrap_err();
    assert!(fault.touched && fault.why.contains("it has 33554432 bytes now, and had 67108864"), "{fault:?}");
}

#[test]
fn without_tools_the_reason_is_told_and_the_rest_is_done() {
    let machine = Machine::named("nvme0n1", BYTES).filled();
    let report = machine.wipe(no_discard()).unwrap();
    assert_eq!(report.method, WipeMethod::Overwrite);
    assert_eq!(report.passed_over[0], "NVMe sanitize (block erase): `nvme` is not in this image");
}

#[test]
fn secure_discard_comes_before_the_promise_of_zeros_and_trim_after_it() {
    let discarding = |secure: &str, plain: &str| {
        let machine = Machine::named("sda", BYTES).filled();
        machine.put("sys/block/sda/queue/discard_max_bytes", "2147483136\n");
        machine.tool_is("blkdiscard", &format!("case \"$*\" in *--secure*) {secure} ;; *) {plain} ;; esac"));
        machine
    };
    let refuses =
        "echo \"blkdiscard: $last: BLKSECDISCARD ioctl failed: Operation not supported\" >&2; exit 1";
    let zeros = fill("\\0");
    let machine = discarding(&zeros, "exit 1");
    assert_eq!(machine.wipe(no_discard()).unwrap().method, WipeMethod::SecureDiscard);

    let machine = discarding(refuses, "exit 1");
    let report = machine.wipe(Faults::default()).unwrap();
    assert_eq!(report.method, WipeMethod::Discard);
    assert!(
        report.passed_over[0].ends_with("BLKSECDISCARD ioctl failed: Operation not supported"),
        "{report:?}"
    );

    let machine = discarding(refuses, &zeros);
    let report = machine.wipe(no_discard()).unwrap();
    assert_eq!((report.method, report.samples > 1000), (WipeMethod::Trim, true));
    let calls = machine.calls();
    assert!(calls.contains("--force --offset=0 --length=1044480 /"), "{calls}");
    assert!(calls.contains(&format!("--force --offset=1048576 --length={} /", BYTES - MIB)), "{calls}");

    // One that takes discards and does nothing is overwritten, and not said to be empty.
    let report = discarding(refuses, "true").wipe(no_discard()).unwrap();
    assert_eq!((report.method, report.samples), (WipeMethod::Overwrite, 0));
    assert!(report.passed_over[2].contains("said that it was done, and byte "), "{report:?}");
}
