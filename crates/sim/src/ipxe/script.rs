//! The script interpreter: the commands boot scripts use, with iPXE's rules for failure.

use std::collections::{BTreeMap, VecDeque};

use super::settings::Settings;
use super::words::{Joint, Piece, expand, pieces};
use crate::body::{Body, KernelStart};
use crate::fetch::{UrlFetch, UrlFetched};
use crate::http::{HttpEvent, resolve};
use crate::manners::Manner;
use crate::step::Step;

/// What a script came to.
#[derive(Debug)]
pub(crate) enum Ran {
    /// It waits for something.
    OnItsWay,
    /// It starts a kernel.
    Kernel(KernelStart),
    /// It ended without booting anything.
    Ended,
    /// A command failed and nothing forgave it.
    Failed(String),
    /// It asks a person.
    Shell,
    /// It restarts the machine.
    Reboot,
    /// It switches the machine off.
    PowerOff,
}

/// What a fetched file is for.
#[derive(Debug, Clone)]
enum Purpose {
    Kernel {
        name: String,
        args: String,
    },
    Initrd {
        name: String,
    },
    Chain {
        replace: bool,
    },
    /// `imgfetch`: kept under its name.
    Image {
        name: String,
    },
}

#[derive(Debug)]
enum Doing {
    Running,
    Sleeping { until: u64 },
    Fetching { fetch: Box<UrlFetch>, purpose: Purpose },
}

/// One script text and the line that is next.
#[derive(Debug)]
struct Sheet {
    url: String,
    lines: Vec<String>,
    next: usize,
    /// The line of the sheet below that waits for this one, its `chain` in front.
    below: VecDeque<Piece>,
}

/// What one command did.
enum Done {
    Good,
    Bad(String),
    /// It waits; its result comes later.
    Later,
    /// Another script was opened; the line goes on when that one ends.
    Opened,
    /// The script ends here, with success.
    Exit,
    End(Ran),
}

/// Lines in a row without a wait before a script counts as spinning.
const SPIN: u32 = 10_000;

/// Commands that came after gPXE (`isset`, `iseq`, `goto` and `sleep` in 2010 and 2011, long options too).
const YOUNGER: [&str; 4] = ["isset", "iseq", "goto", "sleep"];

/// A running script.
#[derive(Debug)]
pub(crate) struct Script {
    sheets: Vec<Sheet>,
    line: VecDeque<Piece>,
    settings: Settings,
    own: BTreeMap<String, String>,
    kernel: Option<(String, String)>,
    images: Vec<String>,
    doing: Doing,
}

impl Script {
    /// Takes a script in; [`Script::go_on`] runs it.
    pub(crate) fn start(url: &str, text: &str, settings: Settings, body: &mut Body, now: u64) -> Self {
        let mut script = Self {
            sheets: Vec::new(),
            line: VecDeque::new(),
            settings,
            own: BTreeMap::new(),
            kernel: None,
            images: Vec::new(),
            doing: Doing::Running,
        };
        // A script iPXE found by itself stays registered until it is freed (ipxe/ipxe#1723).
        if url.ends_with("/autoexec.ipxe") {
            script.images.push("autoexec.ipxe".to_owned());
        }
        script.open(url, text, body, now);
        script
    }

    pub(crate) fn set_dead_resolver(&mut self, dead: bool) {
        self.settings.dead_resolver = dead;
    }

    fn open(&mut self, url: &str, text: &str, body: &mut Body, now: u64) {
        body.note(now, Step::ScriptStarted(url.to_owned()));
        let lines = text.lines().map(str::to_owned).collect();
        let below = std::mem::take(&mut self.line);
        self.sheets.push(Sheet { url: url.to_owned(), lines, next: 0, below });
    }

    pub(crate) fn wake_at(&self) -> Option<u64> {
        match &self.doing {
            Doing::Running => None,
            Doing::Sleeping { until } => Some(*until),
            Doing::Fetching { fetch, .. } => fetch.wake_at(),
        }
    }

