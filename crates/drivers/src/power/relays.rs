//! Relay boards on a serial port, as shops sell them, wired to supplies or across power buttons.
//!
//! A board does not know how long a button is pressed: it closes a relay and opens it when it is told. So a line that is
//! opened begins with opening every relay across a button, for whoever was there before may have ended within a press.

use std::io;
use std::time::Duration;

use model::{PortReading, PortSense, RelayBoard, RelayWiring};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use wire::relays::{LCUS_STATUS, is_numato, lcus, lcus_states, numato, numato_state, numato_status};

use super::device::{Act, Device, DeviceError, Manner, Ports, Taken, Told};
use super::tty::Line;

/// How long a button is pressed to start a machine, or to ask what runs to stop.
const PRESS: Duration = Duration::from_millis(250);
/// How long it is held to force a machine off: firmware takes four seconds, some five.
const HOLD: Duration = Duration::from_millis(5500);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_millis(500);

/// The board.
#[derive(Debug)]
pub(super) struct Relays<L: Line> {
    line: L,
    board: RelayBoard,
    wiring: RelayWiring,
    ports: Vec<String>,
    open: Option<L::Stream>,
    /// It was asked how its relays are and said nothing: many do not know the question.
    mute: bool,
}

impl<L: Line> Relays<L> {
    pub(super) const fn new(line: L, board: RelayBoard, wiring: RelayWiring, ports: Vec<String>) -> Self {
        Self { line, board, wiring, ports, open: None, mute: false }
    }

    /// What closes or opens a relay.
    fn order(&self, port: &str, close: bool) -> Result<Vec<u8>, DeviceError> {
        let no = |what: &str| {
            Err(DeviceError::refused("no-such-port", format!("`{port}` is no relay of this board: {what}")))
        };
        match &self.board {
            RelayBoard::Lcus => match port.parse::<u8>() {
                // `01` would be another name of the same relay.
                Ok(relay @ 1..=8) if port.len() == 1 => Ok(lcus(relay, close).to_vec()),
                _ => no("they are 1 to 8"),
            },
            RelayBoard::Numato if is_numato(port) => Ok(numato(port, close).into_bytes()),
            RelayBoard::Numato => no("they are 0 to 9, and A to V"),
            RelayBoard::Own { on, off } => {
                let words = if close { on } else { off };
                Ok(words.replace("{port}", port).into_bytes())
            }
        }
    }

    fn cannot(&self, what: &str, why: &io::Error) -> DeviceError {
        let cure = match why.kind() {
            io::ErrorKind::NotFound => "is it plugged in?",
            io::ErrorKind::PermissionDenied => "who runs the lab must be in the group `dialout`",
            io::ErrorKind::ResourceBusy => "another program has it open",
            _ => "look at its cable",
        };
        DeviceError::lost("serial", format!("{} cannot be {what}: {why}; {cure}", self.line.name()))
    }

    /// Passes over what came without a question. True of a line that is there: one whose other end is gone is closed.
    async fn is_there(&mut self) -> bool {
        let Some(stream) = &mut self.open else { return false };
        let mut passed = [0; 256];
        loop {
            match timeout(Duration::ZERO, stream.read(&mut passed)).await {
                Err(_elapsed) => return true,
                Ok(Ok(1..)) => {}
                Ok(Ok(0) | Err(_)) => {
                    self.open = None;
                    return false;
                }
            }
        }
    }

    async fn opened(&mut self) -> Result<&mut L::Stream, DeviceError> {
        if self.open.is_none() {
            let mut stream = self.line.open().await.map_err(|why| self.cannot("opened", &why))?;
            if self.wiring == RelayWiring::Button {
                for port in &self.ports {
                    let release = self.order(port, false)?;
                    stream.write_all(&release).await.map_err(|why| self.cannot("written to", &why))?;
                }
                stream.flush().await.map_err(|why| self.cannot("written to", &why))?;
            }
            self.open = Some(stream);
        }
        self.open.as_mut().ok_or_else(|| DeviceError::lost("serial", "it is not open"))
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), DeviceError> {
        self.is_there().await;
        let stream = self.opened().await?;
        let sent = async {
            stream.write_all(bytes).await?;
            stream.flush().await
        };
        let sent = sent.await;
        // A part of it may have left.
        sent.map_err(|why| {
            let error = self.cannot("written to", &why);
            DeviceError::doubt(error.code, error.why)
        })
    }

