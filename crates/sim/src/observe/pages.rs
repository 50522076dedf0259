//! HTTP from the side: what was asked on each connection, what came back, and when it was whole.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use model::{AGENT_HELLO_PATH, AgentReport, Carrier, FileRole, MacAddr, ScriptAnswer, Sight};

use super::MOST;
use super::files::role_of;
use super::glance::Segment;

/// Bytes of a request or a script kept to be read.
const KEPT: usize = 64 * 1024;

/// One connection: client, then server.
type Flow = (SocketAddrV4, SocketAddrV4);

/// A request under way.
#[derive(Debug)]
struct Page {
    mac: MacAddr,
    path: String,
    head: bool,
    /// What the client sent so far, while it is worth reading.
    sent: Vec<u8>,
    /// Sequence number of the answer's first byte.
    began: Option<u32>,
    /// Bytes of the answer so far, by the furthest sequence number.
    came: u64,
    status: u16,
    header: u64,
    size: Option<u64>,
    /// The beginning of the answer, while it is worth reading.
    content: Vec<u8>,
    told: bool,
}

#[derive(Debug, Default)]
pub(super) struct Pages(BTreeMap<Flow, Page>);

impl Pages {
    pub(super) fn take(
        &mut self,
        tcp: &Segment<'_>,
        holder: impl Fn(Ipv4Addr) -> Option<MacAddr>,
    ) -> Vec<(MacAddr, Sight)> {
        let (asks, answers) = ((tcp.from, tcp.to), (tcp.to, tcp.from));
        if let Some(page) = self.0.get_mut(&answers) {
            let mac = page.mac;
            let mut sights = page.answer(tcp);
            if tcp.ends && !tcp.opens {
                sights.extend(page.broken());
            }
            if tcp.ends || page.is_over() {
                self.0.remove(&answers);
            }
            return sights.into_iter().map(|sight| (mac, sight)).collect();
        }
        if let Some(path) = requested(tcp.payload)
            && let Some(mac) = holder(*tcp.from.ip())
            && self.0.len() < MOST
        {
            let page = Page::new(mac, path, tcp.payload);
            let mut sights: Vec<_> = page.reported().into_iter().collect();
            // What came before on this connection is over, whatever was kept of its length.
            sights.extend(self.0.insert(asks, page).and_then(|before| before.broken()));
            return sights.into_iter().map(|sight| (mac, sight)).collect();
        }
        if let Some(page) = self.0.get_mut(&asks) {
            let mac = page.mac;
            page.hear(tcp.payload);
            let mut sights: Vec<_> = page.reported().into_iter().collect();
            if tcp.ends {
                sights.extend(page.broken());
                self.0.remove(&asks);
            }
            return sights.into_iter().map(|sight| (mac, sight)).collect();
        }
        Vec::new()
    }
}

impl Pages {
    /// Another program took over this machine: what it was fetching is over.
    pub(super) fn close_of(&mut self, mac: MacAddr) -> Vec<Sight> {
        let closed: Vec<Flow> =
            self.0.iter().filter(|(_, page)| page.mac == mac).map(|(flow, _)| *flow).collect();
        closed.iter().filter_map(|flow| self.0.remove(flow)?.broken()).collect()
    }
}

/// The path of a request's first line; whatever is there of it in a cut frame.
fn requested(payload: &[u8]) -> Option<(String, bool)> {
    let line = payload.split(|byte| *byte == b'\r').next()?;
    let mut words = line.split(|byte| *byte == b' ');
    let head = match words.next()? {
        b"HEAD" => true,
        b"GET" | b"POST" => false,
        _ => return None,
    };
    let path = String::from_utf8_lossy(words.next()?).into_owned();
    path.starts_with('/').then_some((path, head))
}

impl Page {
    fn new(mac: MacAddr, (path, head): (String, bool), request: &[u8]) -> Self {
        let sent = request.get(..KEPT).unwrap_or(request).to_vec();
        Self {
            mac,
            path,
            head,
            sent,
            began: None,
            came: 0,
            status: 0,
            header: 0,
            size: None,
            content: Vec::new(),
            told: false,
        }
    }

    fn hear(&mut self, payload: &[u8]) {
        let room = KEPT.saturating_sub(self.sent.len());
        self.sent.extend(payload.iter().take(room));
    }

    /// An agent's report, once it is whole.
    fn reported(&self) -> Option<Sight> {
        if self.path != AGENT_HELLO_PATH || self.told {
            return None;
        }
        let at = self.sent.windows(4).position(|four| four == b"\r\n\r\n")?;
        let report: AgentReport = serde_json::from_slice(self.sent.get(at + 4..)?).ok()?;
        Some(Sight::Agent { report: Arc::new(report) })
    }

