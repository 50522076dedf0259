//! `cargo xtask bench logs`: what a line of syslog costs, here and in daemons that write it to a file.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::report::{Report, Row};
use super::segment::wait;
use crate::suites;
use crate::workspace::{Outcome, Workspace, printed, succeeds};

/// The peers, unpacked: installed, they would take this machine's own log over.
pub(super) const PACKAGES: &[&str] = &[
    "bookworm/rsyslog",
    "bookworm/libestr0",
    "bookworm/libfastjson4",
    "bookworm/liblognorm5",
    "bookworm/syslog-ng-core",
    "bookworm/libivykis0",
    "bookworm/libnet1",
    "bookworm/libpcre3",
];
const SEED: &str = "9";
/// Ports of the peers.
const RSYSLOG: u16 = 5514;
const SYSLOG_NG: u16 = 5515;
/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(300);
/// How long lines are sent at a pace.
const PACED: u64 = 10;

/// What one receiver did.
struct Cost {
    /// Seconds of CPU.
    cpu: f64,
    /// Most memory, in MiB.
    memory: f64,
    /// How late the 99th of 100 lines was at the first viewer, in ms; 0 without viewers.
    late: f64,
}

/// Builds the examples of the crate `logs`, and lets them and the peers receive the same file.
///
/// # Errors
/// Something does not build or run, lines were lost, or an argument is not known.
pub(super) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome<Report> {
    let (rounds, lines) = read(arguments)?;
    if !succeeds(&mut workspace.cargo(&["build", "--release", "-p", "logs", "--examples"]))? {
        return Err("the examples of logs do not build".into());
    }
    let bench = Bench {
        examples: workspace.target.join("release/examples"),
        folder: workspace.target.join("bench/logs"),
        suites: suites::folder(workspace).join("bookworm"),
        lines,
    };
    fs::create_dir_all(&bench.folder)?;
    let replay = bench.replay();
    printed(Command::new(bench.examples.join("replay")).arg(&replay).args([&lines.to_string(), SEED]))?;
    let report = bench.report(rounds);
    fs::remove_file(replay)?;
    report
}

fn read(arguments: &[String]) -> Outcome<(usize, u64)> {
    let (mut rounds, mut lines) = (3, 2_000_000);
    for pair in arguments.chunks(2) {
        match pair {
            [word, n] if word == "--rounds" => rounds = n.parse()?,
            [word, n] if word == "--lines" => lines = n.parse()?,
            _ => return Err("logs takes --rounds N and --lines N".into()),
        }
    }
    Ok((rounds, lines))
}

struct Bench {
    examples: PathBuf,
    folder: PathBuf,
    suites: PathBuf,
    lines: u64,
}

impl Bench {
    fn replay(&self) -> PathBuf {
        self.folder.join("replay.log")
    }

