//! The conductor alone: scripted facts, a disk in memory, and nobody behind the orders; under paused time.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

#[path = "lost_writes/stand.rs"]
mod stand;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use api::StreamItem;
use labinator::desk::DeskError;
use labinator::journal::Journal;
use model::{Carrier, Fact, FileRole, Outcome, Phase, PowerOrder, PowerState, Rung, ScriptAnswer, Sight};
use stand::{
    Core, Gate, JOURNAL, beat, boot_sights, mac, node, power, report, safe_facts, seen, sighted, start, stop,
    within,
};
use store::Files as _;
use store::lossy::LossyFiles;
use tokio::time::{Instant, sleep, timeout};

fn accepted(fact: &Fact) -> bool {
    matches!(fact, Fact::StartAccepted { .. })
}

fn issued(fact: &Fact) -> bool {
    matches!(fact, Fact::Issued { .. })
}

/// A core on a healthy disk whose machines were all seen in this state.
async fn core(machines: u8, state: PowerState) -> (LossyFiles, Core) {
    let files = LossyFiles::new();
    let core = Core::begin(Arc::new(files.clone()), machines, 0);
    core.greet(machines, state).await;
    (files, core)
}

/// Answers an order as a driver does that succeeds.
async fn carry_out(core: &mut Core) -> PowerOrder {
    let (id, order, name) = core.order().await;
    let state = if order == PowerOrder::On { PowerState::On } else { PowerState::Off };
    core.tell([
        Fact::Finished { id, outcome: Outcome::Done },
        Fact::PowerSeen { node: name, state, evidence: "its process".to_owned() },
    ])
    .await;
    order
}

/// Brings machines from off to ready, boot number `boot`.
async fn make_ready(core: &mut Core, machines: u8, boot: u64) {
    for _ in 0..machines {
        assert_eq!(carry_out(core).await, PowerOrder::On);
    }
    for n in 1..=machines {
        core.tell(boot_sights(n)).await;
        core.tell([report(n, boot)]).await;
    }
    assert_eq!(core.look(|look| look.lab.phase).await, Phase::Ready);
}

#[tokio::test(start_paused = true)]
async fn a_start_is_answered_when_it_is_safe_on_disk_and_nothing_leaves_before() {
    let files = LossyFiles::new();
    let gate = Gate::before(Arc::new(files.clone()));
    let mut core = Core::begin(Arc::new(gate.clone()), 2, 0);
    core.greet(2, PowerState::Off).await;
    core.look(|_| ()).await;
    core.table.mark_unchanged();
    let shut = gate.shut();
    let desk = core.desk.clone();
    let asked = tokio::spawn(async move { desk.ask(start()).await });
    gate.until_somebody_waits().await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!asked.is_finished(), "a yes that a power cut would take back");
    assert!(core.orders.try_recv().is_err(), "an order that a power cut would forget");
    assert!(!core.table.has_changed().unwrap(), "a boot table of a start that a power cut would forget");
    assert!(!safe_facts(&files).iter().any(accepted));
    drop(shut);
    assert!(!within(asked).await.unwrap().unwrap().already);
    let safe = safe_facts(&files);
    assert!(safe.iter().any(accepted));
    for _ in 0..2 {
        core.order().await;
    }
    assert_eq!(safe_facts(&files).iter().filter(|fact| issued(fact)).count(), 2);
    assert!(core.table.has_changed().unwrap());
}

