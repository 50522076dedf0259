//! iPXE from its banner to the kernel it starts.
//!
//! ```text
//!  Init ─▶ autoexec.ipxe? ─no─▶ Banner ─▶ Configure (DHCP, router, DHCPv6: all) ─▶ Fetch ─▶ Script ─▶ kernel
//!                └──yes──────────────────────────────────────────────────────────────────────▲
//!  any failure: back to the firmware
//! ```

mod router;
mod script;
mod settings;
mod words;

use std::net::{IpAddr, Ipv4Addr};

use wire::dhcp::OptionCode;

use crate::body::{Body, Datagram, Handover, Input, KernelStart, Next, Source};
use crate::config::Ipxe;
use crate::download::{Download, Fetched, Style};
use crate::exchange::{Exchange, Lease, Verdict};
use crate::fetch::{UrlFetch, UrlFetched};
use crate::http::resolve;
use crate::manners::Manner;
use crate::program::Program;
use crate::step::Step;
use router::RouterWait;
use script::{Ran, Script};
use settings::Settings;

/// `BANNER_TIMEOUT` 20 tenths; shown unless a script is there at the start.
const BANNER_MS: u64 = 2000;

const fn user_agent(version: Ipxe) -> &'static str {
    match version {
        Ipxe::Of2019 => "iPXE/1.0.0+git-20190125.36a4c85-5.1",
        Ipxe::Of2025 => "iPXE/2.0.0",
    }
}

#[derive(Debug)]
enum State {
    Init { until: u64 },
    Autoexec { files: Vec<String>, by: AutoexecBy },
    Banner { until: u64 },
    Configure { exchange: Exchange, four: Four, router: RouterWait },
    FileByTftp { download: Box<Download>, name: String, settings: Settings },
    FileByHttp { fetch: Box<UrlFetch>, settings: Settings },
    Script(Box<Script>),
}

#[derive(Debug)]
enum AutoexecBy {
    Tftp(Box<Download>),
    Http(Box<UrlFetch>),
}

/// What DHCP over IPv4 came to.
#[derive(Debug)]
enum Four {
    Asked,
    Bound(Box<Lease>),
    Unanswered,
}

/// A running iPXE.
#[derive(Debug)]
pub(crate) struct Loader {
    version: Ipxe,
    uefi: bool,
    inherited: Option<Handover>,
    /// A router named itself as name server, which iPXE of 2019 prefers to DHCP's.
    foreign_resolver: bool,
    state: State,
}

impl Loader {
    /// Starts, as a ROM without anything inherited or as a file the firmware fetched.
    pub(crate) fn start(body: &mut Body, version: Ipxe, inherited: Option<Handover>, now: u64) -> Self {
        body.note(now, Step::LoaderStarted);
        body.print("iPXE initialising devices...");
        body.runs_burnt_in = inherited.is_none();
        body.hand_over_card(inherited.as_ref().is_some_and(Handover::has_own_driver), now);
        // Finding the card and taking it over from the firmware.
        let until = now + body.dice.between(200, 700);
        let uefi = inherited.as_ref().is_some_and(|handover| handover.uefi);
        Self { version, uefi, inherited, foreign_resolver: false, state: State::Init { until } }
    }

    pub(crate) fn wake_at(&self) -> Option<u64> {
        match &self.state {
            State::Init { until } | State::Banner { until } => Some(*until),
            State::Autoexec { by: AutoexecBy::Tftp(download), .. } => download.wake_at(),
            State::Autoexec { by: AutoexecBy::Http(fetch), .. } => fetch.wake_at(),
            State::Configure { exchange, router, .. } => {
                [exchange.wake_at(), router.wake_at()].into_iter().flatten().min()
            }
            State::FileByTftp { download, .. } => download.wake_at(),
            State::FileByHttp { fetch, .. } => fetch.wake_at(),
            State::Script(script) => script.wake_at(),
        }
    }

    pub(crate) fn take(&mut self, body: &mut Body, input: &Input<'_>, now: u64) -> Next {
        match input {
            Input::Time => self.on_time(body, now),
            Input::Udp(udp) => self.on_udp(body, udp, now),
            Input::Http(id, event) => match &mut self.state {
                State::Autoexec { by: AutoexecBy::Http(fetch), .. } => {
                    let fetched = fetch.on_http(body, *id, event, now);
                    self.after_autoexec_url(fetched, body, now)
                }
                State::FileByHttp { fetch, .. } => {
                    let fetched = fetch.on_http(body, *id, event, now);
                    self.after_url(fetched, body, now)
                }
                State::Script(script) => {
                    let ran = script.on_http(body, *id, event, now);
                    self.after_script(ran, body, now)
                }
                _ => Next::Stay,
            },
            Input::Router(router) => {
                self.foreign_resolver |= !router.name_servers.is_empty();
                if let State::Configure { router: wait, .. } = &mut self.state {
                    wait.on_router(router, body, now);
                }
                self.finish_configuring(body, now)
            }
        }
    }

