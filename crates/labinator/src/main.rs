//! The binary: parse, then hand the verb to its room.

use std::process::ExitCode;

use clap::Parser as _;
use labinator::cli::{self, Cli, Verb};
use labinator::start;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let long_running = match &cli.verb {
        Verb::Serve(_) | Verb::Demo(_) | Verb::Inside(_) => true,
        Verb::Init(args) => args.serve,
        _ => false,
    };
    let level = if long_running { tracing::Level::INFO } else { tracing::Level::WARN };
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(level).with_target(false).init();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build();
    match cli.verb {
        Verb::Inside(args) => cli::ended(start::part(&args)),
        Verb::Init(args) => in_runtime(runtime(), labinator::init::run(&cli.globals, args)),
        Verb::Import(verb) => in_runtime(runtime(), cli::import(&cli.globals, verb)),
        Verb::Service(verb) => cli::ended(labinator::service::run(verb)),
        Verb::Serve(args) => in_runtime(runtime(), start::serve(&cli.globals, args)),
        Verb::Demo(args) => in_runtime(runtime(), start::demo(&cli.globals, args)),
        Verb::Image(verb) => in_runtime(runtime(), cli::images(&cli.globals, verb)),
        Verb::Media(verb) => in_runtime(runtime(), cli::media(&cli.globals, verb)),
        Verb::SecureBoot(verb) => cli::ended(cli::secure_boot(&cli.globals, verb)),
        Verb::Secret(verb) => cli::ended(cli::secret(&cli.globals, verb)),
        Verb::Display(verb) => in_runtime(runtime(), cli::display(&cli.globals, verb)),
        Verb::Router(verb) => in_runtime(runtime(), cli::router(&cli.globals, verb)),
        Verb::Show(verb) => cli::ended(cli::show(&cli.globals, verb)),
        Verb::Talos(verb) => cli::ended(cli::talos::run(&cli.globals, verb)),
        Verb::Bundle(verb) => in_runtime(runtime(), cli::bundle::bundle(&cli.globals, verb)),
        Verb::Manifests(verb) => in_runtime(runtime(), cli::cluster::manifests(&cli.globals, verb)),
        Verb::Pods(args) => in_runtime(runtime(), cli::cluster::pods(&args)),
        Verb::Wipe(args) => in_runtime(runtime(), cli::wipe(&cli.globals, args)),
        Verb::Replay(args) => cli::ended(start::replay(&cli.globals, &args)),
        Verb::Client(verb) => match runtime() {
            Ok(runtime) => runtime.block_on(cli::run(&cli.globals, verb)),
            Err(why) => cli::ended(Err(cli::Failure::failed(why.to_string()))),
        },
    }
}

fn in_runtime(
    runtime: std::io::Result<tokio::runtime::Runtime>,
    verb: impl Future<Output = Result<(), cli::Failure>>,
) -> ExitCode {
    cli::ended(match runtime {
        Ok(runtime) => runtime.block_on(verb),
        Err(why) => Err(cli::Failure::failed(why.to_string())),
    })
}