    /// True for a script by its name; ours lie in `/boot/`, and a cut name may have lost its end.
    fn is_script(&self) -> bool {
        self.path.starts_with("/boot/") || role_of(&self.name()) == FileRole::Script
    }

    fn name(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        path.rsplit('/').next().unwrap_or_default().to_owned()
    }

    fn answer(&mut self, tcp: &Segment<'_>) -> Vec<Sight> {
        if tcp.length == 0 || tcp.opens {
            return Vec::new();
        }
        let began = *self.began.get_or_insert(tcp.sequence);
        let offset = u64::from(tcp.sequence.wrapping_sub(began));
        // What lies behind the beginning is of an earlier answer; distances above half of all numbers are behind.
        if offset > u64::from(u32::MAX / 2) {
            return Vec::new();
        }
        if offset == self.came {
            let room = KEPT.saturating_sub(self.content.len());
            self.content.extend(tcp.payload.iter().take(room));
        }
        self.came = self.came.max(offset + u64::from(tcp.length));
        self.read_head();
        self.tell()
    }

    fn read_head(&mut self) {
        if self.status != 0 {
            return;
        }
        let Some(line) = self.content.strip_prefix(b"HTTP/1.") else { return };
        let digits = line.get(2..5).and_then(|d| std::str::from_utf8(d).ok());
        self.status = digits.and_then(|d| d.parse().ok()).unwrap_or(0);
        let end = self.content.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        let head = self.content.get(..end.unwrap_or(self.content.len())).unwrap_or_default();
        self.header = u64::try_from(end.unwrap_or(0)).unwrap_or(0);
        for line in String::from_utf8_lossy(head).lines() {
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                self.size = value.trim().parse().ok();
            }
        }
    }

    /// Bytes of content so far.
    fn moved(&self) -> u64 {
        self.came.saturating_sub(self.header)
    }

    fn is_over(&self) -> bool {
        let whole = self.size.is_some_and(|size| self.moved() >= size);
        self.status != 0 && (self.head || self.status >= 300 || whole)
    }

    fn tell(&mut self) -> Vec<Sight> {
        let name = self.name();
        if self.status == 503 && !std::mem::replace(&mut self.told, true) {
            return vec![Sight::Deferred { name }];
        }
        if self.head || !(200..300).contains(&self.status) || self.path.starts_with("/agent/") {
            return Vec::new();
        }
        let body = match usize::try_from(self.header) {
            // The end of the head was not kept, and so nothing behind it.
            Ok(0) | Err(_) => &[],
            Ok(header) => self.content.get(header..).unwrap_or_default(),
        };
        if body.starts_with(b"#!ipxe") || self.is_script() {
            // Of a cut answer no more will be known than that it came.
            let readable = self.size.is_some() && !self.is_over();
            if readable || std::mem::replace(&mut self.told, true) {
                return Vec::new();
            }
            return vec![Sight::ScriptAsked { answer: read_script(body) }];
        }
        let mut sights = Vec::new();
        let size = self.size.unwrap_or(0);
        if !std::mem::replace(&mut self.told, true) {
            let role = role_of(&name);
            sights.push(Sight::FileAsked { role, name: name.clone(), carrier: Carrier::Http, size });
        }
        if self.is_over() {
            sights.push(Sight::FileServed { name, bytes: size, repeats: 0 });
        }
        sights
    }

    /// The connection ended before everything was there.
    fn broken(&self) -> Option<Sight> {
        let unfinished = self.told && (200..300).contains(&self.status) && !self.is_over();
        let (name, bytes) = (self.name(), self.moved());
        let file = unfinished && !self.is_script();
        // A file whose length was never told is whole when the server closes.
        if file && self.size.is_none() {
            return Some(Sight::FileServed { name, bytes, repeats: 0 });
        }
        file.then(|| Sight::FileBroken { name, bytes, why: "the connection ended".to_owned() })
    }
}

/// What a script says, where it is one of ours; any other boots something. One that was cut is taken to wait: if it
/// did not, the image that follows shows it.
fn read_script(body: &[u8]) -> ScriptAnswer {
    let text = String::from_utf8_lossy(body);
    if text.is_empty() {
        return ScriptAnswer::Wait;
    }
    if text.contains("is not on the board") {
        ScriptAnswer::Stranger
    } else if text.lines().any(|line| line.starts_with("sleep ")) {
        ScriptAnswer::Wait
    } else {
        ScriptAnswer::Boot
    }
}
