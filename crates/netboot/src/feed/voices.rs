//! What each machine of the board said of its Talos, cut to what a person can read, and how much it may say.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{MacAddr, Sight, TalosSaid, TalosStage};
use talos::feed::{Event, Line, SequenceStep, Step};

use crate::sights::Sights;

/// Events a machine may push at once, and in a second from then on. A boot has some three hundred.
const EVENTS: Rate = Rate { at_once: 512, a_second: 50 };
/// Bytes of lines. A kernel's log of a whole boot, sent again from its start, has 300 kB.
const BYTES: Rate = Rate { at_once: 1 << 20, a_second: 256 << 10 };
/// Lines that say something: Talos's own, warnings and worse.
const TELLING: Rate = Rate { at_once: 100, a_second: 10 };
/// All others. The first of a kernel tell which one it is; the rest is for who looks at the machine.
const CHATTER: Rate = Rate { at_once: 20, a_second: 2 };

/// Longest name kept, in bytes.
const NAME: usize = 64;
/// Longest sentence kept, in bytes.
const SENTENCE: usize = 240;
/// Most reasons for not being ready.
const REASONS: usize = 8;
/// Severity of a warning.
const WARNING: u8 = 4;

/// What machines said. One for each machine of the board at most.
#[derive(Debug, Default)]
pub(crate) struct Voices(Mutex<HashMap<MacAddr, Voice>>);

/// One machine.
#[derive(Debug, Default)]
struct Voice {
    said: TalosSaid,
    events: Bucket,
    bytes: Bucket,
    telling: Bucket,
    chatter: Bucket,
}

impl Voices {
    fn voices(&self) -> MutexGuard<'_, HashMap<MacAddr, Voice>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long to wait before this machine's next event is taken.
    pub(super) fn afford_event(&self, mac: MacAddr, now: u64) -> Duration {
        self.voices().entry(mac).or_default().events.spend(1, EVENTS, now)
    }

    /// How long to wait before more of this machine is read, now that so many bytes were.
    pub(super) fn afford_bytes(&self, mac: MacAddr, count: usize, now: u64) -> Duration {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.voices().entry(mac).or_default().bytes.spend(count, BYTES, now)
    }

    /// Takes an event; `None` is one that could not be read.
    pub(super) fn event(&self, sights: &Sights, mac: MacAddr, event: Option<&Event>, now: u64) {
        let mut voices = self.voices();
        let said = &mut voices.entry(mac).or_default().said;
        let before = said.clone();
        match event {
            Some(event) => hear(said, event),
            None => said.unread = said.unread.saturating_add(1),
        }
        if *said != before {
            sights.see_at(mac, Sight::TalosSaid { said: said.clone() }, now);
        }
    }

    /// Takes a line; `None` is one that could not be read.
    pub(super) fn line(&self, sights: &Sights, mac: MacAddr, line: Option<&Line>, now: u64) {
        let mut voices = self.voices();
        let voice = voices.entry(mac).or_default();
        let taken = line.filter(|line| {
            let telling = line.severity() <= WARNING || line.message.starts_with("[talos]");
            if telling { voice.telling.afford(TELLING, now) } else { voice.chatter.afford(CHATTER, now) }
        });
        let Some(line) = taken else {
            voice.said.left_out = voice.said.left_out.saturating_add(1);
            // Told at the first and at each doubling: a machine that floods must not flood the core as well.
            if voice.said.left_out.is_power_of_two() {
                sights.see_at(mac, Sight::TalosSaid { said: voice.said.clone() }, now);
            }
            return;
        };
        let service = line.service.as_deref().map(|service| plain(service, NAME));
        let text = plain(&line.message, SENTENCE);
        sights.see_at(mac, Sight::TalosLogged { severity: line.severity(), service, text }, now);
    }

    /// Says all of it again, to a core that was not there.
    pub(crate) fn repeat(&self, sights: &Sights, now: u64) {
        for (mac, voice) in self.voices().iter().filter(|(_, voice)| voice.said != TalosSaid::default()) {
            sights.see_at(*mac, Sight::TalosSaid { said: voice.said.clone() }, now);
        }
    }

    /// Forgets machines that are not on the board any more.
    pub(crate) fn keep_only(&self, on_board: impl Fn(MacAddr) -> bool) {
        self.voices().retain(|mac, _| on_board(*mac));
    }
}

