//! Reads the `with` lines of a story: what the lab is like before anything happens.

use model::{ConfigCarrier, DiskBoot, Image, Proof, Readiness, ScenarioName, Span};

use crate::telling::{number, text};
use crate::world::Board;

fn small(word: &str) -> Result<u32, String> {
    u32::try_from(number(word)?).map_err(text)
}

/// What the `with` lines say.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a word of its own in a story")]
pub(crate) struct Setup {
    machines: Vec<String>,
    by_hand: Vec<String>,
    scenarios: Vec<(String, Vec<String>, Option<u16>)>,
    limits: Vec<(String, u64)>,
    plain: bool,
    ready: Option<Readiness>,
    disk: bool,
    within: Option<u64>,
    installs: bool,
    wipe_before_use: bool,
    parks: Option<u64>,
    /// Talos is reset to be parked.
    by_reset: bool,
    /// They wait in their images, and none has our loader.
    in_images: bool,
    lease: Option<u64>,
    missing: Vec<String>,
    candidate: Option<(u32, u32, Option<String>)>,
    images_later: bool,
    control_plane: Vec<String>,
    endpoint: Option<String>,
    proof: Proof,
    manifests: Option<bool>,
    carrier: ConfigCarrier,
    inline: Option<String>,
    guests: Vec<(String, Vec<String>)>,
    /// Scenarios like the first, but for something.
    alike: Vec<(String, String)>,
}

impl Setup {
    /// Reads one `with` line.
    pub(crate) fn with(&mut self, words: &str) -> Result<(), String> {
        let words: Vec<&str> = words.split_whitespace().collect();
        let owned = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        match words.as_slice() {
            ["machines", names @ ..] => self.machines = owned(names),
            ["by-hand", names @ ..] => self.by_hand = owned(names),
            ["inline", documents] => self.inline = Some((*documents).to_owned()),
            ["runs", host, guests @ ..] => self.guests.push(((*host).to_owned(), owned(guests))),
            ["pull"] => self.carrier = ConfigCarrier::Pull,
            ["proof", level] => self.proof = crate::cluster::proof(level)?,
            ["endpoint", told] => self.endpoint = Some((*told).to_owned()),
            ["talos", names @ ..] => self.control_plane = owned(names),
            ["image", "agent"] => self.plain = false,
            ["image", "plain"] => self.plain = true,
            ["image", "disk"] => self.disk = true,
            ["ready", "address"] => self.ready = Some(Readiness::Address),
            ["ready", "fetched"] => self.ready = Some(Readiness::Fetched),
            ["ready", "done"] => self.ready = Some(Readiness::Done),
            ["ready", "port", port] => {
                let port = u16::try_from(number(port)?).map_err(|e| e.to_string())?;
                self.ready = Some(Readiness::Port { port });
            }
            ["within", time] => self.within = Some(number(time)?),
            ["manifests"] => self.manifests = Some(true),
            ["manifests", "that", "are", "wrong"] => self.manifests = Some(false),
            ["installs"] => self.installs = true,
            ["wipe", "before", "use"] => self.wipe_before_use = true,
            ["parks", time] => self.parks = Some(number(time)?),
            ["parks", time, "in", "images"] => (self.parks, self.in_images) = (Some(number(time)?), true),
            ["parks", time, "by", "reset"] => {
                (self.parks, self.in_images, self.by_reset) = (Some(number(time)?), true, true);
            }
            ["scenario", name, "as", "demo"] => self.alike.push(((*name).to_owned(), String::new())),
            ["scenario", name, "as", "demo", "but", what] => {
                self.alike.push(((*name).to_owned(), (*what).to_owned()));
            }
            ["lease", time] => self.lease = Some(number(time)?),
            ["images", "later"] => self.images_later = true,
            ["candidate", generation, "after", starts] => {
                self.candidate = Some((small(generation)?, small(starts)?, None));
            }
            ["candidate", generation, "after", starts, "on", node] => {
                self.candidate = Some((small(generation)?, small(starts)?, Some((*node).to_owned())));
            }
            ["missing", name] => self.missing.push((*name).to_owned()),
            ["limit", name, value] => self.limits.push(((*name).to_owned(), number(value)?)),
            ["scenario", name, nodes @ .., "enough", n] => {
                let enough = u16::try_from(number(n)?).map_err(|e| e.to_string())?;
                self.scenarios.push(((*name).to_owned(), owned(nodes), Some(enough)));
            }
            ["scenario", name, nodes @ ..] => {
                self.scenarios.push(((*name).to_owned(), owned(nodes), None));
            }
            _ => return Err("nobody knows this `with` line".to_owned()),
        }
        Ok(())
    }

