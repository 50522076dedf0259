//! A cache that is broken off at any write, torn in any block or flipped in any bit starts what was right, or nothing.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

use std::collections::BTreeMap;

use model::Digest;
use proptest::prelude::*;
use ring::digest::{SHA256, digest};
use wire::loader::cache::{
    BLOCK, Held, JOURNAL, Layout, LayoutError, Note, Record, RecordError, Step, Store, newest,
};
use wire::loader::{Controller, Medium, Piece, Plan, Rung, Seen, rung};

/// Blocks of the medium.
const BLOCKS: u64 = JOURNAL + 2 * 8;

/// Blocks that were written; what was never written is nobody's.
type Blocks = BTreeMap<u64, [u8; BLOCK]>;
type Write = (u64, [u8; BLOCK]);

fn block(medium: &Blocks, at: u64) -> [u8; BLOCK] {
    medium.get(&at).copied().unwrap_or([0xa5; BLOCK])
}

/// An image: its files' bytes, and what an answer says of them.
fn image(seed: u8, sizes: &[usize]) -> (Vec<Vec<u8>>, Plan) {
    let files: Vec<Vec<u8>> = sizes
        .iter()
        .zip(0_u8..)
        .map(|(size, file)| {
            (0..*size).map(|at| seed ^ file ^ at.to_le_bytes()[0] ^ at.to_le_bytes()[1]).collect()
        })
        .collect();
    let mut pieces = files.iter().map(|bytes| Piece {
        size: u64::try_from(bytes.len()).unwrap(),
        digest: Digest(digest(&SHA256, bytes).as_ref().try_into().unwrap()),
        path: "/f/x".to_owned(),
    });
    let kernel = pieces.next().unwrap();
    let plan = Plan { kernel, initrd: pieces.collect(), args: format!("seed={seed}") };
    (files, plan)
}

/// The writes of some steps, parted by flushes.
fn writes(store: Store, layout: Layout, (files, plan): &(Vec<Vec<u8>>, Plan)) -> Vec<Vec<Write>> {
    let mut all = vec![Vec::new()];
    for step in store {
        let group = all.last_mut().unwrap();
        match step {
            Step::Journal { at, block } => group.push((at, *block)),
            Step::Fill { slot } => {
                for ((first, size), bytes) in layout.files(slot, &Held::of(plan)).zip(files) {
                    assert_eq!(size, u64::try_from(bytes.len()).unwrap());
                    for (at, chunk) in (first..).zip(bytes.chunks(BLOCK)) {
                        let mut block = [0; BLOCK];
                        block[..chunk.len()].copy_from_slice(chunk);
                        group.push((at, block));
                    }
                }
            }
            Step::Flush => all.push(Vec::new()),
        }
    }
    all
}

fn record(medium: &Blocks) -> Option<Record> {
    let journal: Vec<[u8; BLOCK]> = (0..JOURNAL).map(|at| block(medium, at)).collect();
    newest(journal.iter())
}

/// The arguments of the image in a slot, if it is what its record says.
fn right(medium: &Blocks, record: &Record, slot: usize) -> Option<String> {
    let layout = Layout::of(BLOCKS).unwrap();
    let held = record.slots[slot].as_ref()?;
    let is_right = layout.files(slot, held).zip(&held.files).all(|((first, size), file)| {
        let size = usize::try_from(size).unwrap();
        let blocks = (first..).take(size.div_ceil(BLOCK)).flat_map(|at| block(medium, at));
        let bytes: Vec<u8> = blocks.take(size).collect();
        digest(&SHA256, &bytes).as_ref() == file.digest.0
    });
    is_right.then(|| held.args.clone())
}

/// What would be started without a controller: the good image, else any that is right.
fn started(medium: &Blocks) -> Option<String> {
    let record = record(medium)?;
    let good = record.good.and_then(|slot| right(medium, &record, slot));
    good.or_else(|| (0..2).find_map(|slot| right(medium, &record, slot)))
}

/// The steps that note that a slot's image started well.
fn noted(now: &Record, slot: usize, least: u64) -> Store {
    Store::note(now, &Note { good: Some(slot), least, ..Note::default() }).unwrap().unwrap()
}

/// A medium with a good image in slot 0.
fn seeded() -> (Blocks, Record, Layout) {
    let layout = Layout::of(BLOCKS).unwrap();
    let first = image(1, &[9_000, 5_000]);
    let mut medium = Blocks::new();
    let store = Store::of(layout, &Record::default(), Held::of(&first.1)).unwrap();
    let after = store.after().clone();
    medium.extend(writes(store, layout, &first).concat());
    let good = noted(&after, 0, 7);
    let after = good.after().clone();
    medium.extend(writes(good, layout, &first).concat());
    assert_eq!(started(&medium).as_deref(), Some("seed=1"));
    assert_eq!(record(&medium).as_ref(), Some(&after));
    (medium, after, layout)
}

