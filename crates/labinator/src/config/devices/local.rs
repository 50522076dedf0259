//! Drivers that need this computer: its serial ports, pins and USB hubs, and programs of other makers.

use model::{DeviceKind, RelayBoard, RelayWiring, RelaysDevice};

use super::network::{needed, option};
use super::{Kind, PortNames, Read, Shape};

/// Relays on a serial port.
pub(super) const RELAYS: Kind = Kind {
    word: "relays",
    about: "relay board of a shop on a serial line, wired to supplies or to power buttons",
    options: &[
        needed(
            "device",
            "/dev/serial/by-id/usb-…",
            Shape::Text,
            "Serial port, such as `/dev/serial/by-id/usb-…`, or `tcp://HOST:PORT` of one elsewhere.",
        ),
        needed(
            "board",
            "lcus",
            Shape::Choice(&["lcus", "numato", "own"]),
            "How it is spoken to; `own` by `close` and `open`.",
        ),
        needed(
            "wiring",
            "button",
            Shape::Choice(&["button", "supply"]),
            "What its relays are wired to: `button` where one presses, `supply` where a closed one gives supply.",
        ),
        option("baud", Shape::Number, "Speed of the line; 9600 unless told, 115200 for `numato`."),
        option(
            "close",
            Shape::Text,
            "What closes a relay of a board of your own; `{port}` becomes the port.",
        ),
        option("open", Shape::Text, "What opens it."),
    ],
    ports: PortNames::Any,
    build: |read| {
        let device = serial(read);
        let (board, wiring) = (read.choice("board"), read.choice("wiring"));
        let wiring = if wiring? == "button" { RelayWiring::Button } else { RelayWiring::Supply };
        let (standard, board) = match board? {
            "lcus" => (9600, RelayBoard::Lcus),
            "numato" => (115_200, RelayBoard::Numato),
            _ => (9600, own(read)?),
        };
        if !matches!(board, RelayBoard::Own { .. })
            && let Some(place) = read.place("close").or_else(|| read.place("open"))
        {
            let help = "leave it out, or write `board: own`";
            read.wrong("this board has words of its own".to_owned(), place, "no use here", help);
            return None;
        }
        let baud = match read.maybe("baud", Read::number)? {
            None => standard,
            Some(typed) => {
                match u32::try_from(typed.value).ok().filter(|baud| (300..=4_000_000).contains(baud)) {
                    Some(baud) => baud,
                    None => {
                        let title = format!("{} is no speed of a serial line", typed.value);
                        read.wrong(title, typed.place, "300 to 4000000", "most boards have 9600");
                        return None;
                    }
                }
            }
        };
        Some(DeviceKind::Relays(Box::new(RelaysDevice { device: device?, baud, board, wiring })))
    },
};

/// Words of the owner's.
fn own(read: &mut Read<'_>) -> Option<RelayBoard> {
    let lacking: Vec<&str> = ["close", "open"].into_iter().filter(|key| read.place(key).is_none()).collect();
    if !lacking.is_empty() {
        read.lacks(&lacking, "for example `close: \"on {port}\\r\", open: \"off {port}\\r\"`");
        return None;
    }
    let (close, open) = (read.text("close")?, read.text("open")?);
    if close.value == open.value {
        let help = "a board must be told two different things";
        read.wrong("`open` is the same as `close`".to_owned(), open.place, "the same words", help);
        return None;
    }
    Some(RelayBoard::Own { on: close.value, off: open.value })
}

/// A serial port.
pub(super) fn serial(read: &mut Read<'_>) -> Option<String> {
    let device = read.text("device")?;
    let right = device.value.starts_with("/dev/") || device.value.starts_with("tcp://");
    if !right {
        read.wrong(
            format!("`{}` is not a serial port", device.value),
            device.place,
            "a path below /dev, or `tcp://HOST:PORT`",
            "`ls /dev/serial/by-id` lists what is plugged in, by names that stay",
        );
    }
    right.then_some(device.value)
}

/// Pins of this computer.
pub(super) const GPIO: Kind = Kind {
    word: "gpio",
    about: "pins of this computer across power buttons, by libgpiod's programs",
    options: &[
        needed("chip", "gpiochip0", Shape::Text, "The chip, as `gpiodetect` calls it."),
        option(
            "active",
            Shape::Choice(&["high", "low"]),
            "Whether a pin presses when it is high or low; `high` unless told.",
        ),
    ],
    ports: PortNames::Any,
    build: |read| {
        let active_low = read.maybe("active", Read::choice)? == Some("low");
        let chip = read.text("chip")?;
        let name = chip.value.strip_prefix("/dev/").unwrap_or(&chip.value);
        let right = name.strip_prefix("gpiochip").is_some_and(|number| number.parse::<u16>().is_ok());
        if !right {
            let title = format!("`{}` is no chip with pins", chip.value);
            read.wrong(title, chip.place, "not `gpiochip` and a number", "`gpiodetect` lists them");
            return None;
        }
        Some(DeviceKind::Gpio { chip: name.to_owned(), active_low })
    },
};

/// USB hubs.
pub(super) const UHUBCTL: Kind = Kind {
    word: "uhubctl",
    about: "ports of USB hubs that switch them one by one, `LOCATION:PORT`",
    options: &[],
    ports: PortNames::Any,
    build: |_| Some(DeviceKind::Uhubctl),
};

/// Virtual machines of a libvirt.
pub(super) const LIBVIRT: Kind = Kind {
    word: "libvirt",
    about: "virtual machines of a libvirt, by their names",
    options: &[needed("uri", "\"qemu:///system\"", Shape::Text, "Where it is, as `virsh -c` takes it.")],
    ports: PortNames::Any,
    build: |read| {
        let uri = read.text("uri")?;
        let right = uri.value.split_once("://").is_some_and(|(scheme, _)| {
            !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+')
        });
        if !right || uri.value.contains(char::is_whitespace) {
            let title = format!("`{}` is no address of a libvirt", uri.value);
            let help = "for example `qemu:///system` or `qemu+ssh://lab@host/system`";
            read.wrong(title, uri.place, "not `DRIVER://…`", help);
            return None;
        }
        Some(DeviceKind::Libvirt { uri: uri.value })
    },
};
