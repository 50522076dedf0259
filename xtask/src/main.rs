//! The workshop of the house: `cargo xtask <verb>` builds, checks, measures and shows the lab.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool for people: its terminal is its only door"
)]

mod bench;
mod counting;
mod debian;
mod demo;
mod doors;
mod e2e;
mod finding;
mod firmware;
mod hardware;
mod image;
mod licences;
mod loader;
mod metadata;
mod node;
mod openapi;
mod protos;
mod pypi;
mod soak;
mod stage;
mod stages;
mod suites;
mod tidy;
mod ui;
mod workspace;

use std::process::ExitCode;

use workspace::{Outcome, Workspace};

/// One word after `cargo xtask`.
struct Verb {
    name: &'static str,
    about: &'static str,
    run: fn(&Workspace, &[String]) -> Outcome<ExitCode>,
}

/// Every verb, in the order the usage text shows them.
const VERBS: &[Verb] = &[
    Verb { name: "demo", about: "build everything and run a whole lab on this machine", run: demo::run },
    Verb { name: "test", about: "run every stage [--only STAGE] [--skip STAGE] [--list]", run: stages::run },
    Verb { name: "doors", about: "who may use whom, and the pure rooms on a bare target", run: doors::run },
    Verb { name: "tidy", about: "file sizes, first sentences, leftovers, names, documents", run: tidy::run },
    Verb { name: "licences", about: "bans, licences and sources against deny.toml", run: licences::run },
    Verb {
        name: "openapi",
        about: "write docs/openapi.json and docs/lab.schema.json [--check]",
        run: openapi::run,
    },
    Verb {
        name: "protos",
        about: "write crates/talos/src/api/proto from the .proto files",
        run: protos::run,
    },
    Verb { name: "ui", about: "build the page into ui/dist [--check]", run: ui::run },
    Verb { name: "image", about: "build the node image that the demo boots", run: image::run },
    Verb { name: "loader", about: "build our UEFI loader", run: loader::run },
    Verb { name: "firmware", about: "build the relay board's mind for its chip", run: firmware::run },
    Verb { name: "bench", about: "measure against peers in the same run: bench NAME", run: bench::run },
    Verb { name: "soak", about: "long runs: many property cases, fuzzing [--only STAGE]", run: soak::run },
];

fn main() -> ExitCode {
    match dispatch() {
        Ok(code) => code,
        Err(trouble) => {
            eprintln!("xtask: {trouble}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch() -> Outcome<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = words.split_first() else {
        print_usage();
        return Ok(ExitCode::from(2));
    };
    if name == "help" || name == "--help" || name == "-h" {
        print_usage();
        return Ok(ExitCode::SUCCESS);
    }
    let Some(verb) = VERBS.iter().find(|verb| verb.name == name) else {
        print_usage();
        eprintln!("\nxtask: there is no verb `{name}`");
        return Ok(ExitCode::from(2));
    };
    (verb.run)(&Workspace::find()?, rest)
}

fn print_usage() {
    println!("usage: cargo xtask VERB [arguments]\n");
    for verb in VERBS {
        println!("  {:<10} {}", verb.name, verb.about);
    }
}