/// What still holds after this event.
fn hear(said: &mut TalosSaid, event: &Event) {
    match event {
        Event::Sequence { name, step: SequenceStep::Start } => {
            // The first thing of every boot: what the last one said is over.
            if name == "initialize" {
                *said = TalosSaid::default();
            }
            said.sequence = plain(name, NAME);
            said.phase.clear();
        }
        Event::Sequence { name, step: SequenceStep::Stop } => end_sequence(said, name),
        Event::Sequence { name, step: SequenceStep::Failed { message, .. } } => {
            said.trouble = Some(plain(&format!("{name}: {message}"), SENTENCE));
            end_sequence(said, name);
        }
        Event::Phase { name, step: Step::Start } => said.phase = plain(name, NAME),
        Event::Phase { name, step: Step::Stop } => {
            if said.phase == plain(name, NAME) {
                said.phase.clear();
            }
        }
        Event::Service { id, state, message, .. } if state == "Failed" => {
            said.trouble = Some(plain(&format!("{id} failed: {message}"), SENTENCE));
        }
        Event::ConfigLoad { error } => {
            said.trouble = Some(plain(&format!("its config could not be had: {error}"), SENTENCE));
        }
        Event::ConfigValidation { error } => {
            said.trouble = Some(plain(&format!("its config is no good: {error}"), SENTENCE));
        }
        Event::Status { stage, ready, unmet } => {
            said.stage = *stage;
            let weighs = matches!(stage, TalosStage::Booting | TalosStage::Running);
            said.ready = *ready && weighs;
            let reasons = unmet.iter().take(REASONS);
            said.unmet =
                reasons.map(|(name, reason)| plain(&format!("{name}: {reason}"), SENTENCE)).collect();
        }
        Event::Other { .. } => said.unread = said.unread.saturating_add(1),
        Event::Task { .. } | Event::Service { .. } | Event::Restart { .. } | Event::Address { .. } => {}
    }
}

fn end_sequence(said: &mut TalosSaid, name: &str) {
    if said.sequence == plain(name, NAME) {
        said.sequence.clear();
        said.phase.clear();
    }
}

/// One line of printable characters, cut to so many bytes: it goes to terminals.
fn plain(text: &str, most: usize) -> String {
    let mut kept = String::new();
    for letter in text.trim().chars() {
        let letter = if letter.is_control() { ' ' } else { letter };
        if kept.len() + letter.len_utf8() > most {
            break;
        }
        kept.push(letter);
    }
    kept
}

/// How much at once, and how much a second in the long run.
#[derive(Debug, Clone, Copy)]
struct Rate {
    at_once: i64,
    a_second: i64,
}

/// What was spent of a rate.
#[derive(Debug, Default)]
struct Bucket {
    spent: i64,
    /// Milliseconds at which `spent` was right.
    at: u64,
}

impl Bucket {
    fn refill(&mut self, rate: Rate, now: u64) {
        let passed = i64::try_from(now.saturating_sub(self.at)).unwrap_or(i64::MAX);
        let back = passed.saturating_mul(rate.a_second) / 1000;
        if back > 0 {
            self.spent = self.spent.saturating_sub(back).max(0);
            self.at = now;
        }
    }

    /// Spends, and says how long to wait until that was affordable.
    fn spend(&mut self, amount: i64, rate: Rate, now: u64) -> Duration {
        self.refill(rate, now);
        self.spent = self.spent.saturating_add(amount);
        let over = self.spent.saturating_sub(rate.at_once).max(0);
        let wait = over.saturating_mul(1000) / rate.a_second;
        Duration::from_millis(u64::try_from(wait).unwrap_or_default())
    }

