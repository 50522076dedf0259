//! The one task that changes the lab: drain, absorb, decide, write down, issue, publish. `compaction.rs` keeps its journal
//! short.
//!
//! ```text
//!  inputs ─▶ absorb each ─▶ settle ─▶ intents synced ─▶ wishes to the hands, answers to the desk
//!                                          └─▶ boot table to the counter, picture to the readers
//! ```

mod compaction;

use std::sync::Arc;
use std::time::Duration;

use api::Accepted;
use lifecycle::{Judge, Judgment, Lab, Touched, Verdict, absorb, admit, keeping};
use model::{BootTable, Command, CommandId, Event, Fact, Keeping, LabSpec, Moment, Outcome};
use store::log::Synced;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::bulletin::Bulletin;
use crate::clock::Clock;
use crate::desk::{Desk, DeskError, INPUTS_WAITING, Input, Look, Question};
use crate::journal::{Journal, Past};
use crate::picture::Picture;
use crate::publisher::Publisher;

/// Longest time a sighting stays unsynced.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// Inputs taken in one round at most, so that a flood cannot keep the picture from being shown.
const ROUND: usize = 256;
/// Pause before a disk that refused is asked again.
const AFTER_REFUSAL: Duration = Duration::from_secs(1);

/// What the conductor works with.
#[derive(Debug)]
pub struct Tools {
    /// Where events are written.
    pub journal: Journal,
    /// What the journal held.
    pub past: Past,
    /// The time.
    pub clock: Clock,
    /// The lab as its owner describes it now.
    pub spec: LabSpec,
    /// Tells this core from the ones before and after it.
    pub epoch: String,
    /// Wishes to the drivers. Must hold one per machine.
    pub hands: mpsc::Sender<(CommandId, Command)>,
}

/// The conductor, ready to run.
#[derive(Debug)]
pub struct Conductor {
    lab: Lab,
    clock: Clock,
    epoch: String,
    journal: Journal,
    seq: u64,
    judge: Judge,
    wake_at: Option<Instant>,
    hands: mpsc::Sender<(CommandId, Command)>,
    inputs: mpsc::Receiver<Input>,
    bulletin: Bulletin,
    publisher: Arc<Publisher>,
    picture: Picture,
    news: Vec<Arc<Event>>,
    /// Answers that wait until their intent is safe on disk.
    answers: Vec<(oneshot::Sender<Result<Accepted, DeskError>>, Accepted)>,
    issued: Vec<(CommandId, Command)>,
    /// Questions that wait until what came with them was thought through.
    questions: Vec<Question>,
    /// What the disk said when it last refused.
    disk: Option<String>,
    /// Not before then is another compaction tried, after one that failed.
    compact_at: Option<Instant>,
}

impl Conductor {
    /// Rebuilds the lab from the journal, records that a core began, and opens the desk.
    #[must_use]
    pub fn new(tools: Tools) -> (Self, Desk, watch::Receiver<Arc<BootTable>>) {
        let Tools { journal, past, clock, spec, epoch, hands } = tools;
        let started = Fact::CoreStarted {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            spec: Box::new(spec.clone()),
            kernel: clock.kernel().to_owned(),
            boottime_ms: clock.boottime_ms(),
        };
        let Past { lab, through: seq, events, .. } = past;
        let lab = lab.unwrap_or_else(|| Lab::new(spec));
        let (sender, inputs) = mpsc::channel(INPUTS_WAITING);
        let bulletin = Bulletin::new(&lab);
        let published = bulletin.subscribe();
        let picture = Picture::new(&lab);
        let publisher = Publisher::new(picture.blank(&epoch, seq, clock.now()), events);
        let desk = Desk::new(sender, Arc::clone(&publisher));
        let mut conductor = Self {
            lab,
            clock,
            epoch,
            journal,
            seq,
            judge: Judge::new(),
            wake_at: None,
            hands,
            inputs,
            bulletin,
            publisher,
            picture,
            news: Vec::new(),
            answers: Vec::new(),
            issued: Vec::new(),
            questions: Vec::new(),
            disk: None,
            compact_at: None,
        };
        let now = conductor.clock.now();
        conductor.begin(started, now);
        // Who asks first sees every machine, and a counter that is away until it has said hello.
        conductor.show();
        (conductor, desk, published)
    }

