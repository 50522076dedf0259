//! Writes a file of syslog lines in the mix of a running lab, from a seed, for `cargo xtask bench logs`.
//!
//! ```text
//! replay FILE LINES SEED
//! ```
//!
//! The mix is that of a lab which counted 1,890,537 lines in three weeks: 989,423 of them packets that its router dropped
//! at the WAN port (one rule, 52 %), 64,125 DNS queries, 10,228 checks of certificates, 56 renewals, and everyday lines of
//! daemons. The router writes RFC 3164, the others RFC 5424.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};

/// Lines of each kind in the sample.
const DROPS: u64 = 989_423;
const QUERIES: u64 = 64_125;
const CHECKS: u64 = 10_228;
const RENEWALS: u64 = 56;
const ALL: u64 = 1_890_537;
/// What is left of the sample's warnings: 993,038 less the drops.
const WARNINGS: u64 = 3_615;

/// Program, text with `#` for a number, `@` for an address and `~` for a word of hexadecimal digits.
const EVERYDAY: [(&str, &str); 24] = [
    (
        "kubelet",
        "I# # reconciler_common.go:# \"operationExecutor.VerifyControllerAttachedVolume started for volume kube-api-access-~ of pod web-~\"",
    ),
    (
        "kubelet",
        "I# # pod_startup_latency_tracker.go:# \"Observed pod startup duration\" pod=\"default/web-~\" podStartSLOduration=#.#",
    ),
    ("containerd", "level=info msg=\"StartContainer for ~ returns successfully\""),
    (
        "containerd",
        "level=info msg=\"ImageUpdate event name:registry.lab/web@sha256:~ labels io.cri-containerd.image: managed\"",
    ),
    (
        "etcd",
        "apply request took # ms, expected-duration 100 ms, prefix read-only range key /registry/pods/default/web-~ size #",
    ),
    ("etcd", "finished scheduled compaction at revision #, took #.# ms, hash #"),
    ("dnsmasq-dhcp", "DHCPREQUEST(br0) @ 52:54:00:~"),
    ("dnsmasq-dhcp", "DHCPACK(br0) @ 52:54:00:~ node#"),
    ("sshd", "Accepted publickey for root from @ port # ssh2: ED25519 SHA256:~"),
    ("sshd", "Connection closed by @ port # [preauth]"),
    ("systemd", "Started session-#.scope - Session # of User root."),
    (
        "systemd",
        "run-containerd-io.containerd.runtime.v2.task-k8s.io-~-rootfs.mount: Deactivated successfully.",
    ),
    ("systemd", "logrotate.service: Deactivated successfully."),
    ("kernel", "[#.#] veth~: entered promiscuous mode"),
    ("kernel", "[#.#] cni0: port #(veth~) entered forwarding state"),
    ("kernel", "[#.#] igc 0000:02:00.0 enp2s0: NIC Link is Up 2500 Mbps Full Duplex, Flow Control: RX/TX"),
    ("nginx", "@ - - \"GET /v2/web/blobs/sha256:~ HTTP/1.1\" 200 # \"-\" \"containerd/1.7.#\""),
    ("nginx", "@ - - \"GET /loadstats HTTP/1.1\" 101 # \"-\" \"Go-http-client/1.1\""),
    ("chronyd", "Selected source @ (0.pool.ntp.org)"),
    ("CRON", "(root) CMD (/usr/local/bin/collect --period # > /dev/null)"),
    ("flannel", "I# # main.go:# Lease renewed, new expiration: # s for subnet @"),
    (
        "coredns",
        "[INFO] @:# - # \"A IN web-~.default.svc.cluster.local. udp 60 false 512\" NOERROR qr,aa,rd 108 0.#s",
    ),
    ("otelcol", "info exporters: batch sent items=# size=# endpoint=@:4317"),
    ("smartd", "Device: /dev/nvme0n#, Temperature changed # Celsius to # Celsius"),
];
const WARNED: [(&str, &str); 3] = [
    ("kubelet", "W# # reflector.go:# watch of configmaps ended with: too old resource version: # (#)"),
    (
        "kernel",
        "[#.#] perf: interrupt took too long (# > #), lowering kernel.perf_event_max_sample_rate to #",
    ),
    ("chronyd", "System clock wrong by #.# seconds"),
];
const DOMAINS: [&str; 8] = ["debian", "registry-1", "ghcr", "quay", "time", "github", "factory", "pool"];

