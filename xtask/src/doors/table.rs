//! Reads the fenced `doors` block: one row per room, `netboot -> store lifecycle wire model`.

use std::collections::BTreeSet;

/// What a room may use: everything, or these.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reach {
    Everything,
    These(BTreeSet<String>),
}

/// One line of the block; several rooms may share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Counted from one in the whole page.
    pub(crate) line: usize,
    rooms: Vec<String>,
    reach: Reach,
}

impl Row {
    /// Every crate name on the line, on either side of the arrow.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let used = match &self.reach {
            Reach::Everything => None,
            Reach::These(names) => Some(names.iter()),
        };
        self.rooms.iter().chain(used.into_iter().flatten()).map(String::as_str)
    }
}

/// All rows, and the line of the opening fence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    /// Counted from one.
    pub(crate) line: usize,
    rows: Vec<Row>,
}

impl Table {
    /// The rows in the order of the page.
    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Whether this room has a row.
    pub(crate) fn has_room(&self, room: &str) -> bool {
        self.rows.iter().any(|row| row.rooms.iter().any(|name| name == room))
    }

    /// Whether the arrow from `room` to `used` is drawn.
    pub(crate) fn allows(&self, room: &str, used: &str) -> bool {
        self.rows.iter().filter(|row| row.rooms.iter().any(|name| name == room)).any(|row| match &row.reach {
            Reach::Everything => true,
            Reach::These(names) => names.contains(used),
        })
    }
}

/// Reads the one `doors` block of a page.
///
/// Names are parted by spaces or commas; `*` means all; `#` starts a remark.
///
/// # Errors
/// The line and what is wrong with it: no block, two blocks, a block that never ends, a row
/// without an arrow or without a name, a room with two rows, a name that cannot be a crate.
pub(crate) fn parse(page: &str) -> Result<Table, (usize, String)> {
    let mut table: Option<Table> = None;
    let mut inside = false;
    let mut last = 1;
    for (line, text) in page.lines().enumerate().map(|(index, text)| (index + 1, text.trim())) {
        last = line;
        if !inside {
            if is_fence(text) {
                if table.is_some() {
                    return Err((line, "there is a second block `doors`".to_owned()));
                }
                table = Some(Table { line, rows: Vec::new() });
                inside = true;
            }
        } else if text == "```" {
            inside = false;
        } else if let Some(table) = &mut table
            && let Some(row) = parse_row(line, text)?
        {
            if let Some(room) = row.rooms.iter().find(|room| table.has_room(room)) {
                return Err((line, format!("`{room}` has two rows")));
            }
            table.rows.push(row);
        }
    }
    match table {
        Some(table) if inside => Err((table.line, "the block `doors` never ends".to_owned())),
        Some(table) if table.rows.is_empty() => Err((table.line, "the block `doors` is empty".to_owned())),
        Some(table) => Ok(table),
        None => Err((last, "there is no block `doors`".to_owned())),
    }
}

/// `CommonMark` 0.31 section 4.5: the info string is what follows the backticks.
fn is_fence(text: &str) -> bool {
    text.strip_prefix("```").is_some_and(|info| info.split_whitespace().next() == Some("doors"))
}

fn parse_row(line: usize, text: &str) -> Result<Option<Row>, (usize, String)> {
    let text = text.split('#').next().unwrap_or_default().trim();
    if text.is_empty() {
        return Ok(None);
    }
    let Some((left, right)) = text.split_once("->") else {
        return Err((line, format!("`{text}` has no arrow `->`")));
    };
    let rooms = names(line, left)?;
    if rooms.is_empty() {
        return Err((line, "no room stands before the arrow".to_owned()));
    }
    let reach = if right.trim() == "*" {
        Reach::Everything
    } else {
        Reach::These(names(line, right)?.into_iter().collect())
    };
    Ok(Some(Row { line, rooms, reach }))
}

fn names(line: usize, text: &str) -> Result<Vec<String>, (usize, String)> {
    let words = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
    words
        .map(|word| {
            let good = word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
            if good {
                Ok(word.to_owned())
            } else {
                Err((line, format!("`{word}` is not the name of a crate")))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(rows: &str) -> String {
        format!("# Map\n\n```text\na -> b\n```\n\n```doors\n{rows}```\n")
    }

    #[test]
    fn rows_lists_remarks_and_stars_are_read() {
        let rows = "labinator -> *\nnetboot -> store, wire model # sockets\n\nstore, model ->\n";
        let table = parse(&block(rows)).unwrap();
        assert_eq!(table.rows().len(), 3);
        assert!(table.allows("labinator", "sim"));
        assert!(table.allows("netboot", "wire"));
        assert!(!table.allows("netboot", "drivers"));
        assert!(table.has_room("store") && table.has_room("model"));
        assert!(!table.allows("model", "wire"));
        assert!(!table.has_room("a"), "a block of another kind is not read");
    }

    #[test]
    fn a_page_without_the_block_says_so() {
        assert_eq!(parse("# Map\n").unwrap_err().1, "there is no block `doors`");
        assert_eq!(parse("```doors\n```\n").unwrap_err().1, "the block `doors` is empty");
        assert_eq!(parse("```doors\na ->\n").unwrap_err(), (1, "the block `doors` never ends".to_owned()));
    }

    #[test]
    fn each_mistake_is_named_with_its_line() {
        assert_eq!(
            parse(&block("wire model\n")).unwrap_err(),
            (8, "`wire model` has no arrow `->`".to_owned())
        );
        assert_eq!(parse(&block("-> model\n")).unwrap_err().1, "no room stands before the arrow");
        assert_eq!(parse(&block("a ->\na -> b\n")).unwrap_err(), (9, "`a` has two rows".to_owned()));
        assert_eq!(parse(&block("a -> b*\n")).unwrap_err().1, "`b*` is not the name of a crate");
        let twice = format!("{}{}", block("a ->\n"), block("b ->\n"));
        assert_eq!(parse(&twice).unwrap_err().1, "there is a second block `doors`");
    }
}
