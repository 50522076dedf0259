//! TFTP against tftpd-hpa in one run: lock-step and windows, on a veth pair and over a link that delays each packet.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::delay;
use super::plain::{self, BOSS, Ground};
use super::report::{Report, Row};
use super::segment::wait;
use crate::workspace::{Outcome, Workspace, printed};

/// Packages this bench measures with and against.
pub(super) const PACKAGES: &[&str] = &["atftp", "tftpd-hpa", "iproute2", "util-linux"];

/// Rounds unless `--rounds N` says otherwise. Within a round the two sides take turns.
const ROUNDS: usize = 5;
/// Size of the file: the larger of the loaders in the field, several times, so that a transfer takes long enough.
const SIZE: usize = 4 << 20;
/// The same over the delayed link, where a lock-step transfer waits for each block.
const SMALL: usize = 512 << 10;
/// What each packet is held up by, in each direction.
const DELAY: Duration = Duration::from_millis(1);
/// Block size everywhere: what fits an Ethernet frame.
const BLOCK: usize = 1468;

/// Runs the rounds.
///
/// # Errors
/// Something does not build or start, or a transfer failed.
pub(super) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome<Report> {
    if let Some(ground) = Ground::of(arguments) {
        let (ground, rest) = ground?;
        let rounds = rest.first().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
        println!("{}", measure(&ground, rounds)?);
        return Ok(Report::default());
    }
    let rounds = plain::rounds(arguments, ROUNDS)?;
    let found = plain::enter(workspace, "tftp", &[rounds.to_string()])?;
    let samples = |what: &str| plain::samples(&found, what);
    let mut report = Report::default();
    let peer = "tftpd-hpa: atftp, lock-step";
    report.push(Row::new(peer, "s", samples("/peer/lock")?));
    report
        .push(Row::new("labinator: atftp, lock-step", "s", samples("/ours/lock")?).at_most(1.0 / 0.9, peer));
    report.push(
        Row::new("labinator: atftp, window 16", "s", samples("/ours/window")?).at_most(1.0 / 3.0, peer),
    );
    let peer = "tftpd-hpa: 1 ms each way, lock-step";
    report.push(Row::new(peer, "s", samples("/peer/far_lock")?));
    let row = Row::new("labinator: 1 ms each way, lock-step", "s", samples("/ours/far_lock")?);
    report.push(row.at_most(1.0 / 0.9, peer));
    let row = Row::new("labinator: 1 ms each way, window 16", "s", samples("/ours/far_window")?);
    report.push(row.at_most(1.0 / 3.0, peer));
    Ok(report)
}

fn measure(ground: &Ground, rounds: usize) -> Outcome<Value> {
    let loaders = ground.folder.join("loaders");
    fs::create_dir_all(&loaders)?;
    for (name, size) in [("big.bin", SIZE), ("small.bin", SMALL), ("undionly.kpxe", 1), ("snponly.efi", 1)] {
        fs::write(loaders.join(name), plain::bytes(size))?;
    }
    let mut ours = json!({ "lock": [], "window": [], "far_lock": [], "far_window": [] });
    let mut peer = json!({ "lock": [], "far_lock": [] });
    for round in 1..=rounds {
        {
            let _controller = ground.controller(&loaders, "image: node")?;
            wait(Duration::from_secs(30), "our TFTP", || probe(69).then_some(()))?;
            plain::push(&mut ours, "lock", atftp(ground, "big.bin", 1)?);
            plain::push(&mut ours, "window", atftp(ground, "big.bin", 16)?);
            plain::push(&mut ours, "far_lock", far("small.bin", 1)?);
            plain::push(&mut ours, "far_window", far("small.bin", 16)?);
        }
        {
            let _server = tftpd(&loaders)?;
            wait(Duration::from_secs(30), "tftpd-hpa", || probe(69).then_some(()))?;
            plain::push(&mut peer, "lock", atftp(ground, "big.bin", 1)?);
            plain::push(&mut peer, "far_lock", far("small.bin", 1)?);
        }
        eprintln!("round {round} of {rounds}");
    }
    Ok(json!({ "ours": ours, "peer": peer }))
}

/// Seconds of one atftp that writes to memory, on the other end of the cable.
fn atftp(ground: &Ground, file: &str, window: u16) -> Outcome<f64> {
    let got = Path::new("/run").join(file);
    let mut command = ground.at_client("atftp");
    command.args(["--option", &format!("blksize {BLOCK}")]);
    if window > 1 {
        command.args(["--option", &format!("windowsize {window}")]);
    }
    command.args(["--get", "--remote-file", file, "--local-file"]).arg(&got).arg(BOSS);
    let begun = Instant::now();
    printed(&mut command)?;
    let took = begun.elapsed().as_secs_f64();
    if fs::read(&got)? != fs::read(ground.folder.join("loaders").join(file))? {
        return Err(format!("{file} came over changed").into());
    }
    fs::remove_file(&got)?;
    Ok(took)
}

