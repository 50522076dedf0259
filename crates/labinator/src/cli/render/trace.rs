//! The waterfall of a boot: where its seconds went.

use model::{Bar, FileBytes, FileRole, LogSource, Trace};

use super::paint::{Paint, bytes, counted, cut, seconds};

/// A bar is told apart from its median when it differs by this many tenths of it.
const NOTABLE_TENTHS: u64 = 3;

/// The whole waterfall with a line break at its end.
#[must_use]
pub fn render_trace(trace: &Trace, width: usize, color: bool) -> String {
    let paint = Paint(color);
    let fall = &trace.waterfall;
    let chart = (width / 3).clamp(16, 40);
    let mut head = vec![trace.node.to_string()];
    head.extend(fall.firmware.map(|f| f.to_string()));
    if !fall.ipxe.is_empty() {
        head.push(format!("iPXE {}", fall.ipxe));
    }
    head.push(format!("boot {}", fall.number));
    let so_far = if fall.open { " so far" } else { "" };
    let total = match fall.median_ms {
        Some(median) => format!(
            "total {} s{so_far}   median {} of {}",
            seconds(fall.total_ms),
            seconds(median),
            fall.median_of
        ),
        None => format!("total {} s{so_far}", seconds(fall.total_ms)),
    };
    let mut lines = vec![format!("{}   {total}", paint.strong(&head.join(" · ")))];
    for bar in &fall.bars {
        let left = format!("  {:<9}{:>6} ", bar.stage, seconds(bar.from_ms));
        let drawn = drawn(bar, fall.total_ms, chart);
        let room = width.saturating_sub(left.chars().count() + chart + 2);
        let drawn = if bar.open { paint.moving(&drawn) } else { drawn };
        lines.push(format!("{left}{drawn}  {}", cut(&words(bar), room)).trim_end().to_owned());
    }
    if fall.bars.is_empty() {
        lines.push("  nothing has been seen of this boot yet".to_owned());
    }
    for transfer in trace.boot.transfers.iter().filter_map(|t| t.broken.as_ref().map(|why| (t, why))) {
        let (file, why) = transfer;
        let text = format!("{} broke off after {}: {why}", file.name, bytes(file.bytes));
        lines.push(format!("  {} {}", paint.doubtful("!"), cut(&text, width.saturating_sub(4))));
    }
    lines.extend(terms(trace, width));
    lines.extend(cost(trace, width, paint));
    for line in trace.boot.log.iter().filter(|line| line.error.is_some()) {
        let who = if line.source == LogSource::Loader { "its loader refused" } else { "iPXE said" };
        let text = format!("{who}: {}", line.error.as_deref().unwrap_or_default());
        lines.push(format!("  {} {}", paint.doubtful("!"), cut(&text, width.saturating_sub(4))));
    }
    if let Some(saved) = &trace.boot.packets {
        let text = format!("heads of {} packets saved: /v1/failures/{}", saved.frames, saved.file);
        lines.push(format!("  {} {}", paint.doubtful("!"), cut(&text, width.saturating_sub(4))));
    }
    if trace.boot.unrecorded > 0 {
        lines.push(format!("  … {} more marks were not kept", trace.boot.unrecorded));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// How its files went over TFTP, where windows and loss are seen.
fn terms(trace: &Trace, width: usize) -> Vec<String> {
    let files = trace.boot.transfers.iter().filter_map(|file| file.terms.map(|terms| (file, terms)));
    let lines = files.map(|(file, terms)| {
        let again = if file.repeats == 0 { String::new() } else { format!(", {} sent again", file.repeats) };
        let text =
            format!("{}: blocks of {} bytes, {} at a time{again}", file.name, terms.block, terms.window);
        format!("  {}", cut(&text, width.saturating_sub(2)))
    });
    lines.collect()
}

/// What was sent for this boot, and the files that cost more than they had to.
fn cost(trace: &Trace, width: usize, paint: Paint) -> Vec<String> {
    let files = &trace.boot.files;
    if files.is_empty() {
        return Vec::new();
    }
    let sum = |of: fn(&FileBytes) -> u64| bytes(files.iter().map(of).fold(0, u64::saturating_add));
    let (sent, again) = (sum(|file| file.sent), sum(FileBytes::again));
    let mut lines = vec![format!("  served {sent} in {}, of it {again} twice", counted(files.len(), "file"))];
    for file in files.iter().filter(|file| file.again() > 0 || file.role == FileRole::Other) {
        let times = if file.begun == 1 { "once".to_owned() } else { format!("{} times", file.begun) };
        let mut text =
            format!("{} was asked for {times}: {} of {}", file.name, bytes(file.sent), bytes(file.size));
        if file.role == FileRole::Other {
            text.push_str(", no part of the image");
        }
        lines.push(format!("  {} {}", paint.doubtful("!"), cut(&text, width.saturating_sub(4))));
    }
    lines
}

/// `├───┤` at its place, exactly `chart` characters.
fn drawn(bar: &Bar, total_ms: u64, chart: usize) -> String {
    let column = |ms: u64| {
        let last = u64::try_from(chart).unwrap_or(u64::MAX).saturating_sub(1);
        let at = ms.min(total_ms).saturating_mul(last).checked_div(total_ms).unwrap_or(0);
        usize::try_from(at).unwrap_or(0)
    };
    let (from, to) = (column(bar.from_ms), column(bar.from_ms.saturating_add(bar.took_ms)));
    let end = if bar.open { '▸' } else { '┤' };
    let mut text = " ".repeat(from);
    if to > from {
        text.push('├');
        text.push_str(&"─".repeat(to - from - 1));
    }
    text.push(end);
    text.push_str(&" ".repeat(chart.saturating_sub(to + 1)));
    text
}

fn words(bar: &Bar) -> String {
    let mut parts = vec![format!("{} s", seconds(bar.took_ms))];
    if bar.bytes > 0 {
        let amount = if bar.open && bar.size > bar.bytes {
            format!("{} of {}", bytes(bar.bytes), bytes(bar.size))
        } else {
            bytes(bar.bytes)
        };
        let rate = bar.bytes.saturating_mul(1000).checked_div(bar.took_ms).filter(|r| *r >= 1_000_000);
        parts.push(match rate {
            Some(rate) => format!("{amount}, {}/s", bytes(rate)),
            None => amount,
        });
    }
    parts.extend(bar.note.clone());
    if let Some(median) = bar.median_ms
        && !bar.open
        && bar.took_ms.abs_diff(median) >= 500
        && bar.took_ms.abs_diff(median).saturating_mul(10) >= median.saturating_mul(NOTABLE_TENTHS)
    {
        parts.push(format!("usually {}", seconds(median)));
    }
    parts.join(" · ")
}
