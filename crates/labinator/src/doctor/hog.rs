//! A program that spins on a processor that takes the lab's frames: looked for over a moment, whenever it is asked.

use std::path::Path;
use std::time::Duration;

use agent::cores::{Hog, Port, Reading, hogs};
use api::{Check, Finding};

use super::check;

/// Readings, and the pause between two of them.
const READINGS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(400);

/// Reads this machine a few times over a second or so.
pub(super) async fn watch(interface: &str) -> (Port, Vec<Reading>) {
    let name = interface.to_owned();
    let port =
        tokio::task::spawn_blocking(move || Port::look(Path::new("/"), &name)).await.unwrap_or_default();
    let mut readings = Vec::new();
    for turn in 0..READINGS {
        if turn > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        let reading = tokio::task::spawn_blocking(|| Reading::take(Path::new("/")));
        readings.extend(reading.await);
    }
    (port, readings)
}

/// One check for each hog, or one that says that there is none.
pub(super) fn examine(port: &Port, readings: &[Reading], lost_lately: bool) -> Vec<Check> {
    let found = hogs(readings, port, lost_lately);
    if found.is_empty() {
        let seen = format!("nothing spins where {}'s frames are taken{}", port.name, places(port));
        return vec![check("hog", Finding::Well, seen, "")];
    }
    found.iter().map(|hog| check("hog", Finding::Warning, seen(port, hog), &help(port, hog))).collect()
}

/// Where its interrupts go: `: IRQ 125 on processor 1`.
fn places(port: &Port) -> String {
    let place = |(irq, cpus): (&u32, &Vec<u32>)| {
        format!("IRQ {irq} on processor {}", agent::health::tables::list_of(cpus))
    };
    let places: Vec<String> = port.irqs.iter().filter(|(_, cpus)| !cpus.is_empty()).map(place).collect();
    if places.is_empty() { String::new() } else { format!(": {}", places.join(", ")) }
}

fn seen(port: &Port, hog: &Hog) -> String {
    let irqs: Vec<String> = hog.irqs.iter().map(u32::to_string).collect();
    let by = if irqs.is_empty() { String::new() } else { format!(" (IRQ {})", irqs.join(", ")) };
    format!(
        "{} (process {}) has {} % of processor {}, which takes {}'s frames{by}: {} frames dropped and {} rounds cut short \
         there while it was watched, ksoftirqd/{} at {} %",
        hog.name,
        hog.process,
        hog.percent,
        hog.cpu,
        port.name,
        hog.dropped,
        hog.squeezed,
        hog.cpu,
        hog.ksoftirqd
    )
}

fn help(port: &Port, hog: &Hog) -> String {
    format!(
        "renice -n 10 -p {}, or take the frames elsewhere: sudo labinator doctor --fix irq --interface {}",
        hog.process, port.name
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hog_is_told_with_process_processor_share_interrupt_and_counters() {
        let port = Port { name: "enp1s0".to_owned(), irqs: [(125, vec![1])].into(), ..Port::default() };
        let (name, irqs) = ("labwatch".to_owned(), vec![125]);
        let hog =
            Hog { name, process: 71, cpu: 1, percent: 98, irqs, dropped: 6, squeezed: 120, ksoftirqd: 34 };
        let told = seen(&port, &hog);
        for part in
            ["labwatch (process 71)", "98 % of processor 1", "IRQ 125", "6 frames", "120 rounds", "at 34 %"]
        {
            assert!(told.contains(part), "{told}");
        }
        assert!(help(&port, &hog).starts_with("renice -n 10 -p 71, "));
        let [well] = examine(&port, &[], false).try_into().unwrap();
        assert_eq!(well.seen, "nothing spins where enp1s0's frames are taken: IRQ 125 on processor 1");
    }
}
