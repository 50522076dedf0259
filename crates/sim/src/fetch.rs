//! One GET as iPXE does it: patient with any failed answer that says when to come back.

use bytes::Bytes;

use crate::body::Body;
use crate::download::KEPT;
use crate::http::{HttpEvent, HttpRequest, Method, header};
use crate::step::Step;

/// What a fetch came to.
#[derive(Debug)]
pub(crate) enum UrlFetched {
    /// It goes on.
    Pending,
    /// The content came; its first bytes if they were wanted.
    Done(Vec<u8>),
    /// It did not.
    Failed(String),
}

/// A GET that is under way or waits to be repeated.
#[derive(Debug)]
pub(crate) struct UrlFetch {
    url: String,
    reads_body: bool,
    agent: &'static str,
    id: Option<u64>,
    retry_at: Option<u64>,
    status: u16,
    retry_after: Option<u64>,
    length: Option<u64>,
    bytes: u64,
    content: Vec<u8>,
}

impl UrlFetch {
    /// Asks. `agent` is the User-Agent header.
    pub(crate) fn start(url: &str, reads_body: bool, agent: &'static str, body: &mut Body, now: u64) -> Self {
        let mut fetch = Self {
            url: url.to_owned(),
            reads_body,
            agent,
            id: None,
            retry_at: None,
            status: 0,
            retry_after: None,
            length: None,
            bytes: 0,
            content: Vec::new(),
        };
        fetch.ask(body, now);
        fetch
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) const fn wake_at(&self) -> Option<u64> {
        self.retry_at
    }

    fn ask(&mut self, body: &mut Body, now: u64) {
        let request = HttpRequest {
            id: 0,
            method: Method::Get,
            url: self.url.clone(),
            headers: vec![
                ("User-Agent".to_owned(), self.agent.to_owned()),
                ("Connection".to_owned(), "keep-alive".to_owned()),
            ],
            range_from: None,
            body: Bytes::new(),
            reads_body: self.reads_body,
        };
        (self.retry_at, self.status, self.retry_after, self.length, self.bytes) = (None, 0, None, None, 0);
        self.content.clear();
        self.id = Some(body.ask(request, now));
    }

    pub(crate) fn on_time(&mut self, body: &mut Body, now: u64) {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.ask(body, now);
        }
    }

    /// Takes an event of this machine's HTTP in, if it belongs to this fetch.
    pub(crate) fn on_http(&mut self, body: &mut Body, id: u64, event: &HttpEvent, now: u64) -> UrlFetched {
        if self.id != Some(id) {
            return UrlFetched::Pending;
        }
        match event {
            HttpEvent::Head { status, headers } => {
                self.status = *status;
                let number = |name| header(headers, name).and_then(|v| v.parse().ok());
                self.retry_after = number("Retry-After");
                self.length = number("Content-Length");
                UrlFetched::Pending
            }
            HttpEvent::Data(data) => {
                let room = KEPT.saturating_sub(self.content.len());
                if self.reads_body {
                    self.content.extend(data.iter().take(room));
                }
                self.bytes += u64::try_from(data.len()).unwrap_or_default();
                UrlFetched::Pending
            }
            HttpEvent::Passed(bytes) => {
                self.bytes += bytes;
                UrlFetched::Pending
            }
            HttpEvent::End => self.on_end(body, now),
            HttpEvent::Failed => {
                self.id = None;
                UrlFetched::Failed(format!("{}: connection lost", self.url))
            }
        }
    }

    fn on_end(&mut self, body: &mut Body, now: u64) -> UrlFetched {
        self.id = None;
        if (200..300).contains(&self.status) {
            if self.length.is_some_and(|length| length != self.bytes) {
                return UrlFetched::Failed(format!("{}: cut short after {} bytes", self.url, self.bytes));
            }
            body.note(now, Step::UrlFetched { url: self.url.clone(), bytes: self.bytes });
            return UrlFetched::Done(std::mem::take(&mut self.content));
        }
        // `httpcore.c`: any failed answer with a number in Retry-After is asked again, without a limit.
        if let Some(seconds) = self.retry_after {
            body.note(now, Step::ToldToWait { url: self.url.clone(), seconds });
            self.retry_at = Some(now + seconds * 1000);
            return UrlFetched::Pending;
        }
        UrlFetched::Failed(format!("{}: HTTP {}", self.url, self.status))
    }
}
