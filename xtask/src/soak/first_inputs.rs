//! What fuzzing begins with: packets of real machines, and texts whose words it would have to guess whole.

use std::path::Path;

use crate::workspace::Outcome;

/// Bytes of the headers before a UDP payload over IPv4.
const HEADERS: usize = 14 + 20 + 8;

/// A file's name in the corpus, and its bytes.
type Input = (String, Vec<u8>);

/// First inputs of a target; none for those that get along without.
pub(super) fn of(root: &Path, target: &str) -> Outcome<Vec<Input>> {
    let packets = root.join("crates/wire/tests/captures");
    let captures = root.join("crates/labinator/tests/captures");
    if let Some(inputs) = of_power(target) {
        return Ok(inputs);
    }
    match target {
        "capture_read" => files(&captures, |name| name.contains(".pcap"), Ok),
        "dhcp_decode" | "dhcp_proxy" => {
            let of_dhcp = |name: &str| {
                name.ends_with("-discover.hex") || (name.ends_with("-request.hex") && !name.contains("tftp"))
            };
            files(&packets, of_dhcp, |text| {
                hexadecimal(&text).map(|frame| frame.get(HEADERS..).unwrap_or_default().to_vec())
            })
        }
        "frame_parse" => files(&packets, |_| true, |text| hexadecimal(&text)),
        "http_range" => Ok(texts(
            &["bytes=0-99", "bytes=-5\n\"abc\"", "bytes=5-\nSun, 06 Nov 1994 08:49:37 GMT"],
            |text| [&1000_u64.to_le_bytes(), text.as_bytes()].concat(),
        )),
        "medium_read" => Ok(texts(
            &[
                "labinator settings 1\nboss 10.9.0.1:80\naddress 10.9.0.13/24\ngateway 10.9.0.254\npatience 60\n",
                "# GRUB Environment Block\ntried=2026-11-27-13-4\nword=a\\\\b\n",
            ],
            // As long as GRUB's block.
            |text| format!("{text:#<1024}").into_bytes(),
        )),
        "pxelinux_path" => Ok(texts(
            &["pxelinux.cfg/default", "pxelinux.cfg/01-52-54-00-00-00-01", "pxelinux.cfg/0A000005"],
            |text| text.as_bytes().to_vec(),
        )),
        "agent_said" => files(&root.join("crates/model/tests/spoken"), |name| name.ends_with(".json"), Ok),
        "qmp_push" => Ok(texts(
            &[
                "{\"QMP\": {}}\r\n{\"return\": {\"status\": \"prelaunch\"}}\r\n",
                "{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": \"guest-shutdown\"}}\r\n",
                "{\"event\": \"BLOCK_IO_ERROR\", \"data\": {\"nospace\": true}}\n{\"error\": {\"desc\": \"no\"}}\n",
            ],
            // As the target takes its input apart: pieces of eight bytes.
            |text| [&[7], text.as_bytes()].concat(),
        )),
        "replay_script" => files(
            &captures,
            |name| name.ends_with(".replay"),
            |text| {
                // As the target takes its input apart: the length of the text stands behind everything.
                let length = u16::try_from(text.len())?;
                Ok([text.as_slice(), &length.to_be_bytes()].concat())
            },
        ),
        "talos_yaml" => Ok(texts(
            &[
                "version: v1alpha1\nmachine:\n    type: worker\n    certSANs: []\n---\nkind: HostnameConfig\nauto: off\n",
                "a: &x {k: [1.10, 0x1F, ~, \"q\", 's']}\nb:\n  <<: *x\n  ? long\n  : |2-\n     t\n    u\n",
                "- >+\n  a\n\n  b\n\n- !!str 1\n- 2001-01-01T1:2:3Z\n",
            ],
            |text| text.as_bytes().to_vec(),
        )),
        "tftp_decode" => files(
            &packets,
            |name| name.contains("-tftp-"),
            |text| hexadecimal(&text).map(|frame| frame.get(HEADERS..).unwrap_or_default().to_vec()),
        ),
        _ => Ok(Vec::new()),
    }
}

