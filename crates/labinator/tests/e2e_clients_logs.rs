//! Real senders: logger, rsyslog and syslog-ng tell a running controller, and `labinator logs` shows whose lines they are.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod e2e;

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use api::{LogEntry, LogItem, LogSummary};
use e2e::client::Client;
use e2e::controller::Controller;
use e2e::ground::{given, until};
use e2e::house::House;
use e2e::lab;
use e2e::processes::{Ends, told};

/// Enough for anything here on a machine that is busy with other things.
const LIMIT: Duration = Duration::from_secs(60);

fn items(text: &str) -> Vec<LogItem> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn lines(controller: &Controller, options: &str) -> Vec<LogEntry> {
    let all = items(&told(&mut controller.verb(&format!("logs --json {options}"))));
    let lines = all.into_iter().filter_map(|item| match item {
        LogItem::Line(line) => Some(line),
        _ => None,
    });
    lines.collect()
}

/// Where packages of Debian lie that are not installed: both would take over this machine's own log.
fn peer(package: &str) -> PathBuf {
    given("LABINATOR_SUITES").join("bookworm").join(package)
}

/// A daemon on a client's machine, from its own packages.
fn daemon(node: &Client<'_>, packages: &[&str], program: &str, arguments: &[&str]) -> Child {
    let folders = packages.iter().flat_map(|package| {
        ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib/syslog-ng"]
            .map(|lib| peer(package).join(lib))
    });
    let libraries = std::env::join_paths(folders).unwrap();
    let first = packages.first().unwrap();
    let mut command = node.command(120, "env");
    command.arg(format!("LD_LIBRARY_PATH={}", libraries.to_str().unwrap()));
    command.arg(peer(first).join(program)).args(arguments);
    command.stdin(Stdio::null()).spawn().unwrap()
}

#[test]
#[ignore = "stage e2e-clients"]
fn what_logger_sends_is_shown_with_its_node_and_followed_over_a_restart_of_the_core() {
    let house = House::new();
    let controller = Controller::start(&house, &lab::written(&house));
    let mut following =
        Ends(controller.verb("logs -f --json --node node1").stdout(Stdio::piped()).spawn().unwrap());
    let mut heard = BufReader::new(following.0.stdout.take().unwrap()).lines();
    let node = Client::with_address(&house, "node1", &lab::mac(1), "10.79.0.11");
    let udp = "logger --server 10.79.0.1 --udp --tag app --priority user.err";
    // Its own port for TCP has a name (syslog-conn) that not every machine knows.
    let tcp = "logger --server 10.79.0.1 --port 514 --tcp --tag app";
    node.shell(&format!("{udp} 'over UDP' && {tcp} --octet-count 'over TCP, counted'"));
    node.shell(&format!("{tcp} --rfc3164 'over TCP, in lines' && {udp} --rfc3164 'as before'"));
    let all = until(LIMIT, "four lines", || {
        let all = lines(&controller, "--node node1 --grep ^(over|as)");
        (all.len() == 4).then_some(all)
    });
    for line in &all {
        let said = (line.node.as_deref(), line.program.as_deref(), line.source.as_str());
        assert_eq!(said, (Some("node1"), Some("app"), "syslog"), "{line:?}");
    }
    let errors: Vec<&str> =
        all.iter().filter(|line| line.severity == 3).map(|line| line.text.as_str()).collect();
    assert_eq!(errors, ["over UDP", "as before"]);
    assert_eq!(lines(&controller, "--node node2").len(), 0);
    assert_eq!(lines(&controller, "--level err --grep UDP").len(), 1);
    let mut next = || loop {
        match serde_json::from_str(&heard.next().unwrap().unwrap()).unwrap() {
            LogItem::Line(line) if line.source == "lab" => {}
            item => break item,
        }
    };
    for _ in 0..4 {
        let LogItem::Line(line) = next() else { panic!("no line") };
        assert!(all.contains(&line), "{line:?}");
    }
    // Another core has an empty ring; who follows is told so, and goes on.
    controller.replace("core");
    let LogItem::Gap(gap) = next() else { panic!("no gap") };
    assert_eq!(gap.reason, "another-core");
    node.shell(&format!("{udp} 'to the other core'"));
    let LogItem::Line(line) = next() else { panic!("no line") };
    assert_eq!(line.text, "to the other core");
    // The errors of the first core are on disk, once its five seconds are over; its chatter is not.
    node.shell(&format!("{udp} 'kept on disk' && logger --server 10.79.0.1 --udp --tag app 'not kept'"));
    let on_disk = || {
        let files = std::fs::read_dir(house.path("state").join("logs")).unwrap();
        files.into_iter().any(|file| {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            String::from_utf8_lossy(&bytes).contains("kept on disk")
        })
    };
    until(LIMIT, "the disk has the line", || on_disk().then_some(()));
    let summary: LogSummary =
        serde_json::from_str(&told(&mut controller.verb("logs --summary --json"))).unwrap();
    assert!(summary.disk.is_some_and(|disk| disk.today > 100 && disk.today <= disk.kept));
    controller.replace("core");
    let found = until(LIMIT, "lines of an earlier core", || {
        let all = lines(&controller, "--since 1h --node node1 --grep ^(kept|not|to)");
        (!all.is_empty()).then_some(all)
    });
    let texts: Vec<&str> = found.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["to the other core", "kept on disk"]);
}

