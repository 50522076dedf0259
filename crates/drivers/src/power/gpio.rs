//! Pins of this computer across power buttons, by the programs of libgpiod, 1 and 2: pressed through an optocoupler or a
//! relay, and where the power LED is wired to a second pin, sensed by it.

use std::time::Duration;

use model::{PortReading, PortSense};

use super::device::{Act, Device, DeviceError, Manner, Ports, Taken, Told};
use crate::process::{ProcessError, Program, run_once};

const SET: Program = Program::new("gpioset", "gpiod");
const GET: Program = Program::new("gpioget", "gpiod");
/// How long a button is pressed to start a machine, or to ask what runs to stop.
const PRESS: Duration = Duration::from_millis(250);
/// How long it is held to force a machine off.
const HOLD: Duration = Duration::from_millis(5500);
/// What a program may take besides.
const LIMIT: Duration = Duration::from_secs(5);

/// A chip with pins.
#[derive(Debug)]
pub(super) struct Gpio {
    chip: String,
    active_low: bool,
    /// Which release of libgpiod is here, once it was asked.
    release: Option<Release>,
    /// A pin whose press was broken off: it is let go before anything else.
    pressed: Option<u16>,
}

/// Their command lines have nothing in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Release {
    One,
    Two,
}

/// A machine's pins: of its button, and of its LED.
fn pins(port: &str) -> Result<(u16, Option<u16>), DeviceError> {
    let (button, led) = match port.split_once(':') {
        Some((button, led)) => (button, Some(led)),
        None => (port, None),
    };
    // `017` would be another name of the same pin.
    let pin = |text: &str| text.parse::<u16>().ok().filter(|pin| pin.to_string() == text);
    match (pin(button), led.map(pin)) {
        (Some(button), None) => Ok((button, None)),
        (Some(button), Some(Some(led))) if led != button => Ok((button, Some(led))),
        _ => {
            let why = format!("`{port}` names no pins: `PIN`, or `PIN:PIN` with another one for the LED");
            Err(DeviceError::refused("no-such-port", why))
        }
    }
}

impl Release {
    /// Of what `--version` prints.
    fn read(text: &str) -> Option<Self> {
        let number = text.split_whitespace().find_map(|word| word.strip_prefix('v')?.split('.').next());
        match number?.parse::<u32>().ok()? {
            1 => Some(Self::One),
            2 => Some(Self::Two),
            _ => None,
        }
    }

    /// Presses a pin for a while.
    fn press(self, (chip, low): (&str, bool), pin: u16, long: Duration) -> Vec<String> {
        let mut line: Vec<String> = match self {
            Self::One => {
                let (whole, rest) = (long.as_secs(), long.subsec_micros());
                vec!["--mode=time".into(), format!("--sec={whole}"), format!("--usec={rest}")]
            }
            // The second time, of nothing, ends it.
            Self::Two => vec!["-t".into(), format!("{}ms,0", long.as_millis())],
        };
        line.extend(low.then(|| "--active-low".to_owned()));
        line.extend(self.on(chip));
        line.push(format!("{pin}=1"));
        line
    }

    /// Lets a pin go.
    fn release(self, (chip, low): (&str, bool), pin: u16) -> Vec<String> {
        let mut line: Vec<String> = match self {
            Self::One => vec!["--mode=exit".into()],
            Self::Two => vec!["-t".into(), "0".into()],
        };
        line.extend(low.then(|| "--active-low".to_owned()));
        line.extend(self.on(chip));
        line.push(format!("{pin}=0"));
        line
    }

    /// Reads a pin.
    fn get(self, chip: &str, pin: u16) -> Vec<String> {
        let mut line: Vec<String> = match self {
            Self::One => Vec::new(),
            Self::Two => vec!["--numeric".into()],
        };
        line.extend(self.on(chip));
        line.push(pin.to_string());
        line
    }

    fn on(self, chip: &str) -> Vec<String> {
        match self {
            Self::One => vec![chip.to_owned()],
            Self::Two => vec!["-c".to_owned(), chip.to_owned()],
        }
    }
}

/// What `gpioget` prints of one pin.
fn level(output: &[u8]) -> Option<bool> {
    match output.trim_ascii() {
        b"1" => Some(true),
        b"0" => Some(false),
        _ => None,
    }
}

impl Gpio {
    pub(super) const fn new(chip: String, active_low: bool) -> Self {
        Self { chip, active_low, release: None, pressed: None }
    }

    fn error(&self, why: &ProcessError) -> DeviceError {
        let said = why.to_string();
        let help =
            if said.contains("ermission") { "; who runs the lab must be in the group `gpio`" } else { "" };
        DeviceError::lost(why.code(), format!("{}: {said}{help}", self.chip))
    }

