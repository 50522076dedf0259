//! The command line: what can be typed, and the verbs that ask a controller or read a file.
//!
//! | part | file |
//! |---|---|
//! | what can be typed | `args.rs`, `args_image.rs`, `args_lab.rs`, `args_power.rs`, `args_switch.rs` |
//! | boot images, and media to boot from | `images.rs`, `media.rs` |
//! | where the controller is, asking it, following its stream | `socket.rs`, `tls.rs`, `client.rs`, `sse.rs`, `stream.rs` |
//! | certificates, tokens | `cert.rs`, `token.rs` |
//! | what each verb does | `verbs.rs`, `capture.rs`, `seeds.rs`, `import.rs`, `wait.rs`, `watch.rs` |
//! | power of the lab's machines, and of one device without a lab | `power.rs`, `by_hand.rs` |
//! | a lab started again and again | `burn_in.rs` |
//! | switches, and who hangs where | `switch.rs`, `wiring.rs` |
//! | the serial console of a machine | `console.rs` |
//! | its screen | `vnc.rs` |
//! | the router | `router.rs` |
//! | small displays, wires on paper | `display.rs`, `wiring_diagram.rs` |
//! | error numbers of iPXE | `code.rs` |
//! | Talos without its own tool | `talos/` |
//! | a Kubernetes cluster by its kubeconfig | `cluster.rs` |
//! | pictures and sentences | `render/` |
//! | the door to the terminal, exit codes | `out.rs`, `failure.rs` |

pub mod bundle;
pub mod cluster;
pub mod out;
pub mod render;
pub mod talos;

pub mod adopt;
mod args;
mod args_image;
mod args_lab;
mod args_power;
mod args_switch;
mod burn_in;
mod by_hand;
mod capture;
mod cert;
mod client;
mod code;
mod console;
mod display;
mod failure;
mod fix;
mod images;
mod import;
mod logs;
mod media;
mod power;
mod router;
mod secret;
mod secure_boot;
mod seeds;
mod socket;
mod sse;
mod stream;
mod switch;
mod tls;
mod token;
mod verbs;
mod vnc;
mod wait;
mod watch;
mod wipe;
mod wiring;
mod wiring_diagram;

use std::process::ExitCode;

pub use args::{
    BootVerb, Cli, ClientVerb, Color, DemoArgs, FixVerb, Globals, InsideArgs, ReplayArgs, SeedShow, SeedVerb,
    ServeArgs, ServiceVerb, StatusFilter, Verb, WipeArgs,
};
pub use args_image::{BuildArgs, FetchArgs, ImageVerb, OneImage, UpdateArgs};
pub use args_lab::{ImportVerb, InitArgs, MatchboxArgs, NetworkArgs};
pub use args_power::{DeviceArgs, PowerArgs, PowerSet, PowerStatus, PowerVerb, Saw, Setting, TypedDevice};
pub use args_switch::{IdentifyArgs, LearnArgs, SwitchVerb, WiringVerb};
pub use burn_in::BurnInArgs;
pub use cert::{CertIssueArgs, CertVerb};
pub use client::Client;
pub use display::{DisplayVerb, Dots, PngArgs, display};
pub use failure::Failure;
pub use images::images;
pub use import::import;
pub use logs::LogsArgs;
pub use media::{BiosArgs, DiskArgs, InstallArgs, MediaArgs, MediaVerb, ShowArgs, UninstallArgs, media};
pub use router::{RouterAt, RouterVerb, Way, router};
pub use secret::{SecretArgs, SecretVerb, secret};
pub use secure_boot::{KeysArgs, LoaderArgs, SecureBootVerb, secure_boot};
pub use socket::{Server, socket_path};
pub use sse::{Message, Parser, TooLong};
pub use stream::{Follower, Heard, apply};
pub use tls::Known;
pub use token::{CreateArgs, TokenVerb};
pub use wipe::wipe;
pub use wiring_diagram::{ShowVerb, WiringArgs, show};

/// Carries out a verb that asks a controller or reads a file, says what went wrong on standard error, and
/// gives the exit code: 0 done, 1 failed with a reason, 2 wrong usage, 3 refused, 4 timed out.
pub async fn run(globals: &Globals, verb: ClientVerb) -> ExitCode {
    ended(verbs::run(globals, verb).await)
}

/// Says how something ended, and gives the exit code.
#[must_use]
pub fn ended(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let text = failure.text();
            if !text.is_empty() {
                out::complain(&text);
            }
            failure.exit_code()
        }
    }
}