#[test]
#[ignore = "stage e2e-clients"]
fn a_file_of_the_boss_is_followed_over_its_rotation_and_the_end_of_a_core() {
    let house = House::new();
    let file = house.write("followed.log", "before anybody looked\n");
    let lab = lab::written(&house);
    let text = std::fs::read_to_string(&lab).unwrap();
    std::fs::write(&lab, format!("{text}logs: {{ files: [{}] }}\n", file.display())).unwrap();
    let controller = Controller::start(&house, &lab);
    let appends = |text: &str| {
        let mut open = std::fs::OpenOptions::new().append(true).create(true).open(&file).unwrap();
        std::io::Write::write_all(&mut open, text.as_bytes()).unwrap();
    };
    let shows = |wanted: &[&str]| {
        until(LIMIT, "the lines of the file", || {
            let all = lines(&controller, "--since 1h --grep ^job");
            let texts: Vec<&str> = all.iter().map(|line| line.text.as_str()).collect();
            (texts == wanted).then(|| all.iter().all(|line| line.source == "file"))
        })
    };
    // Where its end is, is known once it was looked at.
    until(LIMIT, "its first line", || {
        appends("is it followed?\n");
        (!lines(&controller, "--grep followed").is_empty()).then_some(())
    });
    appends("job 1\njob");
    shows(&["job 1"]);
    appends(" 2\n");
    shows(&["job 1", "job 2"]);
    std::fs::rename(&file, file.with_extension("log.1")).unwrap();
    appends("job 3\n<11>Nov 28 01:02:03 node1 cron[7]: job 4\n");
    assert!(shows(&["job 1", "job 2", "job 3", "job 4"]));
    assert_eq!(lines(&controller, "--grep before.anybody").len(), 0);
    let of_cron = lines(&controller, "--node node1 --grep ^job");
    assert_eq!(
        of_cron.iter().map(|line| (line.program.as_deref(), line.severity)).collect::<Vec<_>>(),
        [(Some("cron"), 3)]
    );
    // What the ring forgets with its core, and is in the file, comes again: twice rather than never.
    controller.replace("core");
    appends("job 5\n");
    until(LIMIT, "a line after the core", || (lines(&controller, "--grep ^job.5").len() == 1).then_some(()));
}