    /// Goes on until it is told to close, or every desk is gone.
    pub async fn run(mut self) {
        let mut flush_at: Option<Instant> = None;
        let mut flush: Option<JoinHandle<Synced>> = None;
        let mut compaction = None;
        let mut picture_at = Instant::now();
        loop {
            while self.round().await {}
            for question in std::mem::take(&mut self.questions) {
                question.answer(Look { lab: &self.lab, waits: self.judge.waits(), now: self.clock.now() });
            }
            if self.journal.is_unsynced() && flush_at.is_none() && flush.is_none() {
                flush_at = Some(Instant::now() + FLUSH_EVERY);
            }
            if compaction.is_none() {
                compaction = self.begin_compaction();
            }
            if self.picture.is_stale() && Instant::now() >= picture_at {
                self.show();
                picture_at = Instant::now() + self.picture.pause();
            }
            let next = [self.wake_at, flush_at, self.picture.is_stale().then_some(picture_at)];
            let next = next.into_iter().flatten().min();
            tokio::select! {
                input = self.inputs.recv() => {
                    let Some(input) = input else { break };
                    let mut open = self.take(input);
                    for _ in 1..ROUND {
                        let Ok(input) = self.inputs.try_recv() else { break };
                        open &= self.take(input);
                    }
                    if !open {
                        break;
                    }
                }
                synced = ended_or_never(&mut flush) => {
                    flush = None;
                    if let Some(synced) = synced {
                        self.take_sync(synced);
                    }
                }
                step = ended_or_never(&mut compaction) => compaction = self.goes_on(step).await,
                () = sleep_or_never(next) => {}
            }
            // Sightings wait for no disk, and the disk keeps nobody waiting: they are synced beside the work.
            if flush_at.is_some_and(|at| Instant::now() >= at) {
                let syncing = self.journal.begin_sync();
                flush = Some(tokio::task::spawn_blocking(move || syncing.run()));
                flush_at = None;
            }
        }
        // Who asked just before the end is told what came of it: the journal says the same.
        if self.sync().await {
            self.act();
        }
    }

    /// Decides, keeps what was decided, and acts on it. True when acting brought about something that has to
    /// be thought through at once.
    async fn round(&mut self) -> bool {
        let now = self.clock.now();
        let mut judgment = self.settle(now);
        let mut refused = false;
        for command in std::mem::take(&mut judgment.wishes) {
            let id = CommandId(self.lab.commands.saturating_add(1));
            if self.record(Fact::Issued { id, command: command.clone() }, now) {
                self.issued.push((id, command));
            } else {
                refused = true;
            }
        }
        if !self.issued.is_empty() {
            judgment = self.settle(now);
        }
        self.picture.waits_changed(self.judge.take_rewritten());
        self.wake_at = judgment.wake_at.map(|at| self.clock.instant_of(at));
        let safe = !self.journal.holds_intent() || self.sync().await;
        if refused || !safe {
            let again = Instant::now() + AFTER_REFUSAL;
            self.wake_at = Some(self.wake_at.map_or(again, |at| at.min(again)));
        }
        if !safe {
            return self.give_up_wishes();
        }
        // What the counter and the drivers are told cannot be taken back: not before it is safe.
        self.publish_table(now);
        self.act()
    }

    fn settle(&mut self, now: Moment) -> Judgment {
        // The judge borrows the lab; numbering and keeping happen beside it.
        let mut kept = Vec::new();
        let mut touched = Vec::new();
        let (seq, journal, disk) = (&mut self.seq, &mut self.journal, &mut self.disk);
        let judgment = self.judge.settle(
            &mut self.lab,
            now,
            |fact| {
                *seq += 1;
                let event = Event { seq: *seq, at: now, fact };
                if let Err(error) = journal.append(&event, event.fact.keeping()) {
                    *disk = Some(error.to_string());
                }
                kept.push(Arc::new(event.clone()));
                event
            },
            |what| touched.push(what),
        );
        self.news.append(&mut kept);
        for what in &touched {
            self.bulletin.touch(what);
            self.picture.touch(&self.lab, what);
        }
        judgment
    }

    /// Takes one input in. False when it says to end.
    fn take(&mut self, input: Input) -> bool {
        let now = self.clock.now();
        match input {
            Input::Look(question) => self.questions.push(question),
            Input::Fact(fact) => {
                self.record(*fact, now);
            }
            Input::Stamped(fact, boottime_ms) => {
                let at = self.clock.moment_of(boottime_ms);
                self.record(*fact, at);
            }
            Input::Ask { request, answer } => self.answer(&request, answer, now),
            Input::Close => return false,
        }
        true
    }

    fn answer(
        &mut self,
        request: &lifecycle::Request,
        answer: oneshot::Sender<Result<Accepted, DeskError>>,
        now: Moment,
    ) {
        let accepted = |seq, already| Accepted { epoch: self.epoch.clone(), seq, already };
        let outcome = match admit(&self.lab, request) {
            Ok(Verdict::Already) => Ok(accepted(self.seq, true)),
            Ok(Verdict::Record(fact)) => {
                let accepted = accepted(self.seq + 1, false);
                if self.record(fact, now) {
                    self.answers.push((answer, accepted));
                    return;
                }
                Err(DeskError::NotKept { why: self.disk.clone().unwrap_or_default() })
            }
            Err(refusal) => Err(DeskError::Refused(refusal)),
        };
        // Whoever asked may have gone; then nobody misses the answer.
        drop(answer.send(outcome));
    }