    /// Closes a relay for a while.
    async fn pulse(&mut self, port: &str, long: Duration) -> Result<(), DeviceError> {
        let (close, open) = (self.order(port, true)?, self.order(port, false)?);
        self.send(&close).await?;
        sleep(long).await;
        // Where this does not reach it, the line is opened anew, which begins with it.
        self.send(&open).await
    }

    /// All that comes until `is_enough`, or for as long as an answer may take.
    async fn hear(&mut self, is_enough: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>, DeviceError> {
        let end = Instant::now() + ANSWER;
        let mut came = Vec::new();
        while !is_enough(&came) {
            let stream = self.opened().await?;
            match timeout_at(end, stream.read_buf(&mut came)).await {
                Err(_elapsed) => break,
                Ok(Ok(0)) => return Err(self.cannot("read", &io::ErrorKind::UnexpectedEof.into())),
                Ok(Ok(_)) => {}
                Ok(Err(why)) => return Err(self.cannot("read", &why)),
            }
            if came.len() > 4096 {
                break;
            }
        }
        Ok(came)
    }

    /// How relays are, as far as the board tells.
    async fn states(&mut self, ports: &[String]) -> Result<Vec<Option<bool>>, DeviceError> {
        match self.board {
            RelayBoard::Own { .. } => Ok(vec![None; ports.len()]),
            RelayBoard::Lcus if self.mute => Ok(vec![None; ports.len()]),
            RelayBoard::Lcus => {
                self.send(&[LCUS_STATUS]).await?;
                // Nothing says how many there are: it is heard for as long as an answer takes.
                let states = lcus_states(&self.hear(|_| false).await?);
                self.mute = states.is_empty();
                let number = |port: &String| port.parse::<usize>().ok()?.checked_sub(1);
                Ok(ports.iter().map(|port| states.get(number(port)?).copied()).collect())
            }
            RelayBoard::Numato => {
                let mut states = Vec::new();
                for port in ports {
                    self.send(numato_status(port).as_bytes()).await?;
                    let came = self.hear(|came| numato_state(port, came).is_some()).await?;
                    let state = numato_state(port, &came).ok_or_else(|| {
                        let (name, shown) = (self.line.name(), came.escape_ascii());
                        let why = format!("what is on {name} answers `relay read {port}` with `{shown}`");
                        DeviceError::lost("silent", why)
                    })?;
                    states.push(Some(state));
                }
                Ok(states)
            }
        }
    }
}

impl<L: Line> Device for Relays<L> {
    fn manner(&self) -> Manner {
        Manner {
            ports: match self.wiring {
                RelayWiring::Supply => Ports::Switches,
                RelayWiring::Button => Ports::Buttons,
            },
            gap: Duration::from_millis(20),
            poll: Some(Duration::from_secs(10)),
            shows: Duration::from_secs(1),
            limit: HOLD + Duration::from_secs(10),
        }
    }

    async fn act(&mut self, port: &str, act: Act) -> Result<Taken, DeviceError> {
        match (self.wiring, act) {
            (RelayWiring::Supply, act) => {
                let order = self.order(port, act.supply()?)?;
                self.send(&order).await?;
            }
            (RelayWiring::Button, Act::Off) => self.pulse(port, HOLD).await?,
            (RelayWiring::Button, Act::On | Act::Soft | Act::Press) => self.pulse(port, PRESS).await?,
        }
        Ok(Taken::AT_ONCE)
    }

    async fn read(&mut self, ports: &[String]) -> Result<Told, DeviceError> {
        for port in ports {
            self.order(port, false)?;
        }
        // One that is pulled out is seen by that.
        self.is_there().await;
        self.opened().await?;
        let states = match self.wiring {
            // A relay across a button is open whether the machine runs or not.
            RelayWiring::Button => vec![None; ports.len()],
            RelayWiring::Supply => self.states(ports).await?,
        };
        let reading = |(port, state): (&String, Option<bool>)| {
            let sense = state.map_or(PortSense::Nothing, PortSense::Supply);
            (port.clone(), PortReading { sense, milliwatts: None })
        };
        let about = format!("relays on {}", self.line.name());
        Ok(Told { ports: ports.iter().zip(states).map(reading).collect(), about, restarted: None })
    }

    fn forget(&mut self) {
        self.open = None;
    }
}
