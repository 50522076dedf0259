//! A live image that waits in memory, as our agent does (`crates/agent/src/park`): it asks as our loader does, judges the
//! answer with the same code, and starts what it was given without firmware.

use std::collections::VecDeque;

use bytes::Bytes;
use model::{AgentKey, ParkOrder};
use ring::signature::{ED25519, UnparsedPublicKey};
use wire::loader::{
    ASK_PATH, Answer, Ask, Asked, Medium, Nonce, Order, Piece, Plan, Trust, WORD_PATH, Word, judge,
};

use crate::body::{Body, Input, KernelStart, Next};
use crate::http::{HttpEvent, HttpRequest, Method};
use crate::manners::Manner;
use crate::step::Step;

/// A question that may wait is held so long at most.
const HOLD_MS: u64 = 20_000;
/// After something went wrong, and between answers that were not held.
const PAUSE_MS: u64 = 1_000;
/// How long an answer may take.
const PATIENCE_MS: u64 = 30_000;

#[derive(Debug)]
enum Work {
    /// The next question is due.
    Due(u64),
    /// A question, or a file, is under way.
    Sent { id: u64, what: What, since: u64, status: u16, content: Vec<u8> },
}

#[derive(Debug)]
enum What {
    Question(Nonce),
    /// Files that are still to come, the first of them now.
    Files(Plan, VecDeque<Piece>),
    /// The last word before the kernel is entered.
    Starts(Plan),
}

/// It waits.
#[derive(Debug)]
pub(crate) struct Parked {
    lab_key: AgentKey,
    base: String,
    /// When it switches itself off; none once it is to start something.
    off_at: Option<u64>,
    least: u64,
    answered: u32,
    held: bool,
    work: Work,
}

impl Parked {
    /// It was ordered to leave its run.
    pub(crate) fn begin(order: ParkOrder, base: &str, body: &mut Body, now: u64) -> Self {
        body.note(now, Step::ToldToPark);
        Self {
            lab_key: order.lab_key,
            base: base.to_owned(),
            off_at: Some(now + u64::from(order.seconds) * 1000),
            least: 0,
            answered: 0,
            held: false,
            work: Work::Due(now),
        }
    }

    pub(crate) fn wake_at(&self) -> Option<u64> {
        let own = match &self.work {
            Work::Due(at) => *at,
            Work::Sent { since, .. } => since + PATIENCE_MS,
        };
        Some(self.off_at.map_or(own, |off| off.min(own)))
    }

    pub(crate) fn take(&mut self, body: &mut Body, input: &Input<'_>, now: u64) -> Next {
        if self.off_at.is_some_and(|at| at <= now) {
            return Next::ShutDown;
        }
        match (&mut self.work, input) {
            (Work::Due(at), Input::Time) if *at <= now => self.ask(body, now),
            (Work::Sent { since, .. }, Input::Time) if *since + PATIENCE_MS <= now => {
                self.again(now);
            }
            (Work::Sent { id, status, content, .. }, Input::Http(of, event)) if id == of => match event {
                HttpEvent::Head { status: told, .. } => *status = *told,
                HttpEvent::Data(data) => content.extend_from_slice(data),
                HttpEvent::Passed(_) => {}
                HttpEvent::Failed => self.again(now),
                HttpEvent::End => return self.ended(body, now),
            },
            _ => {}
        }
        Next::Stay
    }

    fn again(&mut self, now: u64) {
        (self.held, self.work) = (false, Work::Due(now + PAUSE_MS));
    }