    async fn release(&mut self) -> Result<Release, DeviceError> {
        if let Some(release) = self.release {
            return Ok(release);
        }
        let output = run_once(SET, ["--version"], LIMIT).await.map_err(|why| self.error(&why))?;
        let text = String::from_utf8_lossy(&output);
        let read = Release::read(&text).ok_or_else(|| {
            let shown: String = text.chars().take(60).collect();
            DeviceError::lost(
                "not-understood",
                format!("`gpioset --version` says `{shown}`, neither 1 nor 2"),
            )
        })?;
        self.release = Some(read);
        Ok(read)
    }

    /// Lets go of what a press that was broken off may have left pressed.
    async fn let_go(&mut self, release: Release) -> Result<(), DeviceError> {
        let Some(pin) = self.pressed else { return Ok(()) };
        let line = release.release((&self.chip, self.active_low), pin);
        run_once(SET, line, LIMIT).await.map_err(|why| self.error(&why))?;
        self.pressed = None;
        Ok(())
    }
}

impl Device for Gpio {
    fn manner(&self) -> Manner {
        Manner {
            ports: Ports::Buttons,
            gap: Duration::ZERO,
            poll: Some(Duration::from_secs(10)),
            shows: Duration::from_secs(2),
            limit: HOLD + LIMIT * 3,
        }
    }

    async fn act(&mut self, port: &str, act: Act) -> Result<Taken, DeviceError> {
        let (pin, _) = pins(port)?;
        let long = match act {
            Act::Off => HOLD,
            Act::On | Act::Soft | Act::Press => PRESS,
        };
        let release = self.release().await?;
        self.let_go(release).await?;
        self.pressed = Some(pin);
        let line = release.press((&self.chip, self.active_low), pin, long);
        let done = run_once(SET, line, long + LIMIT).await;
        // What a pin does that nobody holds any more is the chip's own matter, so it is let go by word.
        let gone = self.let_go(release).await;
        let doubt = |error: DeviceError| DeviceError::doubt(error.code, error.why);
        done.map_err(|why| match why {
            ProcessError::Late { .. } => doubt(self.error(&why)),
            why => self.error(&why),
        })?;
        gone.map_err(doubt)?;
        Ok(Taken::AT_ONCE)
    }

    async fn read(&mut self, ports: &[String]) -> Result<Told, DeviceError> {
        let release = self.release().await?;
        self.let_go(release).await?;
        let mut told = Told { about: format!("pins of {}, by libgpiod", self.chip), ..Told::default() };
        for port in ports {
            let sense = match pins(port)? {
                (_, None) => PortSense::Nothing,
                (_, Some(led)) => {
                    let line = release.get(&self.chip, led);
                    let output = run_once(GET, line, LIMIT).await.map_err(|why| self.error(&why))?;
                    level(&output).map(PortSense::Machine).ok_or_else(|| {
                        let said = output.escape_ascii().to_string();
                        DeviceError::lost("not-understood", format!("gpioget says `{said}` of pin {led}"))
                    })?
                }
            };
            told.ports.push((port.clone(), PortReading { sense, milliwatts: None }));
        }
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_are_those_of_each_release() {
        let chip = ("gpiochip0", false);
        let words = |line: Vec<String>| line.join(" ");
        let table = [
            (
                Release::One,
                "--mode=time --sec=5 --usec=500000 gpiochip0 17=1",
                "--mode=exit gpiochip0 17=0",
                "gpiochip0 27",
            ),
            (
                Release::Two,
                "-t 5500ms,0 -c gpiochip0 17=1",
                "-t 0 -c gpiochip0 17=0",
                "--numeric -c gpiochip0 27",
            ),
        ];
        for (release, press, let_go, get) in table {
            assert_eq!(words(release.press(chip, 17, HOLD)), press);
            assert_eq!(words(release.release(chip, 17)), let_go);
            assert_eq!(words(release.get("gpiochip0", 27)), get);
        }
        assert!(
            words(Release::One.press(("gpiochip1", true), 4, PRESS)).contains("--usec=250000 --active-low ")
        );
        assert_eq!(Release::read("gpioset (libgpiod) v1.6.3\nCopyright"), Some(Release::One));
        assert_eq!(Release::read("gpioset (libgpiod) v2.1.3"), Some(Release::Two));
        assert_eq!(Release::read("gpioset"), None);
        assert_eq!((level(b"1\n"), level(b"0\n"), level(b"")), (Some(true), Some(false), None));
    }

    #[test]
    fn a_port_names_one_pin_or_two() {
        assert_eq!(pins("17").ok(), Some((17, None)));
        assert_eq!(pins("17:27").ok(), Some((17, Some(27))));
        for wrong in ["", "x", "17:", "17:17", "-1", "17:27:3", "017", "+17"] {
            assert!(pins(wrong).is_err(), "{wrong}");
        }
    }
}
