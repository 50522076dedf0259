//! Tables of web pages that switches make: rows of cells as text. Enough of HTML for pages written by firmware, and no
//! more: elements that are not closed, entities and scripts are met as they are.

/// Longest page that is looked at, in bytes; the largest of a switch with 48 ports has a third of it.
const LARGEST: usize = 256 << 10;

/// All rows of all tables, each with the text of its cells.
pub(super) fn rows(page: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut row: Vec<String> = Vec::new();
    let mut cell: Option<String> = None;
    let mut rest = page.get(..LARGEST).unwrap_or(page);
    while let Some(at) = rest.find('<') {
        if let (Some(cell), Some(text)) = (&mut cell, rest.get(..at)) {
            cell.push_str(text);
        }
        let Some(tag) = rest.get(at + 1..) else { break };
        let end = tag.find('>').unwrap_or(tag.len());
        let name: String = tag
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '/')
            .collect::<String>()
            .to_ascii_lowercase();
        match name.as_str() {
            "tr" | "/tr" | "/table" => {
                row.extend(cell.take().map(|text| tidy(&text)));
                if !row.is_empty() {
                    rows.push(std::mem::take(&mut row));
                }
            }
            "td" | "th" => {
                row.extend(cell.take().map(|text| tidy(&text)));
                cell = Some(String::new());
            }
            "/td" | "/th" => row.extend(cell.take().map(|text| tidy(&text))),
            // Words on both sides of a mark are two words.
            _ => {
                if let Some(cell) = &mut cell {
                    cell.push(' ');
                }
            }
        }
        rest = tag.get(end.saturating_add(1)..).unwrap_or_default();
    }
    row.extend(cell.take().map(|text| tidy(&(text + rest))));
    if !row.is_empty() {
        rows.push(row);
    }
    rows
}

fn tidy(text: &str) -> String {
    text.replace("&nbsp;", " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// "Port 3" or "3": the number of a port.
pub(super) fn port(cell: &str) -> Option<String> {
    let number = cell.strip_prefix("Port").map_or(cell, str::trim_start);
    let right = !number.is_empty() && number.len() <= 3 && number.bytes().all(|byte| byte.is_ascii_digit());
    right.then(|| number.to_owned())
}

/// "Enable", "Disabled": whether a port is enabled.
pub(super) fn state(cell: &str) -> Option<bool> {
    let word = cell.to_ascii_lowercase();
    match word.as_str() {
        "enable" | "enabled" => Some(true),
        "disable" | "disabled" => Some(false),
        _ => None,
    }
}

/// "1000Full", "2.5G Full", "100M/Half", "Link Down": a link's speed in megabits a second; none for no link. The outer
/// `None` for what is neither.
#[expect(clippy::option_option, reason = "no link and no speed are two things")]
pub(super) fn speed(cell: &str) -> Option<Option<u32>> {
    let word = cell.to_ascii_lowercase();
    if word.contains("down") || matches!(word.as_str(), "-" | "--" | "none") {
        return Some(None);
    }
    let digits: String = word.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let unit = word.get(digits.len()..).unwrap_or_default().trim_start();
    let (whole, part) = digits.split_once('.').unwrap_or((&digits, ""));
    let whole: u32 = whole.parse().ok()?;
    if !unit.starts_with('g') {
        return (part.is_empty() && whole > 0).then_some(Some(whole));
    }
    let tenths: u32 = if part.is_empty() { 0 } else { part.get(..1)?.parse().ok()? };
    Some(Some(whole.checked_mul(1000)?.checked_add(tenths.checked_mul(100)?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_as_firmware_writes_them() {
        let page = "<table><tr><th>Port<th>State</tr>\n<tr><td>Port&nbsp;1</td><td><b>Enable</b></td>\
                    <tr><TD align=\"center\">Port 2<td>Disable</table><td>left";
        let wanted =
            [vec!["Port", "State"], vec!["Port 1", "Enable"], vec!["Port 2", "Disable"], vec!["left"]];
        assert_eq!(rows(page), wanted);
        assert_eq!(rows("<tr><td>a<br>b"), [["a b"]]);
        for garbage in ["", "<", "<<<td", "<td", "</tr></tr>", "\u{fffd}<td>\u{fffd}<"] {
            assert!(rows(garbage).len() <= 1, "{garbage}");
        }
    }

    #[test]
    fn words_of_cells_are_read_and_others_are_not() {
        assert_eq!((port("Port 12"), port("7")), (Some("12".to_owned()), Some("7".to_owned())));
        assert_eq!((port("Port"), port("Port 1 Port 2"), port("")), (None, None, None));
        let table = [
            ("1000Full", Some(Some(1000))),
            ("100M/Half", Some(Some(100))),
            ("2.5G Full", Some(Some(2500))),
            ("10G", Some(Some(10_000))),
            ("Link Down", Some(None)),
            ("-", Some(None)),
            ("Auto", None),
            ("On", None),
            ("99999999999", None),
        ];
        for (cell, wanted) in table {
            assert_eq!(speed(cell), wanted, "{cell}");
        }
        assert_eq!((state("Enabled"), state("DISABLE"), state("Auto")), (Some(true), Some(false), None));
    }
}
