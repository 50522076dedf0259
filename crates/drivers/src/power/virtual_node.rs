//! The driver of virtual machines: one task per machine.
//!
//! ```text
//!   off ──on──▶ (waits for its turn) ──▶ QEMU answers: on ──ends by itself, or off──▶ off
//!    ▲                                                                                 │
//!    └─────────────────────────────────────────────────────────────────────────────────┘
//! ```

use std::sync::Arc;
use std::time::Duration;

use model::{CommandId, Outcome, PowerOrder, PowerState};
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, sleep_until};

use super::process::Running;
use super::qemu::Installed;
use super::{DriverReport, Machine, console};
use crate::here::Seat;

/// Keeps starts apart: who holds it may start, and the next one waits the stagger out.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    stagger: Duration,
    next: Arc<Mutex<Instant>>,
}

impl Turn {
    pub(super) fn new(stagger: Duration) -> Self {
        Self { stagger, next: Arc::new(Mutex::new(Instant::now())) }
    }

    /// Waits for a turn; the queue is served in order.
    async fn take(&self) {
        let mut next = self.next.lock().await;
        sleep_until(*next).await;
        *next = Instant::now() + self.stagger;
    }
}

/// One machine.
#[derive(Debug)]
pub(super) struct VirtualNode {
    machine: Machine,
    seat: Seat,
    installed: Installed,
    turn: Turn,
    reports: mpsc::Sender<DriverReport>,
}

/// The one who listens to reports is gone, so there is nothing to drive for.
struct NobodyListens;

impl VirtualNode {
    pub(super) fn new(
        machine: Machine,
        seat: Seat,
        installed: &Installed,
        turn: &Turn,
        reports: &mpsc::Sender<DriverReport>,
    ) -> Self {
        Self { machine, seat, installed: installed.clone(), turn: turn.clone(), reports: reports.clone() }
    }

    /// Drives the machine until nobody orders or listens any more; the machine runs on then.
    pub(super) async fn run(self, mut queue: mpsc::Receiver<(CommandId, PowerOrder)>) {
        let mut running = Running::find(&self.seat.folder);
        let mut told = match &running {
            Some(qemu) => {
                self.follow_console();
                self.seen(PowerState::On, format!("QEMU {} runs, found again", qemu.pid)).await
            }
            None => {
                if let Err(error) = console::tell_kept(&self.seat) {
                    tracing::debug!(%error, node = %self.seat.node, "its last console cannot be read");
                }
                self.seen(PowerState::Off, "no QEMU of it runs".to_owned()).await
            }
        };
        while told.is_ok() {
            told = tokio::select! {
                order = queue.recv() => match order {
                    Some((id, order)) => self.obey(id, order, &mut running).await,
                    None => return,
                },
                how = ended(&mut running) => self.ended(&how, &mut running).await,
            };
        }
    }

    async fn obey(
        &self,
        id: CommandId,
        order: PowerOrder,
        running: &mut Option<Running>,
    ) -> Result<(), NobodyListens> {
        let outcome = match (order, running.as_mut()) {
            (PowerOrder::On, None) => {
                self.turn.take().await;
                match Running::start(&self.machine, &self.seat.folder, &self.installed).await {
                    Ok(qemu) => {
                        *running = Some(qemu);
                        self.follow_console();
                        Outcome::Done
                    }
                    Err(why) => Outcome::Failed { code: "qemu-start".to_owned(), why },
                }
            }
            (PowerOrder::Off, Some(qemu)) => {
                let how = qemu.end(&self.seat.folder).await;
                self.finished(id, Outcome::Done).await?;
                return self.ended(&how, running).await;
            }
            (PowerOrder::On, Some(_)) | (PowerOrder::Off | PowerOrder::Soft, None) => Outcome::Done,
            (PowerOrder::Soft, Some(_)) | (PowerOrder::Press, _) => Outcome::Failed {
                code: "not-supported".to_owned(),
                why: "a virtual machine has no button".to_owned(),
            },
        };
        self.finished(id, outcome).await?;
        // Said again even if nothing changed: who ordered waits to see it.
        match running {
            Some(qemu) => self.seen(PowerState::On, format!("QEMU {} runs", qemu.pid)).await,
            None => self.seen(PowerState::Off, "no QEMU of it runs".to_owned()).await,
        }
    }

    async fn ended(&self, how: &str, running: &mut Option<Running>) -> Result<(), NobodyListens> {
        let pid = running.take().map_or(0, |qemu| qemu.pid);
        self.seen(PowerState::Off, format!("QEMU {pid} ended ({how})")).await
    }

    fn follow_console(&self) {
        let seat = self.seat.clone();
        tokio::spawn(async move {
            let node = seat.node.clone();
            if let Err(error) = console::follow(seat).await {
                tracing::debug!(%error, %node, "console not followed");
            }
        });
    }

    async fn finished(&self, id: CommandId, outcome: Outcome) -> Result<(), NobodyListens> {
        self.reports.send(DriverReport::Finished { id, outcome }).await.map_err(|_| NobodyListens)
    }

    async fn seen(&self, state: PowerState, evidence: String) -> Result<(), NobodyListens> {
        let node = self.machine.name.clone();
        self.reports.send(DriverReport::PowerSeen { node, state, evidence }).await.map_err(|_| NobodyListens)
    }
}

/// Waits for the end of a machine that runs, and for ever where none does.
async fn ended(running: &mut Option<Running>) -> String {
    match running {
        Some(qemu) => qemu.ended().await,
        None => std::future::pending().await,
    }
}
