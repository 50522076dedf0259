//! `logs`: lines of all machines, with marks where some are missing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api::{LogEntry, LogFold, LogGap, LogItem, LogLoss, LogSummary};
use clap::Args;
use http_body_util::BodyExt as _;
use model::WallTime;

use super::args::duration;
use super::client::Client;
use super::failure::Failure;
use super::out::{self, Look};
use super::render::{Paint, clock};
use super::sse::{Message, Parser};
use super::stream::{Follower, Told};

/// What is shown before and after a moment, in milliseconds.
const AROUND: u64 = 30_000;

/// Options of `logs`.
#[derive(Debug, Clone, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct LogsArgs {
    /// Go on showing
    #[arg(short, long)]
    follow: bool,
    /// Only lines of this machine, or of a sender that is called so
    #[arg(long, value_name = "N")]
    node: Option<String>,
    /// Only lines this bad or worse: emerg, alert, crit, err, warning, notice, info, debug
    #[arg(long, value_name = "L")]
    level: Option<String>,
    /// Only lines in which this regular expression is found
    #[arg(long, value_name = "RE")]
    grep: Option<String>,
    /// Begin so many lines before now [default: 100; without --follow all that are kept]
    #[arg(long, value_name = "N")]
    tail: Option<u64>,
    /// Begin so long before now
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "tail")]
    since: Option<Duration>,
    /// Show what all machines said within 30 s of a moment: 2026-11-26T14:02:11Z, or 14:02:11 of the last 24 h (UTC)
    #[arg(long, value_name = "MOMENT", value_parser = moment, conflicts_with_all = ["tail", "since", "follow"])]
    around: Option<u64>,
    /// Show what came, what it was and what is missing instead, by template
    #[arg(long, conflicts_with_all = ["follow", "tail", "since", "around", "node", "level", "grep"])]
    summary: bool,
    /// As JSON, one line a line
    #[arg(long)]
    json: bool,
}

/// Milliseconds since 1970 of a moment as it is typed.
fn moment(text: &str) -> Result<u64, String> {
    const DAY: u64 = 24 * 3600 * 1000;
    if let Some(at) = logs::rfc3339(text.as_bytes()) {
        return Ok(at);
    }
    let today = logs::rfc3339(format!("1970-01-01T{text}Z").as_bytes());
    let of_day = today.ok_or("a moment is 2026-11-26T14:02:11Z, or 14:02:11")?;
    let now = now();
    let at = now - now % DAY + of_day;
    Ok(if at > now { at.saturating_sub(DAY) } else { at })
}

fn now() -> u64 {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)
}

impl LogsArgs {
    fn path(&self) -> String {
        let since = match (self.around, self.since) {
            (Some(at), _) => Some(at.saturating_sub(AROUND)),
            (None, Some(ago)) => {
                Some(now().saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)))
            }
            (None, None) => None,
        };
        let all = u64::from(u32::MAX);
        let tail = self.tail.or_else(|| (!self.follow && since.is_none()).then_some(all));
        let pairs = [
            ("follow", Some(self.follow.to_string())),
            ("node", self.node.as_deref().map(escaped)),
            ("level", self.level.as_deref().map(escaped)),
            ("grep", self.grep.as_deref().map(escaped)),
            ("since", since.map(|at| at.to_string())),
            ("until", self.around.map(|at| at.saturating_add(AROUND).to_string())),
            ("tail", tail.map(|lines| lines.to_string())),
        ];
        let pairs = pairs.into_iter().filter_map(|(key, value)| Some(format!("{key}={}", value?)));
        format!("/v1/logs?{}", pairs.collect::<Vec<_>>().join("&"))
    }
}

/// As a value in a query (RFC 3986 section 2).
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let each = text.bytes().map(|byte| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    each.collect()
}

/// Shows lines until they end, or Ctrl-C.
pub(super) async fn logs(client: &Client, args: LogsArgs, look: Look) -> Result<(), Failure> {
    if args.summary {
        let summary: LogSummary = client.get("/v1/logs/summary").await?;
        return super::verbs::shown(&summary, args.json, || summed(&summary));
    }
    let path = args.path();
    if args.follow {
        return tokio::select! {
            ended = follow(client, &path, args.json, look) => ended,
            _ = tokio::signal::ctrl_c() => Ok(()),
        };
    }
    let mut body = client.stream(&path, None).await?;
    let mut parser = Parser::default();
    while let Some(frame) = body.frame().await {
        let broken = |why: &dyn std::fmt::Display| Failure::failed(format!("the stream broke: {why}"));
        let bytes = frame.map_err(|why| broken(&why))?.into_data().unwrap_or_default();
        for message in parser.push(&bytes).map_err(|why| broken(&why))? {
            tell(&message, args.json, look)?;
        }
    }
    Ok(())
}

async fn follow(client: &Client, path: &str, json: bool, look: Look) -> Result<(), Failure> {
    let mut follower = Follower::open_at(client, path).await?;
    loop {
        match follower.message().await? {
            Told::Message(message) => tell(&message, json, look)?,
            Told::Lost(why) => out::complain(&why.text()),
        }
    }
}

