//! Mints a lab of 27 machines again and again and prints each time in milliseconds; `cargo xtask bench mint` reads it.
#![expect(clippy::print_stdout, reason = "this is what it is for")]

use std::error::Error;
use std::time::Instant;

use model::WallTime;
use talos::config::{Input, Options, Role, text};
use talos::pki::{KeyKind, OsRandom, PrivateKey};
use talos::release::Minor;
use talos::secrets::{Secrets, ServiceAccountKey};
use talos::talosconfig::{ADMIN, Context, TalosConfig};

const RUNS: usize = 51;
const NOW: WallTime = WallTime(1_795_672_800_000);

fn main() -> Result<(), Box<dyn Error>> {
    let key = PrivateKey::mint(KeyKind::P256, &mut OsRandom::new())?.to_pem();
    for _ in 0..RUNS {
        let begun = Instant::now();
        let bytes = lab(&key)?;
        let time = begun.elapsed();
        if bytes == 0 {
            return Err("nothing was minted".into());
        }
        println!("{}", time.as_secs_f64() * 1000.0);
    }
    Ok(())
}

/// Secrets, three control planes, 24 workers, both clients' files; gives their length.
fn lab(key: &str) -> Result<usize, Box<dyn Error>> {
    let mut random = OsRandom::new();
    let (mut secrets, _) = Secrets::mint(Minor::DEFAULT, NOW, &mut random)?;
    secrets.complete(ServiceAccountKey::from_pem(key)?);
    let (endpoint, options) = ("https://10.0.0.10:6443".parse()?, Options::default());
    let kubernetes = Minor::DEFAULT.default_kubernetes();
    let input = Input {
        cluster: "lab",
        endpoint: &endpoint,
        contract: Minor::DEFAULT,
        kubernetes: &kubernetes,
        options: &options,
    };
    let mut bytes = 0;
    for machine in 0..27 {
        let role = if machine < 3 { Role::ControlPlane } else { Role::Worker };
        bytes += text(&input, &secrets, role)?.len();
    }
    let context = Context::mint(secrets.os(), &[ADMIN], vec!["10.0.0.11".to_owned()], NOW, &mut random)?;
    let mut file = TalosConfig::default();
    file.merge("lab", &context);
    bytes += file.to_yaml().len();
    bytes += talos::kubeconfig::mint(&secrets, "lab", &endpoint, NOW, &mut random)?.len();
    Ok(bytes)
}