    fn ask(&mut self, body: &mut Body, now: u64) {
        let mut nonce = [0; 16];
        let random = [body.dice.next().to_le_bytes(), body.dice.next().to_le_bytes()].concat();
        nonce.iter_mut().zip(random).for_each(|(to, from)| *to = from);
        let left = self.off_at.map_or(HOLD_MS, |off| off.saturating_sub(now).min(HOLD_MS));
        let ask = Ask {
            nonce: Nonce(nonce),
            macs: vec![body.config.mac],
            uuid: None,
            serial: None,
            firmware: "simulated".to_owned(),
            loader: env!("CARGO_PKG_VERSION").to_owned(),
            medium: Medium::Image,
            number: self.answered + 1,
            hold: if self.held { u16::try_from(left / 1000).unwrap_or_default() } else { 0 },
        };
        self.send(What::Question(ask.nonce), (Method::Post, ASK_PATH, ask.text()), (body, now));
    }

    fn send(
        &mut self,
        what: What,
        (method, path, text): (Method, &str, String),
        (body, now): (&mut Body, u64),
    ) {
        let reads_body = matches!(what, What::Question(_));
        let url = format!("{}{path}", self.base);
        let headers = Vec::new();
        let request = HttpRequest {
            id: 0,
            method,
            url,
            headers,
            range_from: None,
            body: Bytes::from(text),
            reads_body,
        };
        let id = body.ask(request, now);
        self.work = Work::Sent { id, what, since: now, status: 0, content: Vec::new() };
    }

    /// An answer is whole.
    fn ended(&mut self, body: &mut Body, now: u64) -> Next {
        let Work::Sent { what, since, status, content, .. } =
            std::mem::replace(&mut self.work, Work::Due(now))
        else {
            return Next::Stay;
        };
        if let What::Starts(plan) = what {
            return Self::jump(&plan, body);
        }
        if status != 200 {
            self.again(now);
            return Next::Stay;
        }
        match what {
            What::Question(nonce) => {
                let macs = [body.config.mac];
                let asked = Asked { nonce, macs: &macs, elapsed_ms: now.saturating_sub(since) };
                let trust = Trust { lab_key: Some(self.lab_key.0), least: self.least };
                match judge(&content, &asked, trust, check) {
                    Ok(judged) => {
                        (self.least, self.answered) = (judged.number, self.answered + 1);
                        return self.follow(&judged.answer, since, (body, now));
                    }
                    Err(_) => self.again(now),
                }
            }
            What::Files(plan, mut left) => {
                left.pop_front();
                self.fetch(plan, left, (body, now));
            }
            What::Starts(_) => {}
        }
        Next::Stay
    }

    fn follow(&mut self, answer: &Answer, since: u64, (body, now): (&mut Body, u64)) -> Next {
        match &answer.order {
            Order::Boot(plan) => {
                self.off_at = None;
                let all = std::iter::once(&plan.kernel).chain(&plan.initrd).cloned().collect();
                self.fetch(plan.clone(), all, (body, now));
                Next::Stay
            }
            Order::Wait { off_seconds, .. } => {
                if let Some(seconds) = off_seconds {
                    self.off_at = Some(since + u64::from(*seconds) * 1000);
                }
                let was_held = now.saturating_sub(since) >= PAUSE_MS;
                (self.held, self.work) = (true, Work::Due(if was_held { now } else { now + PAUSE_MS }));
                Next::Stay
            }
            Order::Disk => Next::Reset,
        }
    }

    /// Fetches the next file, or says the last word.
    fn fetch(&mut self, plan: Plan, left: VecDeque<Piece>, (body, now): (&mut Body, u64)) {
        if let Some(path) = left.front().map(|piece| piece.path.clone()) {
            return self.send(What::Files(plan, left), (Method::Get, &path, String::new()), (body, now));
        }
        let text = Word::start(body.config.mac, "simulated agent: starts by kexec".to_owned()).body();
        self.send(What::Starts(plan), (Method::Post, WORD_PATH, text), (body, now));
    }

    fn jump(plan: &Plan, body: &Body) -> Next {
        if body.manners.has(Manner::KexecHangs) {
            return Next::Hang("kexec: a device does not survive it");
        }
        let initrds = plan.initrd.iter().map(|piece| piece.name().to_owned()).collect();
        Next::Kernel(KernelStart { args: plan.args.clone(), initrds })
    }
}

fn check(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok()
}
