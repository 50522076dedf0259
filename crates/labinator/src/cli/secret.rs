//! `secret`: what devices ask for, and a lab file never holds.

use std::io::{IsTerminal as _, Read as _};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use zeroize::Zeroizing;

use super::{Failure, Globals, out};
use crate::device_secrets::{self, LARGEST};
use crate::start::state_folder;

/// What can be done about secrets of devices.
#[derive(Debug, Clone, Subcommand)]
pub enum SecretVerb {
    /// Keep what standard input has under this name, sealed; what was there before is replaced
    Set(SecretArgs),
    /// Names of the secrets that are kept; never what they are
    List {
        /// The controller's state folder
        #[arg(long, value_name = "DIR", help = STATE_HELP)]
        state: Option<PathBuf>,
    },
    /// Forget a secret
    Forget(SecretArgs),
}

/// Which secret.
#[derive(Debug, Clone, Args)]
pub struct SecretArgs {
    /// Its name, as the lab file has it: `credentials: secret:NAME`
    pub name: String,
    /// The controller's state folder
    #[arg(long, value_name = "DIR", help = STATE_HELP)]
    pub state: Option<PathBuf>,
}

const STATE_HELP: &str =
    "The controller's state folder [default: /var/lib/labinator as root, else ~/.local/state/labinator]";

/// Carries out what is asked about secrets.
///
/// # Errors
/// What is missing or wrong.
pub fn secret(globals: &Globals, verb: SecretVerb) -> Result<(), Failure> {
    match verb {
        SecretVerb::Set(SecretArgs { name, state }) => {
            let secret = typed(&name)?;
            device_secrets::keep(&state.unwrap_or_else(state_folder), &name, secret)
                .map_err(Failure::failed)?;
            told(globals, &format!("kept; the lab file names it `credentials: secret:{name}`"))
        }
        SecretVerb::List { state } => {
            let names =
                device_secrets::names(&state.unwrap_or_else(state_folder)).map_err(Failure::failed)?;
            names.iter().try_for_each(|name| out::line(name))
        }
        SecretVerb::Forget(SecretArgs { name, state }) => {
            match device_secrets::forget(&state.unwrap_or_else(state_folder), &name) {
                Ok(true) => told(globals, "forgotten"),
                Ok(false) => Err(Failure::with_advice(
                    format!("no secret `{name}` is kept"),
                    "`labinator secret list` has those that are",
                )),
                Err(why) => Err(Failure::failed(why)),
            }
        }
    }
}

/// What standard input has, without the line end that editors and `echo` leave.
fn typed(name: &str) -> Result<Vec<u8>, Failure> {
    let mut input = std::io::stdin().lock();
    if input.is_terminal() {
        return Err(Failure::Usage(format!(
            "a terminal shows what is typed: labinator secret set {name} < FILE, or from a pipe"
        )));
    }
    let mut text = Zeroizing::new(Vec::new());
    let read = input.by_ref().take(LARGEST + 1).read_to_end(&mut text);
    read.map_err(|why| Failure::failed(format!("standard input: {why}")))?;
    let secret = text.trim_ascii_end();
    if secret.is_empty() {
        return Err(Failure::failed("standard input is empty, and nothing was changed"));
    }
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > LARGEST {
        return Err(Failure::failed(format!(
            "standard input has more than {LARGEST} bytes, which is no password"
        )));
    }
    Ok(secret.to_vec())
}

fn told(globals: &Globals, line: &str) -> Result<(), Failure> {
    if globals.quiet { Ok(()) } else { out::line(line) }
}