    fn report(&self, rounds: usize) -> Outcome<Report> {
        let (mut file, mut ours, mut stored) = (Vec::new(), Vec::new(), Vec::new());
        let (mut rsyslog, mut syslog_ng) = (Vec::new(), Vec::new());
        for round in 1..=rounds {
            file.push(self.rate(&self.grind()?));
            ours.push(self.rate(&self.received(&[])?));
            stored.push(self.rate(&self.received(&["all"])?));
            rsyslog.push(self.rate(&self.daemon(self.rsyslog()?, RSYSLOG)?));
            syslog_ng.push(self.rate(&self.daemon(self.syslog_ng()?, SYSLOG_NG)?));
            eprintln!("round {round} of {rounds}");
        }
        let slow = self.paced(1_000, &["1"])?;
        let viewers = self.paced(10_000, &["all", "200"])?;
        let stuck = self.received(&["all", "200", "stuck"])?;
        let mut report = Report::default();
        let mut limit = |what: &str, unit: &'static str, value: f64| {
            report.push(Row::new(format!("limit: {what}"), unit, vec![value]));
        };
        let (a_core, memory, latency) = ("of a core at 1,000 lines a second", "memory", "tail latency, p99");
        let (read, many) =
            ("read from a file, on one core", "of a core, 200 viewers at 10,000 lines a second");
        limit(read, "lines/s", 500_000.0);
        limit(a_core, "%", 5.0);
        limit(many, "%", 100.0);
        limit(memory, "MiB", 64.0);
        limit(latency, "ms", 50.0);
        let mut row = |row: Row| report.push(row);
        row(Row::new(read, "lines/s", file).at_least(1.0, format!("limit: {read}")));
        row(Row::new("rsyslog, TCP to a file", "lines/CPU s", rsyslog));
        row(Row::new("syslog-ng, TCP to a file", "lines/CPU s", syslog_ng));
        let stores = "TCP, every line stored";
        row(Row::new("TCP, folded", "lines/CPU s", ours).at_least(1.2, "rsyslog, TCP to a file"));
        row(Row::new(stores, "lines/CPU s", stored.clone()).at_least(1.2, "rsyslog, TCP to a file"));
        row(Row::new("the same", "lines/CPU s", stored).at_least(5.0, "syslog-ng, TCP to a file"));
        let percent = |cost: &Cost| vec![cost.cpu * 100.0 / f64::from(u32::try_from(PACED).unwrap_or(1))];
        row(Row::new(a_core, "%", percent(&slow)).at_most(1.0, format!("limit: {a_core}")));
        row(Row::new(many, "%", percent(&viewers)).at_most(1.0, format!("limit: {many}")));
        for (when, cost) in [("1,000 lines a second", &slow), ("10,000 and 200 viewers", &viewers)] {
            let what = format!("{latency}, {when}");
            row(Row::new(what, "ms", vec![cost.late]).at_most(1.0, format!("limit: {latency}")));
        }
        let what = format!("{memory}, ring full, 200 viewers that never read");
        row(Row::new(what, "MiB", vec![stuck.memory]).at_most(1.0, format!("limit: {memory}")));
        report.note(format!(
            "{} lines of seed {SEED}; viewers are tasks beside the receiver, without HTTP.",
            self.lines
        ));
        Ok(report)
    }

    fn rate(&self, cost: &Cost) -> f64 {
        f64::from(u32::try_from(self.lines).unwrap_or(u32::MAX)) / cost.cpu.max(0.01)
    }

    fn grind(&self) -> Outcome<Cost> {
        let said = printed(Command::new(self.examples.join("sink")).arg("file").arg(self.replay()))?;
        self.cost(&said, self.lines)
    }

    /// Our receiver, with the whole file as fast as it goes.
    fn received(&self, words: &[&str]) -> Outcome<Cost> {
        let (mut sink, mut out, port) = self.sink(self.lines, words)?;
        let sent = send(&self.replay(), port);
        let said = rest(&mut out)?;
        sink.0.wait()?;
        sent?;
        self.cost(&said, self.lines)
    }

    /// Our receiver, with lines at a pace: each says when it was sent.
    fn paced(&self, a_second: u64, words: &[&str]) -> Outcome<Cost> {
        let lines = a_second * PACED;
        let (mut sink, mut out, port) = self.sink(lines, words)?;
        let mut connection = TcpStream::connect(("127.0.0.1", port))?;
        let mut replay = BufReader::new(File::open(self.replay())?);
        let (begun, mut sent, mut line) = (Instant::now(), 0, String::new());
        while sent < lines {
            let due = u64::try_from(begun.elapsed().as_micros())? * a_second / 1_000_000;
            let mut piece = String::new();
            while sent < due.min(lines) {
                line.clear();
                if replay.read_line(&mut line)? == 0 {
                    return Err("the file has too few lines".into());
                }
                let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
                piece.push_str(&format!("{} sent={now}\n", line.trim_end()));
                sent += 1;
            }
            connection.write_all(piece.as_bytes())?;
            std::thread::park_timeout(Duration::from_millis(1));
        }
        let said = rest(&mut out)?;
        sink.0.wait()?;
        self.cost(&said, lines)
    }

    fn sink(&self, lines: u64, words: &[&str]) -> Outcome<(Ends, BufReader<ChildStdout>, u16)> {
        let mut command = Command::new(self.examples.join("sink"));
        command.arg(lines.to_string()).args(words).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let mut out = BufReader::new(child.stdout.take().ok_or("no output")?);
        let sink = Ends(child);
        let mut port = String::new();
        out.read_line(&mut port)?;
        Ok((sink, out, port.trim().parse()?))
    }

    /// What a sink says of itself.
    fn cost(&self, said: &str, lines: u64) -> Outcome<Cost> {
        let number = |before: &str| -> Outcome<f64> {
            let rest = said.split(before).nth(1).ok_or_else(|| format!("no `{before}` in: {said}"))?;
            Ok(rest.split_whitespace().next().ok_or("no number")?.parse()?)
        };
        if !said.contains(&format!("lines {lines} ")) {
            return Err(format!("not {lines} lines: {said}").into());
        }
        let late = if said.contains("p99") { number("p99")? / 1000.0 } else { 0.0 };
        Ok(Cost { cpu: number("cpu")? / 1000.0, memory: number("VmHWM:")? / 1024.0, late })
    }

    /// A daemon that writes what it receives to `out.log`.
    fn daemon(&self, mut command: Command, port: u16) -> Outcome<Cost> {
        let out = self.folder.join("out.log");
        if out.exists() {
            fs::remove_file(&out)?;
        }
        let child = Ends(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
        let id = child.0.id();
        wait(LIMIT, "the daemon's port", || TcpStream::connect(("127.0.0.1", port)).ok())?;
        send(&self.replay(), port)?;
        let size = || fs::metadata(&out).map_or(0, |file| file.len());
        let (mut last, mut still) = (0, 0);
        wait(LIMIT, "the end of what the daemon writes", || {
            let now = size();
            (last, still) = (now, if now == last && now > 0 { still + 1 } else { 0 });
            // Half a second.
            (still == 100).then_some(())
        })?;
        let cpu = cpu(id)?;
        let lines = printed(Command::new("wc").arg("-l").arg(&out))?;
        fs::remove_file(&out)?;
        let lines = lines.split_whitespace().next().unwrap_or_default().to_owned();
        if lines != self.lines.to_string() {
            return Err(format!("{} of {} lines were written by port {port}", lines, self.lines).into());
        }
        Ok(Cost { cpu, memory: 0.0, late: 0.0 })
    }

    fn rsyslog(&self) -> Outcome<Command> {
        let text = format!(
            "global(workDirectory=\"{0}\")\nmodule(load=\"imtcp\")\ninput(type=\"imtcp\" port=\"{RSYSLOG}\")\n\
             action(type=\"omfile\" file=\"{0}/out.log\")\n",
            self.folder.display()
        );
        let config = self.folder.join("rsyslog.conf");
        fs::write(&config, text)?;
        let mut command =
            self.peer(&["rsyslog", "libestr0", "libfastjson4", "liblognorm5"], "usr/sbin/rsyslogd");
        command.args(["-n", "-C", "-f"]).arg(config).arg("-i").arg(self.folder.join("rsyslog.pid"));
        command.arg("-M").arg(self.suites.join("rsyslog/usr/lib/x86_64-linux-gnu/rsyslog"));
        Ok(command)
    }

    fn syslog_ng(&self) -> Outcome<Command> {
        let text = format!(
            "@version: 3.38\noptions {{ stats-freq(0); }};\n\
             source s {{ network(ip(\"127.0.0.1\") port({SYSLOG_NG}) transport(\"tcp\")); }};\n\
             destination d {{ file(\"{}/out.log\"); }};\nlog {{ source(s); destination(d); }};\n",
            self.folder.display()
        );
        let config = self.folder.join("syslog-ng.conf");
        fs::write(&config, text)?;
        let mut command =
            self.peer(&["syslog-ng-core", "libivykis0", "libnet1", "libpcre3"], "usr/sbin/syslog-ng");
        let modules = self.suites.join("syslog-ng-core/usr/lib/syslog-ng/3.38");
        command.args(["-F", "--no-caps"]).arg(format!("--module-path={}", modules.display()));
        for (option, file) in [
            ("cfgfile", "syslog-ng.conf"),
            ("persist-file", "ng.persist"),
            ("pidfile", "ng.pid"),
            ("control", "ng.ctl"),
        ] {
            command.arg(format!("--{option}={}", self.folder.join(file).display()));
        }
        Ok(command)
    }

    /// A program from its own packages, the first of which has it.
    fn peer(&self, packages: &[&str], program: &str) -> Command {
        let folders = packages.iter().flat_map(|package| {
            ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib/syslog-ng"]
                .map(|lib| self.suites.join(package).join(lib).display().to_string())
        });
        let libraries: Vec<String> = folders.collect();
        let first = packages.first().copied().unwrap_or_default();
        let mut command = Command::new(self.suites.join(first).join(program));
        command.env("LD_LIBRARY_PATH", libraries.join(":"));
        command
    }
}

/// A program that ends with its bench.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        drop(self.0.kill());
        // Its port is free only when it is gone.
        drop(self.0.wait());
    }
}

fn rest(out: &mut BufReader<ChildStdout>) -> Outcome<String> {
    let mut said = String::new();
    while out.read_line(&mut said)? > 0 {}
    Ok(said)
}

/// The kernel copies the file into the connection.
fn send(file: &Path, port: u16) -> Outcome<()> {
    let mut connection = TcpStream::connect(("127.0.0.1", port))?;
    std::io::copy(&mut File::open(file)?, &mut connection)?;
    Ok(())
}

/// Seconds of CPU of a process and all its threads: utime and stime (proc(5)), in ticks of 10 ms.
fn cpu(id: u32) -> Outcome<f64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    let after = stat.rsplit_once(')').map_or(stat.as_str(), |(_, after)| after);
    let ticks = after.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<f64>().ok());
    Ok(ticks.sum::<f64>() / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_and_nothing_else() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(read(&[]).unwrap(), (3, 2_000_000));
        assert_eq!(read(&words("--lines 5 --rounds 1")).unwrap(), (1, 5));
        assert!(read(&words("--pairs 2")).is_err() && read(&words("--lines")).is_err());
    }
}
