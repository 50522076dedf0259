//! Clients of TFTP and HTTP that others wrote, against a running controller: netascii, windows, one port, resuming.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod e2e;

use std::fs;
use std::path::Path;
use std::time::Duration;

use e2e::client::Client;
use e2e::controller::Controller;
use e2e::ground::{said, until};
use e2e::house::House;
use e2e::lab::{self, BOSS};
use e2e::processes::told;

/// Enough for anything here on a machine that is busy with other things.
const LIMIT: Duration = Duration::from_secs(60);
/// A file of the loader folder with every byte in it, and both line ends.
const ODD: &str = "odd.bin";

/// A controller whose TFTP answers so, with an odd file among its loaders.
fn started(house: &House, tftp: &str) -> (Controller, Vec<u8>) {
    let file = lab::written(house);
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("lease: 10m", &format!("lease: 10m, tftp: {tftp}"))).unwrap();
    let loaders = house.path("loaders");
    fs::create_dir(&loaders).unwrap();
    let odd: Vec<u8> = (0..=255).chain(*b"\r\n\n\r\r\n").cycle().take(300_000).collect();
    fs::write(loaders.join(ODD), &odd).unwrap();
    for name in ["undionly.kpxe", "snponly.efi"] {
        fs::write(loaders.join(name), &odd).unwrap();
    }
    let loaders = [("LABINATOR_LOADERS", loaders.to_str().unwrap())];
    (Controller::start_in(house, &file, &house.path("state"), &loaders), odd)
}

/// Runs a client that writes to this file; what it wrote.
fn got(mut command: std::process::Command, to: &Path) -> Vec<u8> {
    drop(fs::remove_file(to));
    told(&mut command);
    fs::read(to).unwrap()
}

#[test]
#[ignore = "stage e2e-clients"]
fn every_tftp_client_gets_the_same_bytes_from_ports_of_their_own_and_from_port_69() {
    for ports in ["own-ports", "single-port"] {
        let house = House::new();
        let (_controller, odd) = started(&house, ports);
        let node = Client::with_address(&house, "node1", &lab::mac(1), "10.79.0.11");
        let to = house.path("got");
        // tftp-hpa asks for netascii unless it is told otherwise, and translates back.
        for mode in ["netascii", "octet"] {
            let mut command = node.command(60, "tftp");
            command.args(["-m", mode, BOSS, "-c", "get", ODD]).arg(&to);
            assert!(got(command, &to) == odd, "tftp-hpa, {mode}, {ports}");
        }
        for options in
            [&["blksize 1468"][..], &["blksize 1468", "windowsize 16"], &["windowsize 64", "tsize 0"]]
        {
            let mut command = node.command(60, "atftp");
            for option in options {
                command.args(["--option", option]);
            }
            command.args(["--get", "--remote-file", ODD, "--local-file"]).arg(&to).arg(BOSS);
            assert!(got(command, &to) == odd, "atftp, {options:?}, {ports}");
        }
        let mut command = node.command(60, "busybox");
        command.args(["tftp", "-g", "-b", "1400", "-r", ODD, "-l"]).arg(&to).arg(BOSS);
        assert!(got(command, &to) == odd, "busybox, {ports}");
        let mut command = node.command(60, "curl");
        command.args(["--silent", "--show-error", "-o"]).arg(&to).arg(format!("tftp://{BOSS}/{ODD}"));
        assert!(got(command, &to) == odd, "curl, {ports}");
    }
}

#[test]
#[ignore = "stage e2e-clients"]
fn downloads_go_on_where_they_broke_off_and_what_came_is_what_the_digest_says() {
    let house = House::new();
    let (controller, _) = started(&house, "own-ports");
    let node = Client::with_address(&house, "node1", &lab::mac(1), "10.79.0.11");
    let kernel = house.path("vmlinuz");
    let digest = told(node.command(60, "sha256sum").arg(&kernel)).split(' ').next().unwrap().to_owned();
    until(LIMIT, "the kernel is on the shelf", || {
        controller.state.join("shelf").join(&digest).is_file().then_some(())
    });
    let (url, whole) = (format!("http://{BOSS}/f/{digest}/vmlinuz"), lab::kernel());
    let to = house.path("got");
    let begun = |bytes: usize| fs::write(&to, whole.get(..bytes).unwrap()).unwrap();

    begun(1_000_000);
    told(node.command(60, "wget").args(["--quiet", "--continue", "-O"]).arg(&to).arg(&url));
    assert!(fs::read(&to).unwrap() == whole, "wget");
    begun(2_999_999);
    told(node.command(60, "busybox").args(["wget", "-q", "-c", "-O"]).arg(&to).arg(&url));
    assert!(fs::read(&to).unwrap() == whole, "busybox wget");
    begun(1);
    told(node.command(60, "curl").args(["-sSf", "--continue-at", "-", "-o"]).arg(&to).arg(&url));
    assert!(fs::read(&to).unwrap() == whole, "curl");

    // RFC 9530: the digest as curl sees it, in base64, and in a trailer for those who read trailers.
    let wanted = node.shell(&format!("openssl dgst -sha256 -binary < {} | base64", kernel.display()));
    let field = format!("digest: sha-256=:{}:", wanted.trim());
    let head = said(&node.command(60, "curl").args(["-sSfI", &url]).output().unwrap()).to_lowercase();
    assert!(head.contains(&format!("repr-{}", field.to_lowercase())), "{head}");
    let mut command = node.command(60, "curl");
    command.args(["-sSf", "-H", "TE: trailers", "-D"]).arg(house.path("head")).arg("-o").arg(&to).arg(&url);
    assert!(got(command, &to) == whole, "in chunks");
    let head = fs::read_to_string(house.path("head")).unwrap().to_lowercase();
    assert!(head.contains("trailer: content-digest"), "{head}");
    assert!(head.contains(&format!("content-{}", field.to_lowercase())), "{head}");
}
