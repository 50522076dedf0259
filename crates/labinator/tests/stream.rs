//! Properties of the stream: whatever is published and whenever it is read, nobody is fed a gap.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop")]

#[path = "lost_writes/stand.rs"]
mod stand;

use std::collections::VecDeque;
use std::sync::Arc;

use api::StreamItem;
use futures_util::FutureExt as _;
use labinator::publisher::{Numbered, Publisher, Reader};
use lifecycle::{Lab, lab_view, machine_view};
use model::{Event, LabTime, MachineView, Moment, NodeWord, PowerState, Snapshot, WallTime};
use proptest::prelude::*;
use stand::{node, seen, spec};

/// As many as the publisher says it keeps.
const KEPT: u64 = 8192;

/// The writer's side: one picture after another, as the conductor makes them.
struct Author {
    publisher: Arc<Publisher>,
    picture: Snapshot,
    clock: u64,
}

fn event(seq: u64) -> Arc<Event> {
    let at = Moment { since_start: LabTime(seq), wall: WallTime(seq) };
    Arc::new(Event { seq, at, fact: seen(1, PowerState::On) })
}

impl Author {
    /// An author whose core began with these events behind it.
    fn after(past: u64) -> Self {
        let lab = Lab::new(spec(4));
        let now = Moment::default();
        let machines = lab
            .in_board_order()
            .into_iter()
            .filter_map(|m| machine_view(&lab, m, None, now, None))
            .map(Arc::new);
        let picture = Snapshot {
            epoch: "one".to_owned(),
            through: past,
            at: now,
            lab: Arc::new(lab_view(&lab)),
            machines: machines.collect(),
        };
        let publisher = Publisher::new(picture.clone(), (1..=past).map(event));
        Self { publisher, picture, clock: past }
    }

    fn publish(&mut self, events: u64, changed: &[u8], lab: bool) {
        self.clock += 1;
        for at in changed {
            let machine = self.picture.machines.get_mut(usize::from(*at)).unwrap();
            let tries = machine.tries.wrapping_add(1);
            *machine = Arc::new(MachineView { tries, word: NodeWord::Starting, ..(**machine).clone() });
        }
        if lab {
            Arc::make_mut(&mut self.picture.lab).phase_because = self.clock.to_string();
        }
        let from = self.picture.through;
        self.picture.through += events;
        self.picture.at = Moment { since_start: LabTime(self.clock), wall: WallTime(self.clock) };
        self.publisher.publish(self.picture.clone(), (from + 1..=from + events).map(event));
    }
}

/// One who reads: what it was told so far, checked as it is told.
struct Audience {
    reader: Reader,
    picture: Option<Snapshot>,
    /// The last event it was told of, or that its first picture contained.
    told: u64,
    /// What it would come back with: the number of the last item it took.
    back: Option<(String, u64)>,
    /// It knows nothing yet: its next picture is where it begins.
    anew: bool,
    started_over: usize,
}

impl Audience {
    fn of(author: &Author, seen: Option<(String, u64)>) -> Self {
        let reader = author.publisher.reader(seen.as_ref().map(|(epoch, seq)| (epoch.as_str(), *seq)));
        let told = seen.as_ref().map_or(0, |(_, seq)| *seq);
        Self { reader, picture: None, told, anew: seen.is_none(), back: seen, started_over: 0 }
    }

    /// Takes what is there; of it only so many items before the line breaks.
    fn read(&mut self, at_most: usize) {
        let Some(items) = self.reader.next().now_or_never() else { return };
        for Numbered { through, item } in items.into_iter().take(at_most) {
            self.take(item);
            self.back = Some((self.reader.epoch(), through));
        }
    }

    fn take(&mut self, item: StreamItem) {
        match item {
            StreamItem::StartOver => {
                self.started_over += 1;
                (self.picture, self.anew) = (None, true);
            }
            StreamItem::Snapshot(picture) => {
                assert!(self.picture.is_none(), "a second picture without a word");
                // Events up to here are contained; one who comes back is told those it missed all the same.
                if self.anew {
                    self.told = picture.through;
                }
                self.anew = false;
                self.picture = Some(*picture);
            }
            StreamItem::Change(change) => {
                let picture = self.picture.as_mut().expect("a change of nothing");
                assert!(change.through >= picture.through && change.at.since_start >= picture.at.since_start);
                (picture.through, picture.at) = (change.through, change.at);
                if let Some(lab) = change.lab {
                    picture.lab = lab;
                }
                for machine in change.machines {
                    let place = picture.machines.iter_mut().find(|old| old.node == machine.node);
                    *place.expect("a machine nobody introduced") = machine;
                }
            }
            StreamItem::Event(event) => {
                let picture = self.picture.as_ref().expect("an event before any picture");
                assert_eq!(event.seq, self.told + 1, "a gap, or one told twice");
                assert!(event.seq <= picture.through, "an event its picture does not contain");
                self.told = event.seq;
            }
            StreamItem::Beat(_) => panic!("hearts beat elsewhere"),
        }
    }

    fn is_up_to_date_with(&self, latest: &Snapshot) {
        let mine = self.picture.as_ref().expect("no picture at all");
        // A picture that differs in nothing but its time is not sent again.
        let timeless = Snapshot { at: latest.at, ..mine.clone() };
        assert_eq!(&timeless, latest);
        assert_eq!(self.told, latest.through);
    }
}