fn tell(message: &Message, json: bool, look: Look) -> Result<(), Failure> {
    if message.event == "beat" {
        return Ok(());
    }
    let text = format!(r#"{{"event":"{}","data":{}}}"#, message.event, message.data);
    if json {
        return out::line(&text);
    }
    match serde_json::from_str(&text) {
        Ok(item) => out::line(&written(&item, Paint(look.color))),
        Err(why) => Err(Failure::with_advice(
            format!("the controller said something that cannot be read: {why}"),
            "is it the same version as this program? `labinator --version`",
        )),
    }
}

/// One item, as a person reads it.
fn written(item: &LogItem, paint: Paint) -> String {
    match item {
        LogItem::Line(LogEntry { at, node, program, severity, text, .. }) => {
            let text = match severity {
                0..=3 => paint.broken(text),
                4 => paint.doubtful(text),
                5.. => text.clone(),
            };
            headed(*at, node.as_deref(), program.as_deref(), &text)
        }
        LogItem::Folded(LogFold { at, node, program, lines, pattern, .. }) => {
            let text = paint.faint(&format!("… {lines} more like: {pattern}"));
            headed(*at, node.as_deref(), program.as_deref(), &text)
        }
        LogItem::Lost(LogLoss { at, node, stage, lines, .. }) => {
            let what = match stage.as_str() {
                "hand-over" => format!("… {lines} lines lost here (the core did not take them in time)"),
                "cut" => format!("… {lines} lines cut here (longer than 8 KiB)"),
                "console" => format!("… {lines} bytes of the console lost here"),
                "unreadable" => format!("… {lines} lines here are none of their format"),
                "file" => {
                    "… lines may be missing here: a file was cut short, or gone before it was read".to_owned()
                }
                "disk" => format!("… {lines} lines here were not written to disk"),
                other => format!("… {lines} lines lost here ({other})"),
            };
            headed(*at, node.as_deref(), None, &paint.doubtful(&what))
        }
        LogItem::Gap(LogGap { reason, lines, .. }) => paint.doubtful(&match (reason.as_str(), lines) {
            ("another-core", _) => {
                "… the controller was started again; what it had only in memory is gone".to_owned()
            }
            ("torn", _) => "… what was being written here was cut off".to_owned(),
            (_, Some(lines)) => format!("… {lines} lines skipped (slow reader)"),
            (other, None) => format!("… lines skipped ({other})"),
        }),
        LogItem::Beat(()) => String::new(),
    }
}

fn headed(at: WallTime, node: Option<&str>, program: Option<&str>, text: &str) -> String {
    let (node, program) = (node.unwrap_or("-"), program.map(|name| format!("{name}: ")).unwrap_or_default());
    format!("{}  {node:<12}  {program}{text}", clock(at))
}

/// To a tenth.
fn megabytes(bytes: u64) -> String {
    let tenths = bytes.div_ceil(100_000);
    if tenths.is_multiple_of(10) {
        (tenths / 10).to_string()
    } else {
        format!("{}.{}", tenths / 10, tenths % 10)
    }
}

/// What came, as a person reads it.
fn summed(summary: &LogSummary) -> String {
    let mut out = format!(
        "{} lines, {} kept ({} MiB); {} templates\n",
        summary.lines,
        summary.next.saturating_sub(summary.oldest),
        summary.memory >> 20,
        summary.kinds
    );
    if let Some(disk) = &summary.disk {
        let [today, a_day, kept] = [disk.today, disk.a_day, disk.kept].map(megabytes);
        out.push_str(&format!("{today} of {a_day} MB written today, {kept} MB on disk\n"));
        if disk.failures > 0 {
            out.push_str(&format!("{:>12}  writes failed: is there room on the disk?\n", disk.failures));
        }
    }
    let lost = summary.lost.iter().filter(|lost| lost.lines > 0);
    for lost in lost {
        out.push_str(&format!("{:>12}  {}\n", lost.lines, lost.stage));
    }
    for rule in summary.rules.iter().filter(|rule| rule.lines > 0) {
        out.push_str(&format!("{:>12}  {}\n", rule.lines, rule.rule));
    }
    for one in &summary.templates {
        let program = if one.program.is_empty() { String::new() } else { format!("{}: ", one.program) };
        out.push_str(&format!("×{:>11}  {program}{}\n", one.lines, one.pattern));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_of_the_last_day_or_a_date() {
        assert_eq!(moment("2026-11-26T05:54:56Z"), Ok(1_795_672_496_000));
        let at = moment("14:02:11").unwrap();
        assert!(at <= now() && now() - at < 24 * 3600 * 1000 && at / 1000 % 86_400 == 50_531);
        assert!(moment("25:00:00").is_err() && moment("soon").is_err());
    }

    #[test]
    fn bytes_are_shown_in_megabytes_and_none_as_none() {
        let shown = [0, 1, 100_000, 1_000_000, 50_000_000].map(megabytes);
        assert_eq!(shown, ["0", "0.1", "0.1", "1", "50"]);
    }

    #[test]
    fn what_is_asked_stands_in_the_query() {
        let args = LogsArgs { grep: Some("a b&c=\\d+".to_owned()), follow: true, ..LogsArgs::default() };
        assert_eq!(args.path(), "/v1/logs?follow=true&grep=a%20b%26c%3D%5Cd%2B");
        assert_eq!(LogsArgs::default().path(), "/v1/logs?follow=false&tail=4294967295");
    }
}