/// Seconds of a whole file to a client of our own that speaks through a relay which holds each packet up.
fn far(file: &str, window: u16) -> Outcome<f64> {
    let link = delay::Link::start(SocketAddr::new(BOSS.parse()?, 69), DELAY)?;
    let socket = UdpSocket::bind(("127.0.0.1", 0))?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    let begun = Instant::now();
    let bytes = fetch(&socket, link.address(), file, window)?;
    let took = begun.elapsed().as_secs_f64();
    if bytes == plain::bytes(SMALL) { Ok(took) } else { Err(format!("{file} came over changed").into()) }
}

/// A receiver as RFC 7440 has it: an ACK for each window, and for the last block.
fn fetch(socket: &UdpSocket, to: SocketAddr, file: &str, window: u16) -> Outcome<Vec<u8>> {
    let mut ask = vec![0, 1];
    let mut words = vec![file.to_owned(), "octet".to_owned(), "blksize".to_owned(), BLOCK.to_string()];
    if window > 1 {
        words.extend(["windowsize".to_owned(), window.to_string()]);
    }
    for word in words {
        ask.extend_from_slice(word.as_bytes());
        ask.push(0);
    }
    socket.send_to(&ask, to)?;
    let mut bytes = Vec::new();
    let mut buffer = [0; 2048];
    let (mut next, mut acked) = (1_u16, 0_u16);
    loop {
        let (count, from) = socket.recv_from(&mut buffer)?;
        let (head, data) =
            buffer.get(..count).and_then(|packet| packet.split_at_checked(4)).ok_or("cut short")?;
        match *head {
            [0, 6, ..] => drop(socket.send_to(&[0, 4, 0, 0], from)?),
            [0, 3, high, low] if u16::from_be_bytes([high, low]) == next => {
                bytes.extend_from_slice(data);
                let last = data.len() < BLOCK;
                if last || next.wrapping_sub(acked) == window {
                    socket.send_to(&[0, 4, high, low], from)?;
                    acked = next;
                }
                next = next.wrapping_add(1);
                if last {
                    return Ok(bytes);
                }
            }
            [0, 3, ..] => return Err("a block was lost on a link that loses none".into()),
            _ => return Err(format!("refused: {}", String::from_utf8_lossy(data)).into()),
        }
    }
}

/// Whether a TFTP server answers: any answer will do.
fn probe(port: u16) -> bool {
    let ask = || -> std::io::Result<usize> {
        let socket = UdpSocket::bind((BOSS, 0))?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        socket.send_to(b"\0\x01none\0octet\0", (BOSS, port))?;
        socket.recv(&mut [0; 512])
    };
    ask().is_ok()
}

/// tftpd-hpa, ended when dropped.
struct Server(Child);

fn tftpd(folder: &Path) -> Outcome<Server> {
    let child = Command::new("in.tftpd")
        .args(["--foreground", "--secure", "--user", "root", "--address", &format!("{BOSS}:69")])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    Ok(Server(child))
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.0.kill().is_ok() {
            // Its port is free only when it is gone.
            drop(self.0.wait());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_of_the_delayed_link_acknowledges_windows() {
        let server = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let client = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let to = server.local_addr().unwrap();
        let serving = std::thread::spawn(move || {
            let mut buffer = [0; 600];
            let (_, from) = server.recv_from(&mut buffer).unwrap();
            server.send_to(b"\0\x06blksize\x001468\0windowsize\x002\0", from).unwrap();
            let mut acks = Vec::new();
            for (ack, blocks) in [(0, 1..=2_u8), (2, 3..=3)] {
                server.recv_from(&mut buffer).unwrap();
                assert_eq!(buffer[..4], [0, 4, 0, ack]);
                for block in blocks {
                    let data = if block == 3 { vec![block; 7] } else { vec![block; BLOCK] };
                    server.send_to(&[&[0, 3, 0, block], data.as_slice()].concat(), from).unwrap();
                }
                acks.push(ack);
            }
            server.recv_from(&mut buffer).unwrap();
            buffer[3]
        });
        let bytes = fetch(&client, to, "file", 2).unwrap();
        assert_eq!((bytes.len(), serving.join().unwrap()), (2 * BLOCK + 7, 3));
    }
}
