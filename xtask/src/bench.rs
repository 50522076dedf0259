//! `cargo xtask bench NAME`: measures against peers in the same run, since machines differ.

mod agent;
mod boot;
mod carriers;
mod cluster;
mod delay;
mod dhcp;
mod fleet;
mod fwcfg;
mod guests;
mod http;
mod idle;
mod loader;
mod logs;
mod mint;
mod plain;
mod power;
mod raised;
mod report;
mod segment;
mod start;
mod tftp;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use report::Report;

use crate::workspace::{Outcome, Workspace, exit_code};

/// One thing that can be measured.
struct Bench {
    name: &'static str,
    about: &'static str,
    /// Debian packages it measures with or against.
    packages: &'static [&'static str],
    run: fn(&Workspace, &[String]) -> Outcome<Report>,
}

/// A new bench is a line here and a file beside `start.rs`.
const BENCHES: &[Bench] = &[
    Bench {
        name: "agent",
        about: "what the agent weighs: its program, and in memory with guests",
        packages: agent::PACKAGES,
        run: agent::run,
    },
    Bench {
        name: "boot",
        about: "power on to kernel request, against dnsmasq, nginx and a chain of scripts [--pairs N] [--only ipxe|loader]",
        packages: boot::PACKAGES,
        run: boot::run,
    },
    Bench {
        name: "carriers",
        about: "a config of 4, 40 and 400 kB on its way to a machine: push, one-time URL, volume",
        packages: &[],
        run: carriers::run,
    },
    Bench {
        name: "cluster",
        about: "what a cluster of 27 machines on Talos costs its controller",
        packages: &[],
        run: cluster::run,
    },
    Bench {
        name: "fleet",
        about: "thousands of booting clients against one controller [--clients N]",
        packages: fleet::PACKAGES,
        run: fleet::run,
    },
    Bench {
        name: "fwcfg",
        about: "why a large content is slow to read by QEMU's fw_cfg, counted at the device",
        packages: fwcfg::PACKAGES,
        run: fwcfg::run,
    },
    Bench {
        name: "guests",
        about: "a guest's boot by kernel against its iPXE ROM, its way back after kill -9, eighteen consoles",
        packages: guests::PACKAGES,
        run: guests::run,
    },
    Bench {
        name: "http",
        about: "boot HTTP against nginx with sendfile: wrk, and six large downloads at once [--rounds N]",
        packages: http::PACKAGES,
        run: http::run,
    },
    Bench {
        name: "dhcp",
        about: "exchanges a second and their time, against Kea, direct and through a relay [--pairs N]",
        packages: dhcp::PACKAGES,
        run: dhcp::run,
    },
    Bench {
        name: "idle",
        about: "what a Ready lab costs, and exec to the first answered DISCOVER",
        packages: segment::PACKAGES,
        run: idle::run,
    },
    Bench {
        name: "logs",
        about: "lines of syslog a CPU second, against rsyslog and syslog-ng; viewers, memory [--rounds N] [--lines N]",
        packages: logs::PACKAGES,
        run: logs::run,
    },
    Bench {
        name: "mint",
        about: "configs and certificates of a lab of 27 machines on Talos",
        packages: &[],
        run: mint::run,
    },
    Bench {
        name: "power",
        about: "what power drivers add to the hardware's own time, and cost while nothing is ordered",
        packages: &[],
        run: power::run,
    },
    Bench {
        name: "start",
        about: "starting the binary, against starting any program at all",
        packages: &[],
        run: start::run,
    },
    Bench {
        name: "tftp",
        about: "TFTP against tftpd-hpa: lock-step and windows, near and over a link that delays [--rounds N]",
        packages: tftp::PACKAGES,
        run: tftp::run,
    },
];

/// `cargo xtask bench NAME [--json FILE] [arguments of the bench]`.
///
/// # Errors
/// There is no such bench, something it needs is missing, or it could not measure.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Outcome<ExitCode> {
    let Some((name, rest)) = arguments.split_first() else {
        for bench in BENCHES {
            println!("{:<8} {}", bench.name, bench.about);
        }
        return Ok(ExitCode::from(2));
    };
    let bench = BENCHES.iter().find(|bench| bench.name == name).ok_or_else(|| {
        let names: Vec<&str> = BENCHES.iter().map(|bench| bench.name).collect();
        format!("there is no bench `{name}`; there are: {}", names.join(", "))
    })?;
    let (json, rest) = take_json(rest)?;
    crate::suites::ensure(workspace, bench.packages)?;
    let report = (bench.run)(workspace, &rest)?;
    print!("{}", report.table());
    let path = json.unwrap_or_else(|| workspace.target.join("bench").join(format!("{}.json", bench.name)));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&path, report.json(bench.name)?)?;
    println!("\n{}", path.display());
    Ok(exit_code(report.all_met()))
}

/// What is measured: this tree's own, or the one that `LABINATOR_BIN` names, to compare two.
fn labinator(workspace: &Workspace) -> Outcome<PathBuf> {
    let Some(given) = std::env::var_os("LABINATOR_BIN").map(PathBuf::from) else {
        return workspace.build_labinator(true);
    };
    println!("measured: {}", given.display());
    Ok(given)
}

/// Takes `--json FILE` out of the arguments; the rest belongs to the bench.
fn take_json(arguments: &[String]) -> Outcome<(Option<PathBuf>, Vec<String>)> {
    let mut rest = Vec::new();
    let mut json = None;
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if word == "--json" {
            json = Some(PathBuf::from(words.next().ok_or("--json needs a file")?));
        } else {
            rest.push(word.clone());
        }
    }
    Ok((json, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_for_json_is_taken_out_of_the_arguments() {
        let words = ["--runs", "5", "--json", "a.json"].map(str::to_owned);
        let (json, rest) = take_json(&words).unwrap();
        assert_eq!(json, Some(PathBuf::from("a.json")));
        assert_eq!(rest, ["--runs", "5"]);
        assert!(take_json(&["--json".to_owned()]).is_err());
    }
}
