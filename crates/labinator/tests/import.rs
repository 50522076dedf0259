//! Captures of real firmware, written by dumpcap and tcpdump, become boot traces and tests.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

use std::path::PathBuf;
use std::process::Command;

use labinator::import::{import, tests_of};
use model::{ClientKind, MacAddr, Stage, Trace};
use wire::capture::{Capture, CaptureError};

/// OVMF's PXE client and the iPXE it was given, in QEMU, by dumpcap 4 (pcapng).
const OVMF: MacAddr = MacAddr([0x52, 0x54, 0, 0x4c, 0x42, 2]);

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/captures").join(name)
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(file(name)).unwrap()
}

fn stages(trace: &Trace) -> Vec<Stage> {
    trace.waterfall.bars.iter().map(|bar| bar.stage).collect()
}

/// The same capture as pcap, each frame cut after so many bytes, in the other byte order.
fn cut(bytes: &[u8], snap: usize) -> Vec<u8> {
    let mut file = [&[0xa1, 0xb2, 0xc3, 0xd4, 0, 2, 0, 4][..], &[0; 8], &[0, 0, 0, 96, 0, 0, 0, 1]].concat();
    for captured in Capture::open(bytes).unwrap().map(Result::unwrap) {
        let kept = captured.bytes.get(..snap).unwrap_or(captured.bytes);
        let seconds = u32::try_from(captured.at_ns / 1_000_000_000).unwrap();
        let micros = u32::try_from(captured.at_ns % 1_000_000_000 / 1000).unwrap();
        for word in [seconds, micros, u32::try_from(kept.len()).unwrap(), captured.length] {
            file.extend_from_slice(&word.to_be_bytes());
        }
        file.extend_from_slice(kept);
    }
    file
}

#[test]
fn a_capture_of_ovmf_is_a_waterfall_like_our_own() {
    let found = import(&read("ovmf-pxe.pcapng")).unwrap();
    // What the files hold is not ours to pass on: blocks are cut after their headers.
    assert!(found.fault.is_none() && found.cut > 100 && found.left_out == 0, "{found:?}");
    let (mac, trace) = &found.boots[0];
    assert_eq!((found.boots.len(), *mac), (1, OVMF));
    assert_eq!(trace.waterfall.firmware, Some(ClientKind::UefiPxe));
    assert_eq!(trace.waterfall.ipxe, "1.0.0");
    assert_eq!(stages(trace), [Stage::Firmware, Stage::Dhcp, Stage::Loader, Stage::Ipxe, Stage::Wait]);
    let loader = &trace.boot.transfers[0];
    assert_eq!((loader.name.as_str(), loader.bytes), ("snponly.efi", loader.size));
    assert!(loader.ended.is_some() && loader.size > 100_000);
    // EDK2 collects offers until its 4 s timer fires.
    assert!(trace.waterfall.bars[1].took_ms >= 4000, "{:?}", trace.waterfall.bars[1]);
}

#[test]
fn a_capture_of_heads_alone_gives_the_same_stages() {
    let whole = import(&read("ovmf-pxe.pcapng")).unwrap();
    let heads = import(&cut(&read("ovmf-pxe.pcapng"), 96)).unwrap();
    assert!(heads.cut > 100 && heads.frames == whole.frames);
    assert_eq!(heads.boots.len(), 1);
    let (whole, heads) = (&whole.boots[0].1, &heads.boots[0].1);
    assert_eq!(stages(heads)[..4], stages(whole)[..4]);
    assert_eq!(heads.boot.transfers[0].bytes, whole.boot.transfers[0].bytes);
}

#[test]
fn a_capture_cut_in_the_middle_is_read_up_to_there() {
    let bytes = read("ovmf-pxe.pcapng");
    let found = import(&bytes[..bytes.len() / 2]).unwrap();
    assert!(matches!(found.fault, Some(CaptureError::Short { .. })));
    assert_eq!(found.boots.len(), 1);
    assert_eq!(import(b"GIF89a").unwrap_err(), CaptureError::Unknown(*b"GIF8"));
}

#[test]
fn the_command_line_shows_it_writes_tests_and_says_what_is_wrong() {
    let run = |arguments: &[&str]| {
        let done =
            Command::new(env!("CARGO_BIN_EXE_labinator")).args(["boot", "import"]).args(arguments).output();
        let done = done.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (done.status.code(), text(done.stdout), text(done.stderr))
    };
    let capture = file("ovmf-pxe.pcapng");
    let capture = capture.to_str().unwrap();
    let (code, shown, _) = run(&[capture]);
    assert_eq!(code, Some(0));
    assert!(shown.contains("mac-52-54-00-4c-42-02 · UEFI PXE · iPXE 1.0.0 · boot 1"), "{shown}");
    assert!(shown.contains("\n220 frames, 119 of them cut after their head\n"), "{shown}");
    let (_, shown, _) = run(&[capture, "--json"]);
    let trace: Trace = serde_json::from_str(&shown).unwrap();
    assert_eq!(trace.waterfall.firmware, Some(ClientKind::UefiPxe));

    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("imported");
    let (code, shown, _) = run(&[capture, "--as-test", folder.to_str().unwrap()]);
    let path = folder.join("52-54-00-4c-42-02.replay");
    assert_eq!((code, shown.trim()), (Some(0), path.to_str().unwrap()));
    // What is written is what lies in the folder of tests.
    assert_eq!(
        std::fs::read_to_string(path).unwrap(),
        std::fs::read_to_string(file("ovmf-pxe.replay")).unwrap()
    );

    let lab = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let (code, _, said) = run(&[lab.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(said.contains("neither pcap nor pcapng") && said.contains("tcpdump -w"), "{said}");
    let (code, _, said) = run(&[capture, "--mac", "02:00:00:00:00:01"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("no machine that boots"), "{said}");
}

#[test]
fn only_the_machine_that_was_asked_for_becomes_a_test() {
    let bytes = read("ovmf-pxe.pcapng");
    assert_eq!(tests_of(&bytes, "/a/b/c.pcap", Some(MacAddr::default())).unwrap(), []);
    let tests = tests_of(&bytes, "/home/somebody/c.pcap", Some(OVMF)).unwrap();
    assert!(tests[0].1.contains("# from c.pcap\n"), "no path of anybody's: {}", tests[0].1);
}

#[test]
fn heads_by_tcpdump_of_a_boot_over_http_tell_its_stages() {
    let whole = import(&read("ovmf-http.pcapng")).unwrap();
    let heads = import(&read("ovmf-http-heads.pcap")).unwrap();
    for found in [&whole, &heads] {
        assert_eq!(found.boots.len(), 1, "{found:#?}");
        let trace = &found.boots[0].1;
        assert_eq!(stages(trace), [Stage::Firmware, Stage::Dhcp, Stage::Loader, Stage::Ipxe, Stage::Wait]);
        let loader = &trace.boot.transfers[0];
        assert!(
            loader.name == "snponly.efi" && loader.bytes > 170_000 && loader.broken.is_none(),
            "{loader:?}"
        );
    }
    assert_eq!(whole.boots[0].1.waterfall.firmware, Some(ClientKind::UefiHttp));
    // The options that say who asks are behind the 96th byte.
    assert_eq!(heads.boots[0].1.waterfall.firmware, Some(ClientKind::UnknownFirmware));
    assert!(heads.cut > 100);
}