    /// A core that cannot write down that it began knows its lab all the same; the journal owes the record.
    fn begin(&mut self, started: Fact, at: Moment) {
        let event = Event { seq: self.seq + 1, at, fact: started };
        if let Err(error) = self.journal.append_owed(&event) {
            tracing::error!(code = error.code(), "{error}: {}", error.advice());
            self.disk = Some(error.to_string());
        }
        self.seq = event.seq;
        let touched = absorb(&mut self.lab, &event);
        self.touch(&touched);
        self.news.push(Arc::new(event));
    }

    /// Numbers, keeps and absorbs a fact. An intent that cannot be kept has not happened: false.
    fn record(&mut self, fact: Fact, at: Moment) -> bool {
        let keeping = keeping(&self.lab, &fact);
        let fleeting = keeping == Keeping::Fleeting;
        let event = Event { seq: self.seq + u64::from(!fleeting), at, fact };
        if let Err(error) = self.journal.append(&event, keeping) {
            self.disk = Some(error.to_string());
            tracing::error!(code = error.code(), "{error}: {}", error.advice());
            if keeping == Keeping::Intent {
                return false;
            }
        }
        self.seq = event.seq;
        let touched = absorb(&mut self.lab, &event);
        self.touch(&touched);
        if !fleeting {
            self.news.push(Arc::new(event));
        }
        true
    }

    fn touch(&mut self, touched: &Touched) {
        self.judge.touch(touched);
        self.bulletin.touch(touched);
        self.picture.touch(&self.lab, touched);
    }

    /// Hands a new boot table to the counter when its content changed.
    fn publish_table(&mut self, now: Moment) {
        if let Some(table) = self.bulletin.next(&self.lab) {
            self.record(Fact::Published { table: table.number }, now);
            self.bulletin.publish(table);
        }
    }

    /// Syncs the journal on another thread. True when all is safe.
    async fn sync(&mut self) -> bool {
        if !self.journal.is_unsynced() {
            return true;
        }
        let syncing = self.journal.begin_sync();
        match tokio::task::spawn_blocking(move || syncing.run()).await {
            Ok(synced) => self.take_sync(synced),
            Err(_) => false,
        }
    }

    fn take_sync(&mut self, synced: Synced) -> bool {
        match self.journal.finish_sync(synced) {
            Ok(()) => {
                self.disk = None;
                true
            }
            Err(error) => {
                tracing::error!(code = error.code(), "{error}: {}", error.advice());
                self.disk = Some(error.to_string());
                false
            }
        }
    }

    /// What was synced may be done: wishes leave, answers go out. True when a driver did not take its wish.
    fn act(&mut self) -> bool {
        let mut failed = false;
        for (id, command) in std::mem::take(&mut self.issued) {
            if let Err(refused) = self.hands.try_send((id, command)) {
                let why = format!("its driver does not take orders: {refused}");
                let outcome = Outcome::Failed { code: "driver_busy".to_owned(), why };
                self.record(Fact::Finished { id, outcome }, self.clock.now());
                failed = true;
            }
        }
        for (answer, accepted) in std::mem::take(&mut self.answers) {
            // Whoever asked may have gone; the request stands all the same.
            drop(answer.send(Ok(accepted)));
        }
        failed
    }

    /// The disk took no sync: nothing leaves, and the wishes count as failed. True when there were any.
    /// Requests keep waiting: they are in the journal, and the sync that makes them safe says yes to them.
    fn give_up_wishes(&mut self) -> bool {
        let issued = std::mem::take(&mut self.issued);
        let failed = !issued.is_empty();
        let why = self.disk.clone().unwrap_or_else(|| "the journal could not be synced".to_owned());
        for (id, _) in issued {
            let outcome = Outcome::Failed { code: "not_kept".to_owned(), why: why.clone() };
            self.record(Fact::Finished { id, outcome }, self.clock.now());
        }
        failed
    }

    /// Shows the picture: only machines that changed are drawn again.
    fn show(&mut self) {
        let now = self.clock.now();
        let snapshot = self.picture.draw(&self.lab, self.judge.waits(), (&self.epoch, self.seq, now));
        self.publisher.publish(snapshot, std::mem::take(&mut self.news));
    }
}

/// What something on another thread came to; waits for ever while there is nothing.
async fn ended_or_never<T>(task: &mut Option<JoinHandle<T>>) -> Option<T> {
    match task {
        Some(running) => running.await.ok(),
        None => std::future::pending().await,
    }
}

async fn sleep_or_never(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