#[test]
#[ignore = "stage e2e-clients"]
fn rsyslog_and_syslog_ng_send_by_tcp_and_no_line_is_missing() {
    let house = House::new();
    let controller = Controller::start(&house, &lab::written(&house));
    let input =
        house.write("input.log", (1..=3_000).map(|n| format!("job {n} is done\n")).collect::<String>());
    let node = Client::with_address(&house, "node2", &lab::mac(2), "10.79.0.12");
    let modules = peer("rsyslog").join("usr/lib/x86_64-linux-gnu/rsyslog");
    let text = format!(
        "module(load=\"imfile\")\ninput(type=\"imfile\" File=\"{}\" Tag=\"jobs:\" Severity=\"warning\")\n\
         global(workDirectory=\"{}\")\n\
         action(type=\"omfwd\" Target=\"10.79.0.1\" Port=\"514\" Protocol=\"tcp\" TCP_Framing=\"octet-counted\" \
         Template=\"RSYSLOG_SyslogProtocol23Format\")\n",
        input.display(),
        house.folder.0.display()
    );
    let config = house.write("rsyslog.conf", text);
    let pid = house.path("rsyslog.pid");
    let packages = ["rsyslog", "libestr0", "libfastjson4", "liblognorm5"];
    let arguments = ["-n", "-C", "-f", config.to_str().unwrap(), "-i", pid.to_str().unwrap(), "-M"];
    let arguments: Vec<&str> = arguments.into_iter().chain([modules.to_str().unwrap()]).collect();
    let mut rsyslog = daemon(&node, &packages, "usr/sbin/rsyslogd", &arguments);
    let count = |pattern: &str| -> u64 {
        let summary: LogSummary =
            serde_json::from_str(&told(&mut controller.verb("logs --summary --json"))).unwrap();
        summary.templates.iter().filter(|one| one.pattern == pattern).map(|one| one.lines).sum()
    };
    until(LIMIT, "every line of rsyslog is counted", || (count("job * is done") == 3_000).then_some(()));
    let kept = lines(&controller, "--node node2 --level warning");
    let right = |line: &LogEntry| line.program.as_deref() == Some("jobs") && line.severity == 4;
    assert!(kept.len() >= 2_000 && kept.iter().all(right), "{} of {:?}", kept.len(), kept.first());
    rsyslog.kill().unwrap();
    rsyslog.wait().unwrap();

    let input =
        house.write("other.log", (1..=1_000).map(|n| format!("task {n} ended\n")).collect::<String>());
    let text = format!(
        "@version: 3.38\noptions {{ stats-freq(0); }};\n\
         source s {{ file(\"{}\" follow-freq(1) flags(no-parse) program-override(\"tasks\")); }};\n\
         destination d {{ network(\"10.79.0.1\" port(514) transport(\"tcp\")); }};\nlog {{ source(s); destination(d); }};\n",
        input.display()
    );
    let config = house.write("syslog-ng.conf", text);
    let at = |name: &str| house.path(name).to_str().unwrap().to_owned();
    let modules =
        format!("--module-path={}", peer("syslog-ng-core").join("usr/lib/syslog-ng/3.38").display());
    let arguments = [
        "-F".to_owned(),
        "--no-caps".to_owned(),
        format!("--cfgfile={}", config.display()),
        format!("--persist-file={}", at("ng.persist")),
        format!("--pidfile={}", at("ng.pid")),
        format!("--control={}", at("ng.ctl")),
        modules,
    ];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let packages = ["syslog-ng-core", "libivykis0", "libnet1", "libpcre3"];
    let mut syslog_ng = daemon(&node, &packages, "usr/sbin/syslog-ng", &arguments);
    until(LIMIT, "every line of syslog-ng is counted", || (count("task * ended") == 1_000).then_some(()));
    syslog_ng.kill().unwrap();
    syslog_ng.wait().unwrap();
    let lost: LogSummary =
        serde_json::from_str(&told(&mut controller.verb("logs --summary --json"))).unwrap();
    let missing: Vec<_> = lost.lost.iter().filter(|lost| lost.lines > 0 && lost.stage != "folded").collect();
    assert!(missing.is_empty(), "{missing:?}");
}