    pub(crate) fn on_time(&mut self, body: &mut Body, now: u64) -> Ran {
        match &mut self.doing {
            Doing::Sleeping { until } if *until <= now => {
                self.doing = Doing::Running;
                self.settle(Done::Good, body, now)
            }
            Doing::Fetching { fetch, .. } => {
                fetch.on_time(body, now);
                Ran::OnItsWay
            }
            Doing::Sleeping { .. } | Doing::Running => Ran::OnItsWay,
        }
    }

    pub(crate) fn on_http(&mut self, body: &mut Body, id: u64, event: &HttpEvent, now: u64) -> Ran {
        let Doing::Fetching { fetch, purpose } = &mut self.doing else { return Ran::OnItsWay };
        match fetch.on_http(body, id, event, now) {
            UrlFetched::Pending => Ran::OnItsWay,
            UrlFetched::Failed(why) => {
                self.doing = Doing::Running;
                body.print(format!("{why}... failed"));
                self.settle(Done::Bad(why), body, now)
            }
            UrlFetched::Done(content) => {
                let (purpose, url) = (purpose.clone(), fetch.url().to_owned());
                self.doing = Doing::Running;
                body.print(format!("{url}... ok"));
                let done = self.receive(purpose, (&url, &content), body, now);
                self.settle(done, body, now)
            }
        }
    }

    fn receive(
        &mut self,
        purpose: Purpose,
        (url, content): (&str, &[u8]),
        body: &mut Body,
        now: u64,
    ) -> Done {
        match purpose {
            Purpose::Kernel { name, args } => self.kernel = Some((name, args)),
            Purpose::Initrd { name } | Purpose::Image { name } => self.images.push(name),
            Purpose::Chain { replace } => {
                if content.starts_with(b"#!ipxe") {
                    // The script below is gone: what waits for it waits for its replacement.
                    if replace && let Some(gone) = self.sheets.pop() {
                        self.line = gone.below;
                    }
                    self.open(url, &String::from_utf8_lossy(content), body, now);
                    return Done::Opened;
                }
                if self.settings.uefi {
                    return Done::End(Ran::Kernel(KernelStart { args: String::new(), initrds: Vec::new() }));
                }
                return Done::Bad(format!("{url}: Exec format error"));
            }
        }
        Done::Good
    }

    /// A waiting command ended: the line goes on by its rules, then the script.
    fn settle(&mut self, done: Done, body: &mut Body, now: u64) -> Ran {
        match self.advance(done) {
            Some(ran) => ran,
            None => self.go_on(body, now),
        }
    }

    /// Moves on after a command; gives what the whole came to when it is over.
    fn advance(&mut self, done: Done) -> Option<Ran> {
        match done {
            Done::Good => self.after_piece(Ok(())).err().and_then(|why| self.close(Err(why))),
            Done::Bad(why) => self.after_piece(Err(why)).err().and_then(|why| self.close(Err(why))),
            Done::Later => Some(Ran::OnItsWay),
            Done::Opened => None,
            Done::Exit => self.close(Ok(())),
            Done::End(ran) => Some(ran),
        }
    }

    /// Ends the topmost script with a result, which is that of the `chain` that opened it.
    fn close(&mut self, mut result: Result<(), String>) -> Option<Ran> {
        loop {
            self.line = self.sheets.pop().map(|sheet| sheet.below).unwrap_or_default();
            if self.sheets.is_empty() {
                return Some(result.map_or_else(Ran::Failed, |()| Ran::Ended));
            }
            result = Err(self.after_piece(result).err()?);
        }
    }

