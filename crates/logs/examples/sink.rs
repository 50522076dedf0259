//! A receiver of syslog over TCP that keeps lines as the controller does, for `cargo xtask bench logs`: it prints its port,
//! and when its connections have brought as many lines as it was told, what it counted and what that cost.
//!
//! ```text
//! sink LINES [all]     with `all`, every line is stored, whatever its template's share
//! ```
#![expect(clippy::print_stdout, reason = "the bench reads it")]

use std::net::Ipv4Addr;
use std::time::Duration;

use logs::{Limits, Quota, Store, Stream};
use tokio::net::TcpListener;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let lines: u64 = arguments.next().ok_or("how many lines?")?.parse()?;
    let quota = if arguments.next().as_deref() == Some("all") { Quota::NONE } else { Quota::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    runtime.block_on(async move {
        let stream =
            Stream::new(Store::new(Limits { quota, ..Limits::default() }), "bench".to_owned(), handle);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("{}", listener.local_addr()?.port());
        tokio::spawn(logs::receive::connections(stream.clone(), listener));
        tokio::spawn(stream.clone().tell_folds());
        let mut turn = tokio::time::interval(Duration::from_millis(100));
        while stream.look(|store| store.totals().lines) < lines {
            turn.tick().await;
        }
        stream.give(|intake, now| intake.store.tell_folds(now));
        stream.look(|store| {
            println!(
                "lines {} kept {} templates {} ring {}",
                store.totals().lines,
                store.next() - store.oldest(),
                store.templates().count(),
                store.bytes()
            );
        });
        let status = std::fs::read_to_string("/proc/self/status")?;
        println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default());
        // utime and stime (proc(5)), in ticks of 10 ms.
        let stat = std::fs::read_to_string("/proc/self/stat")?;
        let ticks: u64 =
            stat.split_whitespace().skip(13).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
        println!("cpu {} ms", ticks * 10);
        Ok(())
    })
}