    /// Spends one, if there is one.
    fn afford(&mut self, rate: Rate, now: u64) -> bool {
        self.refill(rate, now);
        let has = self.spent < rate.at_once;
        self.spent = self.spent.saturating_add(i64::from(has));
        has
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

    fn sights(sights: &Sights) -> Vec<Sight> {
        let sighting = |up| match up {
            crate::Up::Sighting(seen) => Some(seen.sight),
            _ => None,
        };
        sights.take().into_iter().filter_map(sighting).collect()
    }

    fn sequence(name: &str, step: SequenceStep) -> Event {
        Event::Sequence { name: name.to_owned(), step }
    }

    #[test]
    fn what_a_boot_said_is_over_with_the_next() {
        let (voices, queue) = (Voices::default(), Sights::default());
        let unmet = vec![("services".to_owned(), "etcd".to_owned())];
        let failed = SequenceStep::Failed { fault: talos::feed::Fault::Fatal, message: "no disk".to_owned() };
        for event in [
            sequence("initialize", SequenceStep::Start),
            Event::Phase { name: "config".to_owned(), step: Step::Start },
            Event::Status { stage: TalosStage::Booting, ready: false, unmet },
            Event::Other { kind: "machine.New".to_owned() },
        ] {
            voices.event(&queue, NODE, Some(&event), 1);
        }
        let [Sight::TalosSaid { said }] = &sights(&queue)[..] else { panic!("merged into one") };
        assert_eq!((said.sequence.as_str(), said.phase.as_str()), ("initialize", "config"));
        assert_eq!((said.stage, said.ready, said.unread), (TalosStage::Booting, false, 1));
        assert_eq!(said.unmet, ["services: etcd"]);
        voices.event(&queue, NODE, Some(&sequence("initialize", failed)), 2);
        let [Sight::TalosSaid { said }] = &sights(&queue)[..] else { panic!("one") };
        assert_eq!((said.trouble.as_deref(), said.sequence.as_str()), (Some("initialize: no disk"), ""));
        voices.event(&queue, NODE, Some(&sequence("initialize", SequenceStep::Start)), 3);
        let [Sight::TalosSaid { said }] = &sights(&queue)[..] else { panic!("one") };
        let anew = TalosSaid { sequence: "initialize".to_owned(), ..TalosSaid::default() };
        assert_eq!(*said, anew);
    }

    #[test]
    fn what_is_said_cannot_move_a_terminal_or_fill_the_memory() {
        let (voices, queue) = (Voices::default(), Sights::default());
        let name = format!("\x1b[2J\n{}", "ä".repeat(10_000));
        let unmet = vec![(name.clone(), name.clone()); 1000];
        voices.event(&queue, NODE, Some(&sequence(&name, SequenceStep::Start)), 1);
        voices.event(
            &queue,
            NODE,
            Some(&Event::Status { stage: TalosStage::Booting, ready: true, unmet }),
            1,
        );
        let [Sight::TalosSaid { said }] = &sights(&queue)[..] else { panic!("one") };
        assert!(said.sequence.len() <= NAME && !said.sequence.contains(['\x1b', '\n']), "{}", said.sequence);
        assert!(said.unmet.len() == REASONS && said.unmet.iter().all(|text| text.len() <= SENTENCE));
    }

    #[test]
    fn a_kernel_that_talks_without_end_does_not_drown_what_talos_says() {
        let (voices, queue) = (Voices::default(), Sights::default());
        let line = |text: &str| {
            let text = format!(r#"{{"msg":"{text}","talos-level":"info","priority":"info","seq":1}}"#);
            Line::read(text.as_bytes()).unwrap().said().clone()
        };
        for number in 0..5_000_u64 {
            voices.line(&queue, NODE, Some(&line(&format!("usb {number}"))), number);
        }
        voices.line(&queue, NODE, Some(&line("[talos] phase config")), 5_000);
        let seen = sights(&queue);
        let texts: Vec<&str> = seen
            .iter()
            .filter_map(|sight| match sight {
                Sight::TalosLogged { text, .. } => Some(text.as_str()),
                _ => None,
            })
            .collect();
        assert!((25..=35).contains(&texts.len()), "20 at once, two a second, and Talos's: {texts:?}");
        assert_eq!(texts.last(), Some(&"[talos] phase config"));
        let left = seen.iter().rev().find_map(|sight| match sight {
            Sight::TalosSaid { said } => Some(said.left_out),
            _ => None,
        });
        assert_eq!(left, Some(4096), "told at doublings");
    }

    #[test]
    fn who_pushes_more_than_a_machine_does_waits() {
        let voices = Voices::default();
        let free = (0..512).all(|_| voices.afford_event(NODE, 1).is_zero());
        assert!(free, "a whole boot at once");
        assert_eq!(voices.afford_event(NODE, 1), Duration::from_millis(20));
        assert!(voices.afford_event(NODE, 60_000).is_zero(), "later it is heard again");
        assert!(voices.afford_bytes(NODE, 1 << 20, 1).is_zero());
        assert_eq!(voices.afford_bytes(NODE, 256 << 10, 1), Duration::from_secs(1));
    }
}