    /// Drops the command in front and decides what of its line still runs (`shell.c`: each operator
    /// looks only at the command before it). Gives the reason when the script fails here.
    fn after_piece(&mut self, result: Result<(), String>) -> Result<(), String> {
        let Some(piece) = self.line.pop_front() else { return Ok(()) };
        let goes_on = match piece.joint {
            Joint::OnFailure => result.is_err(),
            Joint::OnSuccess => result.is_ok(),
            Joint::Always => !self.line.is_empty(),
        };
        if goes_on {
            return Ok(());
        }
        self.line.clear();
        result
    }

    /// Runs until something has to be waited for.
    pub(crate) fn go_on(&mut self, body: &mut Body, now: u64) -> Ran {
        for _ in 0..SPIN {
            let done = match self.line.front().cloned() {
                Some(piece) => self.run(&piece.words, body, now),
                None if self.next_line(body) => continue,
                None => Done::Exit,
            };
            if let Some(ran) = self.advance(done) {
                return ran;
            }
        }
        Ran::Failed("the script spins".to_owned())
    }

    /// Takes the next line of the topmost script; false at its end.
    fn next_line(&mut self, body: &Body) -> bool {
        let Some(sheet) = self.sheets.last_mut() else { return false };
        let Some(line) = sheet.lines.get(sheet.next).cloned() else { return false };
        sheet.next += 1;
        let line = line.trim();
        if !line.is_empty() && !line.starts_with(['#', ':']) {
            let value = |name: &str| {
                let own = self.own.get(name).cloned();
                own.or_else(|| self.settings.value(name, &body.config))
            };
            let line = expand(line, value);
            self.line = pieces(&line).into();
        }
        true
    }

    fn run(&mut self, words: &[String], body: &mut Body, now: u64) -> Done {
        let Some((command, rest)) = words.split_first() else { return Done::Good };
        let (options, rest) = split_options(rest);
        let option = |long: &str| options.iter().find(|(n, _)| *n == long).map(|(_, v)| v.clone());
        let has = |long: &str| options.iter().any(|(n, _)| *n == long);
        if body.runs_burnt_in
            && body.manners.has(Manner::IpxeLacksCommands)
            && (YOUNGER.contains(&command.as_str()) || !options.is_empty())
        {
            return Done::Bad(format!("{command}: command not found"));
        }
        match command.as_str() {
            "echo" => {
                body.print(rest.join(" "));
                Done::Good
            }
            "set" => match rest.split_first() {
                Some((name, value)) => {
                    self.own.insert(name.clone(), value.join(" "));
                    Done::Good
                }
                None => Done::Bad("set: usage".to_owned()),
            },
            "clear" => {
                self.own.retain(|name, _| !rest.contains(name));
                Done::Good
            }
            "isset" => truth(rest.first().is_some_and(|v| !v.is_empty())),
            "iseq" => truth(rest.first() == rest.get(1)),
            "goto" => self.goto(rest.first()),
            "sleep" => {
                let seconds: u64 = rest.first().and_then(|s| s.parse().ok()).unwrap_or(0);
                self.doing = Doing::Sleeping { until: now + seconds * 1000 };
                Done::Later
            }
            "imgfree" => self.free(rest.first()),
            "imgstat" | "ifstat" | "route" | "ifopen" => Done::Good,
            "kernel" | "imgselect" | "initrd" | "module" | "imgfetch" | "chain" | "imgexec" => {
                let Some((url, args)) = rest.split_first() else {
                    return Done::Bad(format!("{command}: nothing to fetch"));
                };
                let name = option("name").unwrap_or_else(|| base_name(url));
                let purpose = match command.as_str() {
                    "initrd" | "module" => Purpose::Initrd { name },
                    "imgfetch" => Purpose::Image { name },
                    "chain" | "imgexec" => Purpose::Chain { replace: has("replace") },
                    _ => Purpose::Kernel { name, args: args.join(" ") },
                };
                self.fetch(url, purpose, body, now)
            }
            "boot" => self.boot(rest, body, now),
            "exit" => Done::Exit,
            "shell" => Done::End(Ran::Shell),
            "reboot" => Done::End(Ran::Reboot),
            "poweroff" => Done::End(Ran::PowerOff),
            other => Done::Bad(format!("{other}: command not found")),
        }
    }

