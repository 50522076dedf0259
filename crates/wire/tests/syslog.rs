//! Syslog: what iPXE, the two RFCs and broken senders write is read, and nothing of it reaches a terminal.

use proptest::prelude::*;
use wire::syslog::{LONGEST_TEXT, Syslog};

fn read(line: &str) -> (u8, u8, String, String, String) {
    let Syslog { facility, severity, host, program, text } = Syslog::parse(line.as_bytes());
    (facility, severity, host, program, text)
}

fn is(facility: u8, severity: u8, [host, program, text]: [&str; 3]) -> (u8, u8, String, String, String) {
    (facility, severity, host.to_owned(), program.to_owned(), text.to_owned())
}

#[test]
fn a_line_of_ipxe_is_read_with_and_without_its_name() {
    let said =
        "<134>node1.lab.internal ipxe: Could not boot: Connection timed out (https://ipxe.org/4c116035)";
    let text = "Could not boot: Connection timed out (https://ipxe.org/4c116035)";
    assert_eq!(read(said), is(16, 6, ["node1.lab.internal", "ipxe", text]));
    assert_eq!(read("<134>ipxe: ok"), is(16, 6, ["", "ipxe", "ok"]));
    assert!(Syslog::parse(b"<134>ipxe: ok").is_ipxe());
    assert!(!Syslog::parse(b"<134>kernel: ok").is_ipxe());
    assert_eq!(read("<134>node1 ipxe: "), is(16, 6, ["node1", "ipxe", ""]));
}

#[test]
fn both_rfcs_are_read() {
    assert_eq!(
        read("<34>1 2026-10-11T22:14:15.003Z boss.example su 12 ID47 - 'su root' failed"),
        is(4, 2, ["boss.example", "su", "'su root' failed"])
    );
    assert_eq!(
        read("<165>1 - host app - - [a@1 x=\"]\\\"\"][b@1] \u{feff}text with ] in it"),
        is(20, 5, ["host", "app", "text with ] in it"])
    );
    assert_eq!(
        read("<13>Oct 11 22:14:15 node2 sshd[817]: Accepted"),
        is(1, 5, ["node2", "sshd", "Accepted"])
    );
    assert_eq!(read("<13>Oct  1 22:14:15 node2 just words"), is(1, 5, ["node2", "", "just words"]));
}

#[test]
fn what_is_neither_is_all_text() {
    assert_eq!(read("no head at all"), is(1, 5, ["", "", "no head at all"]));
    assert_eq!(read("<999>x"), is(1, 5, ["", "", "<999>x"]));
    assert_eq!(read("<1>1 2026"), is(0, 1, ["", "", "1 2026"]));
    assert_eq!(read("<6>http://10.0.0.1/x failed"), is(0, 6, ["", "", "http://10.0.0.1/x failed"]));
    assert_eq!(read(""), is(1, 5, ["", "", ""]));
}

#[test]
fn nothing_that_a_terminal_obeys_is_kept() {
    assert_eq!(read("<6>ipxe: \u{1b}[31mred\u{1b}[0m\tand\r\n"), is(0, 6, ["", "ipxe", "red and"]));
    assert_eq!(Syslog::parse(b"<6>ipxe: \xff\xfe\x00\x07x").text, "\u{fffd}\u{fffd}x");
}

proptest! {
    #[test]
    fn every_datagram_is_a_bounded_printable_line(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let said = Syslog::parse(&bytes);
        prop_assert!(said.facility <= 23 && said.severity <= 7);
        prop_assert!(said.text.len() <= LONGEST_TEXT);
        for text in [&said.text, &said.host, &said.program] {
            prop_assert!(!text.chars().any(char::is_control));
        }
    }

    #[test]
    fn a_text_behind_a_plain_head_comes_back(text in "[a-zA-Z0-9][ -~]{0,100}[!-~]") {
        let line = format!("<134>node1 ipxe: {text}");
        prop_assert_eq!(Syslog::parse(line.as_bytes()).text, text);
    }
}
