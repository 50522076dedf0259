//! The counter's process gives away every right that it was started with.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

#[path = "lost_writes/stand.rs"]
mod stand;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use netboot::{BindConfig, Sockets};

/// The value of a line of `/proc/PID/status` (proc(5)).
fn value<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name}: {status}")).trim()
}

#[test]
fn the_counter_serves_without_any_right_of_roots() {
    let state = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("rights-{}", std::process::id()));
    fs::create_dir_all(&state).unwrap();
    let brief = serde_json::json!({
        "spec": stand::spec(1),
        "folders": { "state": state, "loaders": state, "images": state },
    });
    fs::write(state.join("brief.json"), brief.to_string()).unwrap();
    let sockets =
        Sockets::bind(&BindConfig { dhcp: Some(0), ..BindConfig::bare(Ipv4Addr::LOCALHOST) }).unwrap();
    let http = sockets.http.local_addr().unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut counter = Command::new(env!("CARGO_BIN_EXE_labinator"))
        .args(["inside", "counter"])
        .arg(&state)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()
        .unwrap();
    sockets.send_over(&ours).unwrap();
    drop(sockets);

    // It answers, so whatever it does before it serves is done; its packet thread runs as well.
    let mut stream = TcpStream::connect(http).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(b"GET /none HTTP/1.1\r\nHost: boss\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let folder = PathBuf::from(format!("/proc/{}/task", counter.id()));
    let threads: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .filter_map(|thread| fs::read_to_string(thread.unwrap().path().join("status")).ok())
        .collect();
    // Closing the line ends it.
    drop(ours);
    let ended = counter.wait().unwrap();
    drop(fs::remove_dir_all(&state));

    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    assert!(ended.success(), "{ended}");
    assert!(!threads.is_empty());
    for status in &threads {
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(value(status, set).trim_start_matches('0'), "", "{set}: {status}");
        }
        assert_eq!(value(status, "NoNewPrivs"), "1", "{status}");
    }
}