#[derive(Debug, Clone)]
enum Act {
    Publish {
        events: u64,
        changed: Vec<u8>,
        lab: bool,
    },
    Join,
    Read(usize),
    /// Reads this many items, loses the line, and comes back with the last number.
    BreakAfter(usize, usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let publish = (0..6_u64, proptest::collection::vec(0..4_u8, 0..3), any::<bool>())
        .prop_map(|(events, changed, lab)| Act::Publish { events, changed, lab });
    let flood =
        (KEPT - 10..KEPT + 10).prop_map(|events| Act::Publish { events, changed: vec![1], lab: false });
    let act = prop_oneof![
        40 => publish,
        1 => flood,
        5 => Just(Act::Join),
        30 => (0..8_usize).prop_map(Act::Read),
        10 => (0..8_usize, 0..6_usize).prop_map(|(who, items)| Act::BreakAfter(who, items)),
    ];
    proptest::collection::vec(act, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whoever_reads_whenever_sees_a_picture_then_everything_and_no_gap(past in 0..50_u64, acts in acts()) {
        let mut author = Author::after(past);
        let mut audience: VecDeque<Audience> = VecDeque::from([Audience::of(&author, None)]);
        for act in acts {
            match act {
                Act::Publish { events, changed, lab } => author.publish(events, &changed, lab),
                Act::Join => audience.push_back(Audience::of(&author, None)),
                Act::Read(who) => {
                    let who = who % audience.len();
                    audience[who].read(usize::MAX);
                }
                Act::BreakAfter(who, items) => {
                    let who = who % audience.len();
                    audience[who].read(items);
                    let back = audience[who].back.clone();
                    audience[who] = Audience::of(&author, back);
                }
            }
        }
        let latest = author.publisher.latest();
        for reader in &mut audience {
            reader.read(usize::MAX);
            reader.is_up_to_date_with(&latest);
            prop_assert!(reader.reader.next().now_or_never().is_none(), "told twice");
        }
    }
}

#[test]
fn a_reader_beyond_the_ring_is_told_to_start_over_once_and_can_come_back_from_there() {
    let mut author = Author::after(3);
    let mut slow = Audience::of(&author, None);
    slow.read(usize::MAX);
    for _ in 0..10 {
        author.publish(KEPT / 8, &[0], false);
    }
    slow.read(usize::MAX);
    assert_eq!(slow.started_over, 1);
    slow.is_up_to_date_with(&author.publisher.latest());
    let mut back = Audience::of(&author, slow.back.clone());
    back.read(usize::MAX);
    assert_eq!(back.started_over, 0, "the picture it took was the latest");
    back.is_up_to_date_with(&author.publisher.latest());
}

#[test]
fn a_reader_of_another_core_or_from_the_future_starts_over() {
    let author = Author::after(9);
    for seen in [("two", 4), ("one", 10)] {
        let mut reader = author.publisher.reader(Some(seen));
        let items: Vec<_> = reader.next().now_or_never().unwrap().into_iter().map(|n| n.item).collect();
        assert!(matches!(items.as_slice(), [StreamItem::StartOver, StreamItem::Snapshot(_)]), "{items:?}");
    }
    let mut reader = author.publisher.reader(Some(("one", 4)));
    let items = reader.next().now_or_never().unwrap();
    let events: Vec<u64> =
        items.iter().filter(|n| matches!(n.item, StreamItem::Event(_))).map(|n| n.through).collect();
    assert_eq!(events, [5, 6, 7, 8, 9]);
}

#[tokio::test(start_paused = true)]
async fn the_stream_of_a_real_core_folds_to_its_picture_across_its_first_moments() {
    let files = store::lossy::LossyFiles::new();
    let core = stand::Core::begin(Arc::new(files), 2, 0);
    let mut reader = core.desk.publisher().reader(None);
    core.greet(2, PowerState::Off).await;
    core.desk.ask(stand::start()).await.unwrap();
    let mut picture: Option<Snapshot> = None;
    let mut told = 0;
    while let Ok(items) = tokio::time::timeout(std::time::Duration::from_secs(2), reader.next()).await {
        for Numbered { item, .. } in items {
            match (item, &mut picture) {
                (StreamItem::Snapshot(first), none) => {
                    told = first.through;
                    *none = Some(*first);
                }
                (StreamItem::Change(change), Some(picture)) => {
                    picture.through = change.through;
                    picture.lab = change.lab.unwrap_or_else(|| picture.lab.clone());
                    for machine in change.machines {
                        match picture.machines.iter_mut().find(|old| old.node == machine.node) {
                            Some(place) => *place = machine,
                            None => picture.machines.push(machine),
                        }
                    }
                }
                (StreamItem::Event(event), _) => {
                    assert_eq!(event.seq, told + 1);
                    told = event.seq;
                }
                other => panic!("{other:?}"),
            }
        }
    }
    let (picture, latest) = (picture.unwrap(), core.desk.publisher().latest());
    assert_eq!((picture.through, told), (latest.through, latest.through));
    assert_eq!((picture.lab, picture.machines.as_slice()), (latest.lab.clone(), latest.machines.as_slice()));
    assert_eq!(picture.machines[0].node, node(1));
    assert!(core.look(|look| look.lab.run.is_some()).await);
}