/// xorshift64 (Marsaglia 2003): the same file from the same seed, anywhere.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let count = u64::try_from(of.len()).unwrap_or(1);
        of.get(usize::try_from(self.below(count)).unwrap_or_default())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, lines, seed] = arguments.as_slice() else { return Err("replay FILE LINES SEED".into()) };
    let mut dice = Dice(seed.parse::<u64>()?.max(1));
    let mut out = BufWriter::new(File::create(file)?);
    let mut text = String::new();
    for number in 0..lines.parse::<u64>()? {
        // About a line a second, as there; times of day go round.
        let time = format!("{:02}:{:02}:{:02}", number / 3600 % 24, number / 60 % 60, number % 60);
        text.clear();
        line(&mut text, &mut dice, (number, &time));
        out.write_all(text.as_bytes())?;
    }
    Ok(out.flush()?)
}

fn line(out: &mut String, dice: &mut Dice, (number, time): (u64, &str)) {
    let kind = dice.below(ALL);
    let mut limit = DROPS;
    if kind < limit {
        return drop_line(out, dice, (number, time));
    }
    let node = 1 + dice.below(6);
    let micros = dice.below(1_000_000);
    let mut say = |severity: u8, program: &str, text: &str| {
        let priority = 24 + severity;
        out.push_str(&format!(
            "<{priority}>1 2026-11-26T{time}.{micros:06}Z node{node} {program} 812 - - {text}\n"
        ));
    };
    limit += QUERIES;
    if kind < limit {
        let domain = dice.one(&DOMAINS).copied().unwrap_or_default();
        let text = format!("query[A] {domain}.example.org from 192.0.2.{}", dice.below(250));
        return say(6, "dnsmasq", &text);
    }
    limit += CHECKS;
    if kind < limit {
        return say(6, "cert-renewer", &format!("certificate checked, valid for {} s", dice.below(86_400)));
    }
    limit += RENEWALS;
    if kind < limit {
        return say(5, "cert-renewer", "certificate renewed");
    }
    limit += WARNINGS;
    let (severity, from) = if kind < limit { (4, &WARNED[..]) } else { (6, &EVERYDAY[..]) };
    let (program, pattern) = dice.one(from).copied().unwrap_or_default();
    let text = filled(pattern, dice);
    say(severity, program, &text);
}

/// What the router's kernel says of a packet that its rule dropped.
fn drop_line(out: &mut String, dice: &mut Dice, (number, time): (u64, &str)) {
    let (from, port) =
        (dice.below(1 << 24), dice.one(&[23, 22, 445, 3389, 8080, 5060]).copied().unwrap_or(23));
    let (a, b, c) = (from >> 16, from >> 8 & 255, from & 255);
    out.push_str(&format!(
        "<4>Nov 26 {time} firewall kernel: [{number}.{:06}] drop wan in: IN=eth1 OUT= \
         MAC=00:0d:b9:4a:5c:91:00:01:5c:7a:8e:46:08:00 SRC=198.{a}.{b}.{c} DST=203.0.113.5 LEN={} TTL={} ID={} \
         PROTO=TCP SPT={} DPT={port} SYN\n",
        dice.below(1_000_000),
        40 + dice.below(20),
        30 + dice.below(220),
        dice.below(65_536),
        1_024 + dice.below(64_000),
    ));
}

fn filled(pattern: &str, dice: &mut Dice) -> String {
    let mut out = String::new();
    for character in pattern.chars() {
        match character {
            '#' => out.push_str(&dice.below(100_000).to_string()),
            '@' => out.push_str(&format!("10.79.{}.{}", dice.below(8), dice.below(250))),
            '~' => out.push_str(&format!("{:010x}", dice.below(1 << 40))),
            character => out.push(character),
        }
    }
    out
}
