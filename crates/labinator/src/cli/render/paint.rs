//! Colour for words that carry a state; the words alone must be enough.

/// Adds colours, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint(pub bool);

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        if self.0 && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// As it should be.
    #[must_use]
    pub fn well(self, text: &str) -> String {
        self.with("32", text)
    }

    /// Broken.
    #[must_use]
    pub fn broken(self, text: &str) -> String {
        self.with("31", text)
    }

    /// Not as it should be, or not known.
    #[must_use]
    pub fn doubtful(self, text: &str) -> String {
        self.with("33", text)
    }

    /// On its way.
    #[must_use]
    pub fn moving(self, text: &str) -> String {
        self.with("36", text)
    }

    /// Of little weight.
    #[must_use]
    pub fn faint(self, text: &str) -> String {
        self.with("2", text)
    }

    /// A heading.
    #[must_use]
    pub fn strong(self, text: &str) -> String {
        self.with("1", text)
    }
}

/// The first `width` characters; `…` takes the place of the last one when something was left out.
#[must_use]
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    if width > 0 {
        short.push('…');
    }
    short
}

/// Breaks a text into lines of at most `width` characters, at spaces where there are any.
#[must_use]
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(16);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Seconds with one decimal: `9.1`.
#[must_use]
pub fn seconds(ms: u64) -> String {
    format!("{}.{}", ms / 1000, ms % 1000 / 100)
}

/// Bytes as people say them: `192 KB`, `95 MB`, decimal.
#[must_use]
pub fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{} KB", count / 1_000),
        1_000_000..10_000_000 => format!("{}.{} MB", count / 1_000_000, count % 1_000_000 / 100_000),
        10_000_000..10_000_000_000 => format!("{} MB", count / 1_000_000),
        _ => format!("{} GB", count / 1_000_000_000),
    }
}

/// Time of day in UTC, `14:02:11`.
#[must_use]
pub fn clock(wall: model::WallTime) -> String {
    let seconds = wall.0 / 1000;
    format!("{:02}:{:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
}

/// `1 machine`, `6 machines`.
#[must_use]
pub fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_and_wrapped_by_characters() {
        assert_eq!(cut("größer", 6), "größer");
        assert_eq!(cut("größeres", 6), "größe…");
        assert_eq!(wrap("one two three four five", 16), ["one two three", "four five"]);
        assert!(wrap("", 20).is_empty());
    }

    #[test]
    fn amounts_read_as_people_say_them() {
        assert_eq!(seconds(9_140), "9.1");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(192_512), "192 KB");
        assert_eq!(bytes(1_550_000), "1.5 MB");
        assert_eq!(bytes(95_000_000), "95 MB");
        assert_eq!(clock(model::WallTime(50_531_000)), "14:02:11");
        assert_eq!(counted(1, "machine"), "1 machine");
    }
}