#[test]
fn every_prefix_of_the_writes_leaves_it_bootable() {
    let (before, now, layout) = seeded();
    let second = image(2, &[12_000, 10_000, 1]);
    let store = Store::of(layout, &now, Held::of(&second.1)).unwrap();
    let after = store.after().clone();
    let mut groups = writes(store, layout, &second);
    groups.extend(writes(noted(&after, 1, 9), layout, &second));
    let all = groups.concat();
    assert!(all.len() > 8, "{}", all.len());
    let mut seen = Vec::new();
    for count in 0..=all.len() {
        let mut medium = before.clone();
        medium.extend(all[..count].iter().copied());
        let image = started(&medium).unwrap();
        seen.push(image.clone());
        // And with the next block torn in its middle.
        if let Some((at, next)) = all.get(count) {
            let mut torn = block(&medium, *at);
            torn[..BLOCK / 2].copy_from_slice(&next[..BLOCK / 2]);
            medium.insert(*at, torn);
            assert_eq!(started(&medium), Some(image), "write {count} torn");
        }
    }
    seen.dedup();
    assert_eq!(seen, ["seed=1", "seed=2"], "the old one until the new one is good");
}

#[test]
fn the_slot_of_the_good_image_is_never_given_up() {
    let (mut medium, mut now, layout) = seeded();
    for seed in 2..80 {
        let next = image(seed, &[BLOCK * 7 + 1]);
        let store = Store::of(layout, &now, Held::of(&next.1)).unwrap();
        let good = now.good.unwrap();
        assert!(store.after().slots[good].is_some());
        now = store.after().clone();
        medium.extend(writes(store, layout, &next).concat());
        assert!(right(&medium, &now, 1 - good).is_some());
        if seed % 3 == 0 {
            let noted = noted(&now, 1 - good, 0);
            now = noted.after().clone();
            medium.extend(writes(noted, layout, &next).concat());
        }
        assert_eq!(record(&medium).as_ref(), Some(&now), "also where the ring of records goes round");
    }
    assert!(now.number > 2 * JOURNAL && now.worn > 78 * 8);
    assert!(now.wear(BLOCKS).ends_with("times over"), "{}", now.wear(BLOCKS));
}

#[test]
fn what_does_not_fit_is_not_begun() {
    let (_, now, layout) = seeded();
    let large = image(3, &[BLOCK * 8, 1]);
    let refused = Store::of(layout, &now, Held::of(&large.1)).unwrap_err();
    assert_eq!(refused, LayoutError::TooLarge { wanted: 9 * 4096, room: 8 * 4096 });
    let mut wordy = Held::of(&image(3, &[1]).1);
    wordy.args = "x".repeat(BLOCK);
    assert_eq!(Store::of(layout, &now, wordy).unwrap_err(), LayoutError::TooWordy);
    assert_eq!(Layout::of(JOURNAL + 1), Err(LayoutError::TooSmall));
}

#[test]
fn a_record_that_is_torn_does_not_count() {
    let (_, now, _) = seeded();
    let whole = now.block().unwrap();
    assert_eq!(Record::read(&whole), Ok(now));
    let mut torn = whole;
    torn[20] ^= 1;
    assert_eq!(Record::read(&torn), Err(RecordError::Torn));
    assert_eq!(Record::read(&[0; BLOCK]), Err(RecordError::Torn));
}

#[test]
fn a_boot_like_the_last_one_writes_nothing() {
    let (_, now, _) = seeded();
    let same = Note { good: Some(0), least: 7, args: Some((0, "seed=1".to_owned())), not_good: Some(1) };
    assert!(Store::note(&now, &same).unwrap().is_none());
    assert!(
        Store::note(&now, &Note { good: Some(1), least: 3, ..Note::default() }).unwrap().is_none(),
        "nothing there"
    );
    let after = |note: &Note| Store::note(&now, note).unwrap().unwrap().after().clone();
    let later = after(&Note { least: 8, ..Note::default() });
    assert_eq!((later.least, later.good, later.worn), (8, Some(0), now.worn + 1));
    let other = after(&Note { args: Some((0, "quiet".to_owned())), ..Note::default() });
    assert_eq!(other.slots[0].as_ref().unwrap().args, "quiet");
    assert_eq!(
        after(&Note { not_good: Some(0), ..Note::default() }).good,
        None,
        "its next start may destroy something"
    );
}

