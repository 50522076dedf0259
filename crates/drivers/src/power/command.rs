//! Programs of the owner's as a power device: one to switch on, one to switch off, one that tells.

use std::time::Duration;

use model::{PortReading, PortSense};

use super::device::{Act, Device, DeviceError, Manner, Ports, Taken, Told};
use crate::process::run_chosen;

/// How often the ports are asked after while nobody orders anything: each time a program is started.
const POLL: Duration = Duration::from_secs(30);

/// What becomes the port in an argument.
const PORT: &str = "{port}";

/// The programs.
#[derive(Debug)]
pub(super) struct Programs {
    on: Vec<String>,
    off: Vec<String>,
    status: Option<Vec<String>>,
}

impl Programs {
    pub(super) const fn new(on: Vec<String>, off: Vec<String>, status: Option<Vec<String>>) -> Self {
        Self { on, off, status }
    }
}

fn with_port(words: &[String], port: &str) -> Vec<String> {
    words.iter().map(|word| word.replace(PORT, port)).collect()
}

/// What `status` printed: the first word of its output, in whatever case.
pub(super) fn sense(output: &[u8]) -> Option<PortSense> {
    let text = String::from_utf8_lossy(output);
    match text.split_whitespace().next()?.to_ascii_lowercase().as_str() {
        "on" => Some(PortSense::Machine(true)),
        "off" => Some(PortSense::Machine(false)),
        "unknown" => Some(PortSense::Nothing),
        _ => None,
    }
}

impl Device for Programs {
    fn manner(&self) -> Manner {
        Manner {
            ports: Ports::Switches,
            gap: Duration::ZERO,
            poll: self.status.is_some().then_some(POLL),
            shows: Duration::from_secs(5),
            limit: Duration::from_secs(30),
        }
    }

    async fn act(&mut self, port: &str, act: Act) -> Result<Taken, DeviceError> {
        let words = match act {
            Act::On => &self.on,
            Act::Off => &self.off,
            Act::Soft | Act::Press => {
                return Err(DeviceError::refused(
                    "not-supported",
                    "programs switch on and off, and do not press",
                ));
            }
        };
        match run_chosen(&with_port(words, port)).await {
            Ok(_) => Ok(Taken::AT_ONCE),
            Err(why) => Err(DeviceError::refused("program-failed", why)),
        }
    }

    async fn read(&mut self, ports: &[String]) -> Result<Told, DeviceError> {
        let Some(words) = &self.status else { return Ok(Told::default()) };
        let mut told = Told { about: format!("programs, `{}`", words.join(" ")), ..Told::default() };
        for port in ports {
            let output = run_chosen(&with_port(words, port)).await;
            let output = output.map_err(|why| DeviceError::lost("program-failed", why))?;
            let sense = sense(&output).ok_or_else(|| {
                let said = String::from_utf8_lossy(&output).chars().take(60).collect::<String>();
                let why = format!("`{}` printed `{}`, not on, off or unknown", words.join(" "), said.trim());
                DeviceError::lost("not-understood", why)
            })?;
            told.ports.push((port.clone(), PortReading { sense, milliwatts: None }));
        }
        Ok(told)
    }
}