    fn on_time(&mut self, body: &mut Body, now: u64) -> Next {
        match &mut self.state {
            State::Init { until } if *until <= now => {
                let own_driver = self.inherited.as_ref().is_none_or(Handover::has_own_driver);
                let no_link = own_driver && body.manners.has(Manner::NativeDriverFails);
                if no_link || body.manners.has(Manner::HangsInLoader) {
                    return Next::Hang("iPXE initialising devices");
                }
                self.look_for_autoexec(body, now)
            }
            State::Banner { until } if *until <= now => {
                body.print("Configuring (net0)...");
                let program = Program::Ipxe { version: self.version, uefi: self.uefi };
                let exchange = Exchange::start(program, body, now);
                let router = RouterWait::start(self.version, program, body, now);
                self.state = State::Configure { exchange, four: Four::Asked, router };
                Next::Stay
            }
            State::Init { .. } | State::Banner { .. } => Next::Stay,
            State::Autoexec { by: AutoexecBy::Tftp(download), .. } => {
                let fetched = download.on_time(body, now);
                self.after_autoexec(fetched, body, now)
            }
            State::Autoexec { by: AutoexecBy::Http(fetch), .. } => {
                fetch.on_time(body, now);
                Next::Stay
            }
            State::Configure { exchange, router, .. } => {
                router.on_time(body, now);
                let verdict = exchange.on_time(body, now);
                self.after_dhcp(verdict, body, now)
            }
            State::FileByTftp { download, .. } => {
                let fetched = download.on_time(body, now);
                self.after_file(fetched, body, now)
            }
            State::FileByHttp { fetch, .. } => {
                fetch.on_time(body, now);
                Next::Stay
            }
            State::Script(script) => {
                let ran = script.on_time(body, now);
                self.after_script(ran, body, now)
            }
        }
    }

    fn on_udp(&mut self, body: &mut Body, udp: &Datagram<'_>, now: u64) -> Next {
        match &mut self.state {
            State::Autoexec { by: AutoexecBy::Tftp(download), .. } => {
                let fetched = download.on_udp(body, udp, now);
                self.after_autoexec(fetched, body, now)
            }
            State::Configure { exchange, router, .. } => {
                router.on_udp(body, udp, now);
                let verdict = exchange.on_udp(body, udp, now);
                self.after_dhcp(verdict, body, now)
            }
            State::FileByTftp { download, .. } => {
                let fetched = download.on_udp(body, udp, now);
                self.after_file(fetched, body, now)
            }
            _ => Next::Stay,
        }
    }

    /// iPXE 2.0 under UEFI asks for a script beside its own file, and in the root, with the firmware's
    /// lease and before it takes the card over (`efi_autoexec.c`).
    fn look_for_autoexec(&mut self, body: &mut Body, now: u64) -> Next {
        let inherited = self.inherited.as_ref().filter(|_| self.uefi && self.version == Ipxe::Of2025);
        let inherited = inherited.filter(|handover| handover.address.is_some());
        let Some(handover) = inherited else { return self.show_banner(body, now) };
        body.address = handover.address;
        match handover.source.clone() {
            Source::Tftp { file, server } => {
                if let Some(mac) = handover.server_mac {
                    body.meet(server, mac);
                }
                let folder = file.rfind('/').map_or("", |at| file.get(..=at).unwrap_or_default());
                let mut files = vec!["/autoexec.ipxe".to_owned()];
                if !matches!(folder, "" | "/") {
                    files.push(format!("{folder}autoexec.ipxe"));
                }
                self.next_autoexec(files, server, body, now)
            }
            Source::Http(url) => {
                let url = resolve(&url, "autoexec.ipxe");
                let fetch = UrlFetch::start(&url, true, user_agent(self.version), body, now);
                let by = AutoexecBy::Http(Box::new(fetch));
                self.state = State::Autoexec { files: Vec::new(), by };
                Next::Stay
            }
        }
    }

    fn next_autoexec(&mut self, mut files: Vec<String>, server: IpAddr, body: &mut Body, now: u64) -> Next {
        let Some(file) = files.pop() else { return self.show_banner(body, now) };
        let download = Download::start(Style::Ipxe, server, &file, body, now);
        self.state = State::Autoexec { files, by: AutoexecBy::Tftp(Box::new(download)) };
        Next::Stay
    }