/// First inputs of the targets of what switches power.
fn of_power(target: &str) -> Option<Vec<Input>> {
    match target {
        "board_said" => Some(texts(
            &[
                "<a:Envelope><a:Header><b:RelatesTo>1</b:RelatesTo></a:Header><a:Body><g:CIM_AssociatedPowerManagementService>\
                 <g:PowerState>2</g:PowerState></g:CIM_AssociatedPowerManagementService></a:Body></a:Envelope>",
                "<a:Envelope><a:Body><a:Fault><a:Reason><a:Text>&lt;no&#x21;</a:Text></a:Reason></a:Fault></a:Body></a:Envelope>",
                "CH1: ON\r\nCH2: OFF\r\n",
                "relay read 0\n\ron\n\r>",
            ],
            |text| text.as_bytes().to_vec(),
        )),
        "mqtt_packets" => Some(texts(
            &[
                "\u{32}\u{9}\0\u{3}a/b\0\u{a}ON",
                " \u{2}\0\0",
                "\u{10}\u{16}\0\u{4}MQTT\u{4}\u{2}\0\u{3c}\0\u{a}labinator1",
                "a/+/#\na/b/c",
            ],
            |text| text.as_bytes().to_vec(),
        )),
        // A GET of version 1, as net-snmp asks.
        "snmp_message" => Some(texts(
            &[
                "0&\u{2}\u{1}\0\u{4}\u{6}public\u{22}\u{19}\u{2}\u{1}\u{1}\u{2}\u{1}\0\u{2}\u{1}\u{0}0\u{e}0\u{c}\u{6}\u{8}+\u{6}\u{1}\u{2}\u{1}\u{1}\u{1}\0\u{5}\0",
            ],
            |text| {
                // The tag of an answer is no character of its own.
                text.bytes().map(|byte| if byte == b'"' { 0xa2 } else { byte }).collect()
            },
        )),
        _ => None,
    }
}

fn files(
    folder: &Path,
    wanted: impl Fn(&str) -> bool,
    convert: impl Fn(Vec<u8>) -> Outcome<Vec<u8>>,
) -> Outcome<Vec<Input>> {
    let mut inputs = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if wanted(&name) {
            inputs.push((format!("first-{name}"), convert(std::fs::read(&path)?)?));
        }
    }
    if inputs.is_empty() {
        return Err(format!("{} holds none of the first inputs", folder.display()).into());
    }
    Ok(inputs)
}

fn texts(texts: &[&str], convert: impl Fn(&str) -> Vec<u8>) -> Vec<Input> {
    texts.iter().enumerate().map(|(number, text)| (format!("first-{number}"), convert(text))).collect()
}

/// The bytes of a listing: pairs of digits, and lines that begin with `#`.
fn hexadecimal(text: &[u8]) -> Outcome<Vec<u8>> {
    let text = str::from_utf8(text)?;
    let words = text.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace);
    words.map(|word| Ok(u8::from_str_radix(word, 16)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_that_needs_them_has_first_inputs() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for target in [
            "agent_said",
            "capture_read",
            "dhcp_decode",
            "frame_parse",
            "http_range",
            "pxelinux_path",
            "qmp_push",
            "replay_script",
            "tftp_decode",
        ] {
            let inputs = of(root, target).unwrap();
            assert!(inputs.iter().all(|(_, bytes)| !bytes.is_empty()), "{target}");
            assert!(inputs.len() >= 2, "{target}: {}", inputs.len());
        }
        let dhcp = of(root, "dhcp_decode").unwrap();
        assert!(dhcp.iter().all(|(name, bytes)| bytes[0] == 1 && bytes.len() > 240 || panic!("{name}")));
    }
}