    fn boot(&mut self, rest: &[String], body: &mut Body, now: u64) -> Done {
        if let Some((url, args)) = rest.split_first() {
            // `boot URL` is `kernel URL` and `boot` in one; the kernel then starts when it is there.
            let again = Piece { words: vec!["boot".to_owned()], joint: Joint::Always };
            self.line.insert(1.min(self.line.len()), again);
            let purpose = Purpose::Kernel { name: base_name(url), args: args.join(" ") };
            return self.fetch(url, purpose, body, now);
        }
        match self.kernel.take() {
            Some((_, args)) => {
                Done::End(Ran::Kernel(KernelStart { args, initrds: std::mem::take(&mut self.images) }))
            }
            None => Done::Bad("Could not boot: Exec format error (ipxe.org/2e008081)".to_owned()),
        }
    }

    fn fetch(&mut self, url: &str, purpose: Purpose, body: &mut Body, now: u64) -> Done {
        let base = self.sheets.last().map(|s| s.url.clone()).unwrap_or_default();
        let url = resolve(&base, url);
        if !url.starts_with("http://") {
            return Done::Bad(format!("{url}: Operation not supported (ipxe.org/3c092003)"));
        }
        if self.settings.cannot_resolve(&url) {
            return Done::Bad(format!("{url}: Connection timed out (ipxe.org/4c116035)"));
        }
        let reads = matches!(purpose, Purpose::Chain { .. });
        let fetch = Box::new(UrlFetch::start(&url, reads, self.settings.agent, body, now));
        self.doing = Doing::Fetching { fetch, purpose };
        Done::Later
    }

    fn goto(&mut self, label: Option<&String>) -> Done {
        let Some(sheet) = self.sheets.last_mut() else { return Done::Good };
        let label = label.map(String::as_str).unwrap_or_default();
        let found =
            sheet.lines.iter().position(|l| l.trim().strip_prefix(':').is_some_and(|l| l.trim() == label));
        match found {
            Some(at) => {
                sheet.next = at;
                // Whatever else stood on the line is left behind.
                self.line.truncate(1);
                Done::Good
            }
            None => Done::Bad(format!("{label}: no such label")),
        }
    }

    fn free(&mut self, name: Option<&String>) -> Done {
        let Some(name) = name else {
            self.images.clear();
            self.kernel = None;
            return Done::Good;
        };
        let before = self.images.len();
        self.images.retain(|image| image != name);
        let kernel = self.kernel.take_if(|(own, _)| own == name);
        if self.images.len() < before || kernel.is_some() {
            Done::Good
        } else {
            Done::Bad(format!("{name}: no such image"))
        }
    }
}

/// Options in front of the words: name without dashes, and a value where one belongs to it.
fn split_options(words: &[String]) -> (Vec<(&str, String)>, &[String]) {
    let mut options = Vec::new();
    let mut rest = words;
    while let Some((word, after)) = rest.split_first() {
        let name = match word.as_str() {
            "-n" => "name",
            "-t" => "timeout",
            "-r" => "replace",
            "-a" => "autofree",
            long => match long.strip_prefix("--") {
                Some(long) => long,
                None => break,
            },
        };
        if matches!(name, "name" | "timeout" | "delay") {
            let Some((value, after)) = after.split_first() else { break };
            options.push((name, value.clone()));
            rest = after;
        } else {
            options.push((name, String::new()));
            rest = after;
        }
    }
    (options, rest)
}

fn base_name(url: &str) -> String {
    let path = url.split('?').next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

fn truth(holds: bool) -> Done {
    if holds { Done::Good } else { Done::Bad("the condition does not hold".to_owned()) }
}
