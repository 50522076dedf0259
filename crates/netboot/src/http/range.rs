//! Which bytes of a file a request wants: `Range`, `If-Range`, `If-Match`, `If-None-Match` (RFC 9110).

use http::header::{HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE};

/// What to send of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it (200).
    Whole,
    /// These bytes, first and count (206).
    Bytes(u64, u64),
    /// The range lies behind the end (416).
    Beyond,
    /// The client has it already (304).
    Unchanged,
    /// It is not the file the client means (412).
    Other,
}

/// What the file is known by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Validators<'a> {
    /// Strong entity tag with its quotes.
    pub(super) etag: &'a str,
    /// The date as we write it.
    pub(super) modified: &'a str,
}

/// Reads the conditions and the range, in the order of RFC 9110 section 13.2.2.
pub(super) fn choose(headers: &HeaderMap, size: u64, file: Validators<'_>) -> Part {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if text(IF_MATCH).is_some_and(|tags| !names(tags, file.etag, false)) {
        return Part::Other;
    }
    if text(IF_NONE_MATCH).is_some_and(|tags| names(tags, file.etag, true)) {
        return Part::Unchanged;
    }
    let Some(range) = text(RANGE) else { return Part::Whole };
    // Only the exact same file may be continued; a weak tag never says so.
    if text(IF_RANGE).is_some_and(|wanted| wanted.trim() != file.etag && wanted.trim() != file.modified) {
        return Part::Whole;
    }
    parse(range, size)
}

fn names(tags: &str, etag: &str, weak: bool) -> bool {
    tags.split(',').map(str::trim).any(|tag| {
        let tag = if weak { tag.strip_prefix("W/").unwrap_or(tag) } else { tag };
        tag == "*" || tag == etag
    })
}

/// One byte range. What is no single well-formed range is ignored, as section 14.2 allows: the whole file is sent.
fn parse(range: &str, size: u64) -> Part {
    let Some((unit, set)) = range.split_once('=') else { return Part::Whole };
    let Some((first, last)) = set.trim().split_once('-') else { return Part::Whole };
    let (first, last) = (first.trim(), last.trim());
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !unit.trim().eq_ignore_ascii_case("bytes") || !digits(first) || !digits(last) {
        return Part::Whole;
    }
    // A number too large for us lies behind every end.
    let number = |text: &str| text.parse::<u64>().unwrap_or(u64::MAX);
    match (first.is_empty(), last.is_empty()) {
        (true, true) => Part::Whole,
        (true, false) => match number(last).min(size) {
            0 => Part::Beyond,
            count => Part::Bytes(size - count, count),
        },
        (false, _) if !last.is_empty() && number(last) < number(first) => Part::Whole,
        (false, _) if number(first) >= size => Part::Beyond,
        (false, open) => {
            let first = number(first);
            let last = if open { size - 1 } else { number(last).min(size - 1) };
            Part::Bytes(first, last - first + 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const FILE: Validators<'_> = Validators { etag: "\"abc\"", modified: "Sun, 06 Nov 1994 08:49:37 GMT" };

    fn part(headers: &[(HeaderName, &'static str)]) -> Part {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(name, HeaderValue::from_static(value));
        }
        choose(&map, 1000, FILE)
    }

    #[test]
    fn a_single_range_is_cut_to_the_file() {
        assert_eq!(part(&[(RANGE, "bytes=0-0")]), Part::Bytes(0, 1));
        assert_eq!(part(&[(RANGE, "bytes=500-")]), Part::Bytes(500, 500));
        assert_eq!(part(&[(RANGE, "bytes=990-5000")]), Part::Bytes(990, 10));
        assert_eq!(part(&[(RANGE, "bytes=-10")]), Part::Bytes(990, 10));
        assert_eq!(part(&[(RANGE, "bytes=-99999999999999999999")]), Part::Bytes(0, 1000));
        assert_eq!(part(&[(RANGE, "bytes=1000-")]), Part::Beyond);
        assert_eq!(part(&[(RANGE, "bytes=-0")]), Part::Beyond);
        assert_eq!(part(&[(RANGE, "bytes=99999999999999999999-")]), Part::Beyond);
    }

    #[test]
    fn what_is_no_single_range_gets_the_whole_file() {
        for range in
            ["bytes=", "bytes=-", "bytes=5-2", "bytes=0-1,5-6", "lines=1-2", "bytes=a-b", "bytes=+1-2"]
        {
            let mut map = HeaderMap::new();
            map.insert(RANGE, HeaderValue::from_static(range));
            assert_eq!(choose(&map, 1000, FILE), Part::Whole, "{range}");
        }
    }

    #[test]
    fn a_range_continues_only_the_same_file() {
        assert_eq!(part(&[(RANGE, "bytes=5-"), (IF_RANGE, "\"abc\"")]), Part::Bytes(5, 995));
        assert_eq!(part(&[(RANGE, "bytes=5-"), (IF_RANGE, "\"old\"")]), Part::Whole);
        assert_eq!(part(&[(RANGE, "bytes=5-"), (IF_RANGE, "W/\"abc\"")]), Part::Whole);
        assert_eq!(part(&[(RANGE, "bytes=5-"), (IF_RANGE, FILE.modified)]), Part::Bytes(5, 995));
        assert_eq!(part(&[(RANGE, "bytes=5-"), (IF_MATCH, "\"old\"")]), Part::Other);
        assert_eq!(part(&[(IF_NONE_MATCH, "\"x\", W/\"abc\"")]), Part::Unchanged);
    }
}