#[tokio::test(start_paused = true)]
async fn an_order_leaves_when_it_is_safe_on_disk() {
    let files = LossyFiles::new();
    let gate = Gate::before(Arc::new(files.clone()));
    let mut core = Core::begin(Arc::new(gate.clone()), 1, 0);
    core.greet(1, PowerState::Off).await;
    within(core.desk.ask(start())).await.unwrap();
    make_ready(&mut core, 1, 1).await;
    // It goes off by itself: the order to switch it on again follows from a sighting alone.
    let shut = gate.shut();
    core.tell([seen(1, PowerState::Off)]).await;
    gate.until_somebody_waits().await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(core.orders.try_recv().is_err());
    let orders = |files: &LossyFiles| safe_facts(files).iter().filter(|fact| issued(fact)).count();
    assert_eq!(orders(&files), 1);
    drop(shut);
    core.order().await;
    assert_eq!(orders(&files), 2);
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_refuses_requests_and_lets_nothing_leave_until_there_is_room() {
    let (files, mut core) = core(2, PowerState::Off).await;
    core.look(|_| ()).await;
    files.set_space(Some(10));
    let refused = within(core.desk.ask(start())).await.unwrap_err();
    assert!(matches!(refused, DeskError::NotKept { .. }), "{refused}");
    assert!(core.look(|look| look.lab.run.is_none()).await);
    // It goes on: facts are taken, the picture moves.
    core.tell([seen(2, PowerState::On)]).await;
    assert_eq!(core.look(|look| look.lab.machines[&node(2)].power).await, PowerState::On);
    core.tell([seen(2, PowerState::Off)]).await;
    sleep(Duration::from_secs(60)).await;
    assert!(core.orders.try_recv().is_err());
    files.set_space(None);
    within(core.desk.ask(start())).await.unwrap();
    make_ready(&mut core, 2, 1).await;
    core.close().await;
    let events = stand::events_in(&files);
    assert!(events.windows(2).all(|pair| pair[0].seq < pair[1].seq));
}

#[tokio::test(start_paused = true)]
async fn an_order_that_cannot_be_kept_is_tried_again_when_there_is_room() {
    let (files, mut core) = core(1, PowerState::Off).await;
    within(core.desk.ask(start())).await.unwrap();
    make_ready(&mut core, 1, 1).await;
    files.set_space(Some(10));
    core.tell([seen(1, PowerState::Off)]).await;
    core.look(|_| ()).await;
    assert!(timeout(Duration::from_secs(30), core.orders.recv()).await.is_err(), "nothing may leave");
    files.set_space(None);
    let began = Instant::now();
    core.order().await;
    assert!(began.elapsed() <= Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_yes_waits_for_a_disk_whose_syncs_fail_and_nothing_leaves_meanwhile() {
    let (files, mut core) = core(1, PowerState::Off).await;
    core.look(|_| ()).await;
    core.table.mark_unchanged();
    files.fail_syncs(3);
    let desk = core.desk.clone();
    let asked = tokio::spawn(async move { desk.ask(start()).await });
    let began = Instant::now();
    let answer = within(asked).await.unwrap();
    assert!(answer.is_ok(), "{answer:?}");
    assert!(safe_facts(&files).iter().any(accepted));
    assert!(began.elapsed() < Duration::from_secs(10));
    core.order().await;
    assert!(safe_facts(&files).iter().any(issued));
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_takes_no_orders_is_a_failed_order_and_is_asked_again() {
    for closed in [false, true] {
        let files = LossyFiles::new();
        let mut core = Core::begin_with(Arc::new(files.clone()), 2, 0, 1);
        core.greet(2, PowerState::Off).await;
        if closed {
            core.orders.close();
        }
        within(core.desk.ask(start())).await.unwrap();
        core.look(|_| ()).await;
        let failed = |fact: &Fact| matches!(fact, Fact::Finished { outcome: Outcome::Failed { .. }, .. });
        let facts = |files: &LossyFiles| -> Vec<Fact> {
            stand::events_in(files).into_iter().map(|event| event.fact).collect()
        };
        let count = facts(&files).iter().filter(|fact| failed(fact)).count();
        assert_eq!(count, if closed { 2 } else { 1 });
        let waits = core.look(|look| look.waits.values().map(|w| w.what.clone()).collect::<Vec<_>>()).await;
        assert!(waits.iter().any(|what| what.contains("refused")), "{waits:?}");
        if closed {
            let bad = within(async {
                loop {
                    sleep(Duration::from_secs(1)).await;
                    if core.look(|look| look.lab.phase == Phase::Failed).await {
                        break;
                    }
                }
            });
            bad.await;
        } else {
            let first = core.order().await;
            let second = timeout(Duration::from_secs(4), core.order()).await.unwrap();
            assert_ne!(first.2, second.2);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_shows_a_lab_that_was_thought_through() {
    let (_files, mut core) = core(2, PowerState::Off).await;
    let desk = core.desk.clone();
    // All of it reaches the conductor at once.
    let (answer, looked) = tokio::join!(
        desk.ask(start()),
        desk.look(|look| {
            (look.lab.phase, look.waits.len(), look.lab.machines.values().all(|m| m.in_flight.is_some()))
        })
    );
    answer.unwrap();
    assert_eq!(looked.unwrap(), (Phase::Booting, 2, true));
    make_ready(&mut core, 2, 1).await;
    let (told, looked) = tokio::join!(
        desk.tell(seen(1, PowerState::Off)),
        desk.look(|look| (look.lab.machines[&node(1)].rung, look.waits.contains_key(&node(1))))
    );
    told.unwrap();
    assert_eq!(looked.unwrap(), (Rung::Off, true));
}

#[tokio::test(start_paused = true)]
async fn two_hundred_facts_at_once_are_few_pictures_and_all_of_them_are_shown() {
    let (_files, core) = core(2, PowerState::Off).await;
    let mut reader = core.desk.publisher().reader(None);
    sleep(Duration::from_secs(1)).await;
    reader.next().await;
    let shown = tokio::spawn(async move {
        let mut shown = Vec::new();
        while let Ok(items) = timeout(Duration::from_secs(2), reader.next()).await {
            let events = items.iter().filter(|i| matches!(i.item, StreamItem::Event(_))).count();
            shown.push((Instant::now(), events));
        }
        shown
    });
    for _ in 0..20 {
        for _ in 0..10 {
            core.tell([seen(1, PowerState::On), seen(1, PowerState::Off)]).await;
        }
        sleep(Duration::from_millis(10)).await;
    }
    let shown = shown.await.unwrap();
    let gaps = shown.windows(2).map(|pair| pair[1].0 - pair[0].0);
    assert!(gaps.min().unwrap() >= Duration::from_millis(50), "{shown:?}");
    assert!(shown.len() <= 6, "{shown:?}");
    assert!(shown.iter().map(|(_, events)| events).sum::<usize>() >= 400);
}

#[tokio::test(start_paused = true)]
async fn an_idle_ready_lab_writes_nothing_and_shows_no_more_pictures_than_hearts_beat() {
    let (files, mut core) = core(2, PowerState::Off).await;
    within(core.desk.ask(start())).await.unwrap();
    make_ready(&mut core, 2, 1).await;
    sleep(Duration::from_secs(2)).await;
    let (operations, size) = (files.operations(), stand::events_in(&files).len());
    let mut reader = core.desk.publisher().reader(None);
    reader.next().await;
    let pictures = tokio::spawn(async move {
        let mut pictures = 0;
        while timeout(Duration::from_secs(25), reader.next()).await.is_ok() {
            pictures += 1;
        }
        pictures
    });
    for _ in 0..200 {
        sleep(Duration::from_secs(3)).await;
        core.tell([beat(1, 1), beat(2, 1)]).await;
    }
    assert_eq!(core.look(|look| look.lab.phase).await, Phase::Ready);
    sleep(Duration::from_secs(26)).await;
    assert_eq!((files.operations(), stand::events_in(&files).len()), (operations, size));
    let pictures = pictures.await.unwrap();
    assert!((200..=400).contains(&pictures), "{pictures}");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_polls_for_an_hour_writes_nothing() {
    let (files, core) = core(1, PowerState::On).await;
    let polls = || {
        let name = "again.cfg".to_owned();
        let asked = Sight::FileAsked {
            role: FileRole::Script,
            name: name.clone(),
            carrier: Carrier::Tftp,
            size: 900,
        };
        let script = Sight::ScriptAsked { answer: ScriptAnswer::Wait };
        [asked, script, Sight::FileServed { name, bytes: 900, repeats: 0 }].map(|sight| sighted(1, sight))
    };
    core.tell(boot_sights(1).into_iter().take(2)).await;
    for _ in 0..2 {
        core.tell(polls()).await;
    }
    sleep(Duration::from_secs(2)).await;
    let (operations, size) = (files.operations(), stand::events_in(&files).len());
    let asked = core.look(|look| look.lab.machines[&node(1)].boot.clone().unwrap()).await;
    for _ in 0..1800 {
        sleep(Duration::from_secs(2)).await;
        core.tell(polls()).await;
    }
    assert_eq!((files.operations(), stand::events_in(&files).len()), (operations, size));
    let boot = core.look(|look| look.lab.machines[&node(1)].boot.clone().unwrap()).await;
    assert_eq!((boot.marks.len(), boot.transfers.len()), (asked.marks.len(), asked.transfers.len()));
    let hour = boot.marks.last().unwrap().at.since(asked.marks.last().unwrap().at);
    assert!(hour.0 >= 3_600_000, "its latest asking is known: {hour}");
    assert_eq!(boot.files[0].begun, 1802, "and what it cost is counted");
}

#[tokio::test(start_paused = true)]
async fn silence_costs_nothing_until_a_limit_passes() {
    let (_files, mut core) = core(1, PowerState::Off).await;
    within(core.desk.ask(start())).await.unwrap();
    make_ready(&mut core, 1, 1).await;
    sleep(Duration::from_secs(2)).await;
    let mut reader = core.desk.publisher().reader(None);
    reader.next().await;
    let began = Instant::now();
    reader.next().await;
    // Ready is left 30 s after the report, and nothing is shown before.
    assert!(began.elapsed() > Duration::from_secs(27), "{:?}", began.elapsed());
    assert_eq!(core.look(|look| look.lab.machines[&node(1)].rung).await, Rung::Up);
}

/// A core that writes a checkpoint after so many bytes.
fn core_that_compacts(files: Arc<dyn store::Files>, growth: u64) -> Core {
    let (journal, past, _) = Journal::open_with(files, Path::new(JOURNAL), growth).unwrap();
    Core::begin_on((journal, past), stand::spec(2), 0, 4)
}

fn begins_with_a_checkpoint(files: &LossyFiles) -> bool {
    let text = files.read(Path::new(JOURNAL)).unwrap();
    text.get(26..).is_some_and(|line| line.starts_with(b"{\"checkpoint\""))
}

#[tokio::test(start_paused = true)]
async fn a_long_journal_becomes_a_checkpoint_and_the_next_core_knows_the_same_lab() {
    let files = LossyFiles::new();
    let mut core = core_that_compacts(Arc::new(files.clone()), 40_000);
    core.greet(2, PowerState::Off).await;
    within(core.desk.ask(start())).await.unwrap();
    make_ready(&mut core, 2, 1).await;
    let mut reader = core.desk.publisher().reader(None);
    let mut told: Vec<u64> = Vec::new();
    for number in 2..60 {
        core.tell([seen(1, PowerState::Off)]).await;
        assert_eq!(carry_out(&mut core).await, PowerOrder::On);
        core.tell(boot_sights(1)).await;
        core.tell([report(1, number)]).await;
        sleep(Duration::from_secs(1)).await;
        for item in reader.next().await {
            if let StreamItem::Event(event) = item.item {
                told.push(event.seq);
            }
        }
    }
    assert!(begins_with_a_checkpoint(&files));
    assert!(told.len() > 500 && told.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{told:?}");
    let (events, _) = core.desk.publisher().events(0, usize::MAX);
    let before = core.look(|look| look.lab.clone()).await;
    core.close().await;
    let size = files.read(Path::new(JOURNAL)).unwrap().len();
    assert!(size < 2_000_000, "{size}");

    let core = core_that_compacts(Arc::new(files.clone()), 40_000);
    assert!(core.past.folded > 0);
    assert_eq!(core.past.events.back().map(|event| event.seq), events.last().map(|event| event.seq));
    let lab = core.past.lab.as_ref().unwrap();
    assert_eq!(lab.machines, before.machines);
    assert_eq!((lab.run.as_ref(), lab.runs, lab.commands), (before.run.as_ref(), 1, 60));
    assert_eq!((lab.phase, lab.table), (before.phase, before.table));
    let last = events.last().unwrap().seq;
    let next = within(core.desk.ask(stop())).await.unwrap().seq;
    assert!(next > last + 1, "{next} after {last}: the number of its own start lies between");
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_waits_for_the_disk_holds_up_neither_order_nor_answer() {
    let files = LossyFiles::new();
    let gate = Gate::before_some(Arc::new(files.clone()), ".new");
    let shut = gate.shut();
    // Any growth is enough: it begins at once.
    let mut core = core_that_compacts(Arc::new(gate.clone()), 0);
    gate.until_somebody_waits().await;
    core.greet(2, PowerState::Off).await;
    within(core.desk.ask(start())).await.unwrap();
    make_ready(&mut core, 2, 1).await;
    assert!(!begins_with_a_checkpoint(&files));
    let (through, machines) = core.look(|look| (look.lab.commands, look.lab.machines.clone())).await;
    assert_eq!(through, 2);
    drop(shut);
    within(async {
        while !begins_with_a_checkpoint(&files) {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(
        stand::past_in(&files).lab.unwrap().machines,
        machines,
        "what happened while it waited is known"
    );
    core.kill().await;
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_finds_no_room_is_tried_again_later_and_nothing_else_suffers() {
    let files = LossyFiles::new();
    let mut core = core_that_compacts(Arc::new(files.clone()), 24_000);
    files.set_space(Some(12_000));
    core.greet(2, PowerState::Off).await;
    within(core.desk.ask(start())).await.unwrap();
    make_ready(&mut core, 2, 1).await;
    sleep(Duration::from_secs(5)).await;
    assert!(!begins_with_a_checkpoint(&files));
    files.set_space(None);
    sleep(Duration::from_secs(601)).await;
    core.tell([seen(1, PowerState::On)]).await;
    within(async {
        while !begins_with_a_checkpoint(&files) {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    core.kill().await;
}

#[tokio::test(start_paused = true)]
async fn closing_writes_everything_down_and_answers_whoever_asked_before() {
    let (files, core) = core(1, PowerState::Off).await;
    core.look(|_| ()).await;
    let stranger = Sight::Nak;
    core.tell([sighted(1, stranger.clone())]).await;
    let desk = core.desk.clone();
    let (answer, closed) = tokio::join!(desk.ask(start()), desk.close());
    closed.unwrap();
    assert!(answer.is_ok(), "it was kept, so the answer is yes: {answer:?}");
    core.running.await.unwrap();
    let safe = safe_facts(&files);
    assert!(safe.contains(&Fact::Sighted { mac: mac(1), sight: stranger }));
    assert!(safe.iter().any(accepted));
    assert_eq!(desk.ask(stop()).await, Err(DeskError::Closed));
    assert_eq!(desk.tell(seen(1, PowerState::On)).await, Err(DeskError::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_core_that_began_on_a_full_disk_is_in_the_journal_before_anything_it_promised() {
    let files = LossyFiles::new();
    let gate = LossyFiles::clone(&files);
    // Room for the journal's header, not for the description of the lab.
    files.set_space(Some(200));
    let core = Core::begin(Arc::new(gate), 1, 0);
    core.greet(1, PowerState::Off).await;
    assert!(matches!(within(core.desk.ask(start())).await, Err(DeskError::NotKept { .. })));
    files.set_space(None);
    within(core.desk.ask(start())).await.unwrap();
    core.kill().await;
    let core = Core::begin(Arc::new(files.clone()), 1, 0);
    assert!(core.look(|look| look.lab.run.is_some()).await);
    assert!(matches!(core.past.events[0].fact, Fact::CoreStarted { .. }));
    assert_eq!(within(core.desk.ask(power(1, PowerOrder::On))).await.map(|a| a.already), Ok(false));
}
