//! Simulated Talos for a machine that booted it: plays `sim::talos` at the address the machine was given.
//!
//! The image `simulated-talos` carries it; the agent, which is process 1 there, starts it once there is an address, and
//! restarts or switches off the machine when it ends.

mod machine;

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::WallTime;
use sim::talos::{End, Line, Metal, Pace, Settings, Stage};
use talos::api::Character;
use talos::pki::{OsRandom, Random as _};
use talos::release::{Minor, Version};

/// Port of the machine API.
const API: u16 = 50_000;
/// Port of name servers.
const DNS: u16 = 53;
/// The release it plays where nobody says: the last one whose configs every later one takes.
const RELEASE: &str = "1.13";
/// Exit code that asks for another start of the machine.
const AGAIN: u8 = 3;
const USAGE: &str = "usage: talosd ADDRESS RESOLVER";
/// Short, where genuine Talos waits for downloads and disks.
const PACE: Pace = Pace {
    phase: Duration::from_millis(50),
    install: Duration::from_secs(2),
    kexec: Duration::from_secs(1),
    firmware: Duration::ZERO,
    join: Duration::from_secs(1),
};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let parsed = match words.as_slice() {
        [address, resolver] => address.parse::<IpAddr>().ok().zip(resolver.parse::<IpAddr>().ok()),
        _ => None,
    };
    let Some((address, resolver)) = parsed else {
        say(USAGE);
        return ExitCode::from(2);
    };
    match run(address, resolver) {
        Ok(End::Off) => ExitCode::SUCCESS,
        Ok(End::Restart) => ExitCode::from(AGAIN),
        Err(why) => {
            say(&format!("simulated Talos cannot run: {why}"));
            ExitCode::FAILURE
        }
    }
}

fn run(address: IpAddr, resolver: IpAddr) -> Result<End, Box<dyn std::error::Error>> {
    let line = Line::read(&std::fs::read_to_string("/proc/cmdline")?);
    let release = line.release.as_deref().unwrap_or(RELEASE);
    let asked: Version = release.trim_start_matches('v').parse()?;
    let minor = Minor::of(&asked)?;
    // A minor release alone means its last one.
    let version = if release.matches('.').count() < 2 { minor.latest() } else { asked };
    let character = if minor.number() >= 13 { Character::From13 } else { Character::UpTo12 };
    let mut seed = [0; 32];
    OsRandom::new().fill(&mut seed).map_err(|_| "the kernel gives no random bytes")?;
    let uuid = machine::uuid();
    let name = format!("talos-{}", uuid.chars().filter(char::is_ascii_hexdigit).skip(26).collect::<String>());
    let settings = Settings {
        name,
        address: SocketAddr::new(address, API),
        character,
        // Whoever asks hears that it is not genuine.
        version: format!("v{version}-simulated"),
        uuid,
        seed,
        wall: WallTime(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?),
        pace: PACE,
        sink: line.sink,
        kernel_log: line.kernel_log,
        wipe: line.wipe,
        manners: Vec::new(),
    };
    let metal = Metal {
        resolver: SocketAddr::new(resolver, DNS),
        disks: machine::disks(),
        cores: machine::cores(),
        memory_mib: machine::memory_mib(),
        config: line.config,
        receivers: line.receivers,
    };
    say(&format!("simulated Talos {} at {address}, names from {resolver}", settings.version));
    let last = std::cell::Cell::new(None);
    let told = |stage: Stage| {
        if last.replace(Some(stage)) != Some(stage) {
            say(&format!("simulated Talos: {stage:?}").to_lowercase());
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(metal.run(settings, told))?)
}

/// Says a line on the console.
fn say(text: &str) {
    // A console that is gone is no reason to stop.
    drop(writeln!(std::io::stdout().lock(), "{text}"));
}