    /// Where its scenarios park their machines, these have our loader, or images that hold them.
    fn park(&self, board: &mut Board) {
        let Some(span) = self.parks.map(Span::secs) else { return };
        for scenario in board.spec.scenarios.values_mut() {
            scenario.park = Some(span);
            scenario.talos.iter_mut().for_each(|talos| talos.park_by_reset = self.by_reset);
        }
        let nodes = board.spec.board.nodes.values_mut().filter(|_| !self.in_images);
        nodes.for_each(|node| node.loader = model::LoaderChoice::Labinator);
    }

    /// A later generation of what the board boots, and where its machines wait after a run.
    fn later(&self, board: &mut Board) -> Result<(), String> {
        self.park(board);
        for (name, change) in &self.alike {
            alike(board, name.parse().map_err(text)?, change)?;
        }
        let Some((generation, after, node)) = &self.candidate else { return Ok(()) };
        let node = node.as_ref().map(|node| node.parse().map_err(text)).transpose()?;
        board.later(*generation, *after, node);
        Ok(())
    }

    /// The board they describe.
    pub(crate) fn board(&self) -> Result<Board, String> {
        let names =
            |names: &[String]| names.iter().map(|n| n.parse().map_err(text)).collect::<Result<_, _>>();
        let named = || self.machines.iter().map(String::as_str).collect();
        let machines: Vec<&str> = if self.machines.is_empty() { vec!["n1", "n2"] } else { named() };
        let by_hand: Vec<&str> = self.by_hand.iter().map(String::as_str).collect();
        let mut board = Board::new(&machines, &by_hand);
        if !self.control_plane.is_empty() {
            board.cluster("demo", names(&self.control_plane)?);
            let talos = board.spec.scenarios.values_mut().filter_map(|scenario| scenario.talos.as_mut());
            talos.for_each(|talos| {
                (talos.proof, talos.carrier) = (self.proof, self.carrier);
                talos.endpoint.clone_from(&self.endpoint);
                talos.inline.clone_from(&self.inline);
                talos.install = self.manifests.iter().map(|_| "web.yaml".to_owned()).collect();
            });
            board.manifests_are_wrong = self.manifests == Some(false);
        }
        for (host, guests) in &self.guests {
            board.runs(&host.parse().map_err(text)?, &names(guests)?);
        }
        for (name, nodes, enough) in &self.scenarios {
            board.scenario(name, names(nodes)?, *enough);
        }
        for image in board.images.values_mut() {
            image.agent = !self.plain && self.control_plane.is_empty();
            if self.disk {
                *image = Image::default();
            }
        }
        for scenario in board.spec.scenarios.values_mut() {
            scenario.system.ready = self.ready.unwrap_or_default();
            scenario.wipe_before_use = self.wipe_before_use;
            scenario.system.within = self.within.map(Span::secs);
            scenario.system.install = self.installs.then(DiskBoot::default);
        }
        self.later(&mut board)?;
        if let Some(lease) = self.lease {
            board.spec.network.lease_seconds = u32::try_from(lease).map_err(text)?;
        }
        for name in &self.missing {
            board.images.remove(&name.parse::<ScenarioName>().map_err(text)?);
        }
        board.images_later = self.images_later;
        let limits = &mut board.spec.limits;
        for (name, value) in &self.limits {
            match name.as_str() {
                "power" => limits.power = Span::secs(*value),
                "first-ask" => limits.first_ask = Span::secs(*value),
                "fetch" => limits.fetch = Span::secs(*value),
                "start" => limits.start = Span::secs(*value),
                "silence" => limits.silence = Span::secs(*value),
                "install" => limits.install = Span::secs(*value),
                "join" => limits.join = Span::secs(*value),
                "pods" => limits.pods = Span::secs(*value),
                "lost" => limits.lost = Span::secs(*value),
                "tries" => limits.tries = u8::try_from(*value).map_err(text)?,
                _ => return Err(format!("there is no limit `{name}`")),
            }
        }
        Ok(board)
    }
}

/// Another scenario like `demo`, with something of its cluster's changed.
fn alike(board: &mut Board, name: ScenarioName, change: &str) -> Result<(), String> {
    let demo: ScenarioName = "demo".parse().map_err(text)?;
    let (mut scenario, mut image) = (board.spec.scenarios[&demo].clone(), board.images[&demo].clone());
    let talos = scenario.talos.as_mut().ok_or("`demo` is no cluster")?;
    match change {
        "" => {}
        "release" => talos.version = "1.13".to_owned(),
        "pull" => talos.carrier = ConfigCarrier::Pull,
        "image" => image.initrd.iter_mut().for_each(|asset| asset.digest = model::Digest([8; 32])),
        other => return Err(format!("nobody knows what `{other}` changes")),
    }
    board.spec.scenarios.insert(name.clone(), scenario);
    board.images.insert(name, image);
    Ok(())
}
