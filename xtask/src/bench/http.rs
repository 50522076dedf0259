//! Boot HTTP against nginx with `sendfile`, the same files in one run.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::plain::{self, BOSS, Ground};
use super::report::{Report, Row};
use super::segment::wait;
use crate::workspace::{Outcome, Workspace, printed, quietly};

/// Packages this bench measures with and against.
pub(super) const PACKAGES: &[&str] = &["wrk", "nginx-light", "curl", "iproute2", "util-linux"];

/// Rounds unless `--rounds N` says otherwise. Within a round the sides take turns.
const ROUNDS: usize = 5;
/// Seconds of one `wrk`.
const SECONDS: u32 = 5;
/// Sizes of the two files.
const SMALL: usize = 1 << 20;
const BIG: usize = 256 << 20;
/// Downloads of the large one at once: a board of six.
const SIX: usize = 6;
/// Port of the other; ours is 80.
const NGINX: u16 = 8081;

/// Runs the rounds.
///
/// # Errors
/// Something does not build or start, or a download failed.
pub(super) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome<Report> {
    if let Some(ground) = Ground::of(arguments) {
        let (ground, rest) = ground?;
        let rounds = rest.first().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
        println!("{}", measure(&ground, rounds)?);
        return Ok(Report::default());
    }
    let rounds = plain::rounds(arguments, ROUNDS)?;
    let found = plain::enter(workspace, "http", &[rounds.to_string()])?;
    let mut report = Report::default();
    for (key, what, unit) in
        [("wrk", "wrk -t2 -c64, 1 MiB", "s/GiB"), ("six", "six times 256 MiB at once, curl", "s")]
    {
        let peer = format!("nginx: {what}");
        report.push(Row::new(peer.clone(), unit, plain::samples(&found, &format!("/nginx/{key}"))?));
        let ours = plain::samples(&found, &format!("/ours/{key}"))?;
        report.push(Row::new(format!("labinator: {what}"), unit, ours).at_most(1.0, peer));
    }
    Ok(report)
}

fn measure(ground: &Ground, rounds: usize) -> Outcome<Value> {
    let www = ground.folder.join("www");
    fs::create_dir_all(&www)?;
    fs::write(www.join("small"), plain::bytes(SMALL))?;
    fs::write(www.join("big"), plain::bytes(BIG))?;
    let loaders = ground.folder.join("loaders");
    fs::create_dir_all(&loaders)?;
    for name in ["undionly.kpxe", "snponly.efi"] {
        fs::write(loaders.join(name), [0])?;
    }
    let image = "image: { kernel: www/small, initrd: [www/big] }";
    let controller = ground.controller(&loaders, image)?;
    let ours = [ours(&controller.state, &www.join("small"))?, ours(&controller.state, &www.join("big"))?];
    let _nginx = nginx(&ground.folder)?;
    let theirs = ["small", "big"].map(|name| format!("http://{BOSS}:{NGINX}/{name}"));
    let sides = [("ours", ours), ("nginx", theirs)];
    let mut found = json!({});
    for (name, [small, _]) in &sides {
        wait(Duration::from_secs(120), name, || {
            quietly(ground.at_client("curl").args(["-sf", "-o", "/dev/null", small])).then_some(())
        })?;
        if let Some(found) = found.as_object_mut() {
            found.insert((*name).to_owned(), json!({ "wrk": [], "six": [] }));
        }
    }
    for round in 1..=rounds {
        for (name, [small, big]) in &sides {
            let rate = wrk(ground, small)?;
            let took = six(ground, big)?;
            let Some(lists) = found.get_mut(*name) else { continue };
            // Each request is one MiB.
            plain::push(lists, "wrk", 1024.0 / rate);
            plain::push(lists, "six", took);
        }
        eprintln!("round {round} of {rounds}");
    }
    Ok(found)
}

/// The address of a file in our counter, once it is on its shelf.
fn ours(state: &Path, file: &Path) -> Outcome<String> {
    let said = printed(Command::new("sha256sum").arg(file))?;
    let digest = said.split_whitespace().next().ok_or("sha256sum said nothing")?.to_owned();
    wait(Duration::from_secs(120), "the shelf", || {
        state.join("shelf").join(&digest).is_file().then_some(())
    })?;
    Ok(format!("http://{BOSS}/f/{digest}/file"))
}

/// Requests a second, from the report of `wrk`.
fn wrk(ground: &Ground, url: &str) -> Outcome<f64> {
    let mut command = ground.at_client("wrk");
    let report = printed(command.args(["-t2", "-c64", &format!("-d{SECONDS}s"), url]))?;
    requests(&report).ok_or_else(|| format!("wrk said: {report}").into())
}

fn requests(report: &str) -> Option<f64> {
    if report.contains("Non-2xx") || report.contains("Socket errors") {
        return None;
    }
    let line = report.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:"))?;
    line.trim().parse().ok().filter(|rate| *rate > 0.0)
}

/// Seconds until the last of six downloads is there.
fn six(ground: &Ground, url: &str) -> Outcome<f64> {
    let mut command = ground.at_client("curl");
    command.args(["--silent", "--show-error", "--fail", "--parallel", "--parallel-immediate"]);
    command.args(["--parallel-max", &SIX.to_string()]);
    for _ in 0..SIX {
        command.args(["--output", "/dev/null", url]);
    }
    let begun = Instant::now();
    printed(&mut command)?;
    Ok(begun.elapsed().as_secs_f64())
}

struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        if quietly(Command::new("kill").arg(self.0.id().to_string())) {
            drop(self.0.wait());
        }
    }
}

fn nginx(folder: &Path) -> Outcome<Nginx> {
    let at = folder.display();
    let config = folder.join("nginx.conf");
    fs::write(
        &config,
        format!(
            "daemon off;\nuser root;\nworker_processes auto;\npid {at}/nginx.pid;\nerror_log {at}/error.log;\n\
             events {{}}\nhttp {{\n  access_log off;\n  sendfile on;\n  tcp_nopush on;\n  \
             server {{ listen {BOSS}:{NGINX}; root {at}/www; }}\n}}\n"
        ),
    )?;
    Ok(Nginx(Command::new("nginx").arg("-c").arg(config).stdin(Stdio::null()).spawn()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_read_from_a_clean_report_only() {
        let clean = "Running 5s test @ http://x\n  2 threads and 64 connections\nRequests/sec:   2842.11\nTransfer/sec:      2.78GB\n";
        assert_eq!(requests(clean), Some(2842.11));
        assert_eq!(requests(&format!("  Non-2xx or 3xx responses: 5\n{clean}")), None);
        assert_eq!(requests("nothing"), None);
    }
}