    fn after_autoexec(&mut self, fetched: Fetched, body: &mut Body, now: u64) -> Next {
        match fetched {
            Fetched::Pending => Next::Stay,
            Fetched::Done(content) if !content.is_empty() => self.run_autoexec(&content, body, now),
            Fetched::Failed(_) if body.manners.has(Manner::StopsWithoutAutoexec) => {
                Next::Hang("autoexec.ipxe was refused")
            }
            Fetched::Done(_) | Fetched::Failed(_) => {
                let State::Autoexec { files, .. } = &mut self.state else { return Next::Stay };
                let files = std::mem::take(files);
                let server = match self.inherited.as_ref().map(|h| &h.source) {
                    Some(Source::Tftp { server, .. }) => *server,
                    _ => return self.show_banner(body, now),
                };
                self.next_autoexec(files, server, body, now)
            }
        }
    }

    fn after_autoexec_url(&mut self, fetched: UrlFetched, body: &mut Body, now: u64) -> Next {
        match fetched {
            UrlFetched::Pending => Next::Stay,
            UrlFetched::Done(content) if !content.is_empty() => self.run_autoexec(&content, body, now),
            UrlFetched::Failed(_) if body.manners.has(Manner::StopsWithoutAutoexec) => {
                Next::Hang("autoexec.ipxe was refused")
            }
            UrlFetched::Done(_) | UrlFetched::Failed(_) => self.show_banner(body, now),
        }
    }

    fn run_autoexec(&mut self, content: &[u8], body: &mut Body, now: u64) -> Next {
        let Some(handover) = &self.inherited else { return Next::Stay };
        let (base, next_server) = match &handover.source {
            Source::Tftp { server, .. } => (format!("tftp://{server}/autoexec.ipxe"), Some(*server)),
            Source::Http(url) => (resolve(url, "autoexec.ipxe"), None),
        };
        let next_server = match next_server {
            Some(IpAddr::V4(server)) => server,
            Some(IpAddr::V6(_)) | None => Ipv4Addr::UNSPECIFIED,
        };
        let address = handover.address.unwrap_or(Ipv4Addr::UNSPECIFIED);
        let settings = Settings { address, next_server, ..self.settings() };
        self.run_script((&base, content), settings, body, now)
    }

    fn settings(&self) -> Settings {
        Settings {
            address: Ipv4Addr::UNSPECIFIED,
            next_server: Ipv4Addr::UNSPECIFIED,
            dhcp_server: Ipv4Addr::UNSPECIFIED,
            file: String::new(),
            uefi: self.uefi,
            version: self.version,
            agent: user_agent(self.version),
            dead_resolver: self.version == Ipxe::Of2019 && self.foreign_resolver,
        }
    }

    fn show_banner(&mut self, body: &mut Body, now: u64) -> Next {
        body.forget_network();
        body.print(format!("{} -- Open Source Network Boot Firmware", user_agent(self.version)));
        self.state = State::Banner { until: now + BANNER_MS };
        Next::Stay
    }

    fn after_dhcp(&mut self, verdict: Verdict, body: &mut Body, now: u64) -> Next {
        match verdict {
            Verdict::Pending => {}
            Verdict::Bound(bound) => {
                if let State::Configure { four, .. } = &mut self.state {
                    *four = Four::Bound(bound);
                }
            }
            Verdict::GaveUp => {
                if let State::Configure { four, .. } = &mut self.state {
                    *four = Four::Unanswered;
                }
            }
        }
        self.finish_configuring(body, now)
    }

    /// `ifconf` waits for every configurator, so the slowest of DHCP, router and DHCPv6 counts; one that succeeded is
    /// enough.
    fn finish_configuring(&mut self, body: &mut Body, now: u64) -> Next {
        let State::Configure { four, router, .. } = &self.state else { return Next::Stay };
        if !router.is_over() {
            return Next::Stay;
        }
        let told6 = router.lease().map(|lease| lease.url.clone().unwrap_or_default());
        let settings = match (four, told6) {
            (Four::Asked, _) => return Next::Stay,
            (Four::Unanswered, None) => return fail("No configuration methods succeeded", body, now),
            (Four::Unanswered, Some(url)) => Settings { file: url, ..self.settings() },
            (Four::Bound(lease), told6) => {
                let boot = &lease.boot;
                let file = match boot.options.text(OptionCode::BOOT_FILE) {
                    Some(name) if !name.is_empty() => name.to_owned(),
                    _ => String::from_utf8_lossy(&boot.file).into_owned(),
                };
                let file = if file.is_empty() { told6.unwrap_or_default() } else { file };
                let (address, next_server, dhcp_server) = (lease.address, boot.siaddr, lease.server);
                Settings { address, next_server, dhcp_server, file, ..self.settings() }
            }
        };
        self.fetch_boot_file(settings, body, now)
    }