#[test]
fn a_slot_that_was_found_wrong_is_the_next_to_be_filled_also_if_it_was_good() {
    let (_, now, layout) = seeded();
    let wrong = now.without(0);
    assert_eq!((wrong.good, &wrong.slots[0]), (None, &None));
    let again = Store::of(layout, &wrong, Held::of(&image(1, &[9_000, 5_000]).1)).unwrap();
    assert!(again.after().slots[0].is_some() && again.after().number > now.number);
}

#[test]
fn what_is_held_is_found_by_its_digests_and_started_without_the_word_of_one_boot() {
    let (_, now, _) = seeded();
    let mut plan = image(1, &[9_000, 5_000]).1;
    plan.args = "console=ttyS0 labinator.boss=http://10.9.0.1 labinator.nonce=00ff".to_owned();
    let digests = [plan.kernel.digest, plan.initrd[0].digest];
    assert_eq!(
        (now.slot_of(&plan), now.slot_with(&digests), now.slot_with(&digests[..1])),
        (Some(0), Some(0), None)
    );
    let started = Held::of(&plan).plan().unwrap();
    assert_eq!(started.args, "console=ttyS0 labinator.boss=http://10.9.0.1");
    assert_eq!((&started.kernel, &started.initrd), (&plan.kernel, &plan.initrd));
}

#[test]
fn each_rung_is_taken_when_the_one_above_is_cut() {
    let seen =
        |medium, controller, has_wanted, has_good| rung(&Seen { medium, controller, has_wanted, has_good });
    let cut = |controller, has_wanted, has_good| seen(Medium::Pxe, controller, has_wanted, has_good);
    assert_eq!(seen(Medium::Http, Controller::Sends, false, true), Some(Rung::Http));
    assert_eq!(seen(Medium::Local, Controller::Sends, false, true), Some(Rung::Network));
    assert_eq!(cut(Controller::Sends, false, true), Some(Rung::Network));
    assert_eq!(cut(Controller::Sends, true, true), Some(Rung::Wanted), "it need not be fetched");
    assert_eq!(cut(Controller::Awaited, true, true), None, "the controller may come back");
    assert_eq!(cut(Controller::CannotSend, true, true), Some(Rung::Wanted));
    assert_eq!(cut(Controller::CannotSend, false, true), Some(Rung::LastGood));
    assert_eq!(cut(Controller::Gone, true, true), Some(Rung::LastGood), "nobody says what is wanted");
    assert_eq!(cut(Controller::Gone, true, false), Some(Rung::Rescue));
}

proptest! {
    #[test]
    fn a_flipped_bit_is_noticed_and_never_started(at in 0..BLOCKS, byte in 0..BLOCK, bit in 0..8_u8) {
        let (mut medium, _, _) = seeded();
        let mut flipped = block(&medium, at);
        flipped[byte] ^= 1 << bit;
        medium.insert(at, flipped);
        // The image as it was, or none of it.
        let image = started(&medium);
        prop_assert!(image.is_none() || image.as_deref() == Some("seed=1"));
    }

    #[test]
    fn writes_between_two_flushes_may_come_in_any_order(order in any::<u64>(), cut in any::<prop::sample::Index>()) {
        let (mut before, now, layout) = seeded();
        // Another image is in the place that is filled anew.
        let other = image(3, &[11_000]);
        let store = Store::of(layout, &now, Held::of(&other.1)).unwrap();
        let now = store.after().clone();
        before.extend(writes(store, layout, &other).concat());
        let second = image(2, &[12_000, 10_000]);
        let store = Store::of(layout, &now, Held::of(&second.1)).unwrap();
        let mut groups = writes(store, layout, &second);
        for group in &mut groups {
            let length = u64::try_from(group.len().max(1)).unwrap();
            group.rotate_left(usize::try_from(order % length).unwrap());
        }
        let all = groups.concat();
        let mut medium = before;
        medium.extend(all[..cut.index(all.len() + 1)].iter().copied());
        let image = started(&medium);
        prop_assert_eq!(image.as_deref(), Some("seed=1"));
        // What a record names is there: that is what the flushes are for, since nothing is started unhashed anyway.
        let record = record(&medium).unwrap();
        for (slot, held) in record.slots.iter().enumerate().filter(|(_, held)| held.is_some()) {
            prop_assert_eq!(right(&medium, &record, slot), held.as_ref().map(|held| held.args.clone()));
        }
    }
}