    fn fetch_boot_file(&mut self, settings: Settings, body: &mut Body, now: u64) -> Next {
        let file = settings.file.clone();
        if file.is_empty() {
            return fail("Nothing to boot: No such file or directory (ipxe.org/2d03e13b)", body, now);
        }
        body.print(format!("Filename: {file}"));
        if file.contains("://") {
            if body.runs_burnt_in && body.manners.has(Manner::IpxeLacksHttp) {
                return fail("Operation not supported (ipxe.org/3c092003)", body, now);
            }
            if settings.cannot_resolve(&file) {
                return fail("Connection timed out (ipxe.org/4c116035)", body, now);
            }
            let fetch = Box::new(UrlFetch::start(&file, true, settings.agent, body, now));
            self.state = State::FileByHttp { fetch, settings };
        } else {
            let download = Download::start(Style::Ipxe, settings.next_server.into(), &file, body, now);
            self.state = State::FileByTftp { download: Box::new(download), name: file, settings };
        }
        Next::Stay
    }

    fn after_file(&mut self, fetched: Fetched, body: &mut Body, now: u64) -> Next {
        let State::FileByTftp { name, settings, .. } = &self.state else { return Next::Stay };
        match fetched {
            Fetched::Pending => Next::Stay,
            Fetched::Failed(why) => fail(&why, body, now),
            Fetched::Done(content) if is_script(&content) => {
                let base = format!("tftp://{}/{name}", settings.next_server);
                let settings = settings.clone();
                self.run_script((&base, &content), settings, body, now)
            }
            // The server took iPXE for bare firmware: it loads itself once more.
            Fetched::Done(_) => Next::Loader(Handover {
                address: Some(settings.address),
                source: Source::Tftp { server: settings.next_server.into(), file: name.clone() },
                server_mac: body.mac_of(settings.next_server.into()),
                uefi: self.uefi,
            }),
        }
    }

    fn after_url(&mut self, fetched: UrlFetched, body: &mut Body, now: u64) -> Next {
        let State::FileByHttp { fetch, settings } = &self.state else { return Next::Stay };
        match fetched {
            UrlFetched::Pending => Next::Stay,
            UrlFetched::Failed(why) => fail(&why, body, now),
            UrlFetched::Done(content) if is_script(&content) => {
                let (base, settings) = (fetch.url().to_owned(), settings.clone());
                self.run_script((&base, &content), settings, body, now)
            }
            UrlFetched::Done(_) if self.uefi => {
                Next::Kernel(KernelStart { args: String::new(), initrds: Vec::new() })
            }
            UrlFetched::Done(_) => fail("Exec format error (ipxe.org/2e008081)", body, now),
        }
    }

    fn run_script(
        &mut self,
        (base, content): (&str, &[u8]),
        settings: Settings,
        body: &mut Body,
        now: u64,
    ) -> Next {
        let text = String::from_utf8_lossy(content);
        if !is_script(content) {
            return fail("Exec format error (ipxe.org/2e008081)", body, now);
        }
        let mut script = Script::start(base, &text, settings, body, now);
        let ran = script.go_on(body, now);
        self.state = State::Script(Box::new(script));
        self.after_script(ran, body, now)
    }

    fn after_script(&mut self, ran: Ran, body: &mut Body, now: u64) -> Next {
        // A router may come up while a script runs, and its names then hold for the script too.
        if let State::Script(script) = &mut self.state {
            script.set_dead_resolver(self.version == Ipxe::Of2019 && self.foreign_resolver);
        }
        match ran {
            Ran::OnItsWay => Next::Stay,
            Ran::Kernel(start) => Next::Kernel(start),
            Ran::Ended => Next::GaveUp,
            Ran::Failed(why) => fail(&why, body, now),
            Ran::Shell => Next::Hang("iPXE shell"),
            Ran::Reboot => Next::Reset,
            Ran::PowerOff => Next::ShutDown,
        }
    }
}

fn is_script(content: &[u8]) -> bool {
    content.starts_with(b"#!ipxe")
}

fn fail(why: &str, body: &mut Body, now: u64) -> Next {
    body.print(why);
    body.note(now, Step::Failed(why.to_owned()));
    Next::GaveUp
}
