//! Which bytes of a file a request wants: `Range` and the conditions before it (RFC 9110 sections 13 and 14).

use std::time::{SystemTime, UNIX_EPOCH};

use http::header::{
    HeaderMap, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};

/// What to send of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
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
pub struct Validators<'a> {
    /// Strong entity tag with its quotes.
    pub etag: &'a str,
    /// When it was written, as we tell it: in whole seconds.
    pub modified: SystemTime,
}

/// Reads the conditions and the range, in the order of RFC 9110 section 13.2.2.
#[must_use]
pub fn choose(headers: &HeaderMap, size: u64, file: Validators<'_>) -> Part {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let modified = seconds(file.modified);
    // A date that cannot be read is no condition.
    let date = |name| text(name).and_then(|date| httpdate::parse_http_date(date).ok()).map(seconds);
    let same = match text(IF_MATCH) {
        Some(tags) => names(tags, file.etag, false),
        None => date(IF_UNMODIFIED_SINCE).is_none_or(|since| modified <= since),
    };
    if !same {
        return Part::Other;
    }
    let unchanged = match text(IF_NONE_MATCH) {
        Some(tags) => names(tags, file.etag, true),
        None => date(IF_MODIFIED_SINCE).is_some_and(|since| modified <= since),
    };
    if unchanged {
        return Part::Unchanged;
    }
    let Some(range) = text(RANGE) else { return Part::Whole };
    // Only the exact same file may be continued; a weak tag never says so, and a date only that very one.
    let continues = |wanted: &str| {
        let dated = || httpdate::parse_http_date(wanted.trim()).is_ok_and(|date| seconds(date) == modified);
        wanted.trim() == file.etag || dated()
    };
    if text(IF_RANGE).is_some_and(|wanted| !continues(wanted)) {
        return Part::Whole;
    }
    parse(range, size)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
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
    use std::time::Duration;

    use http::HeaderValue;

    use super::*;

    /// The date of RFC 9110's own example, and a fraction of a second that headers do not carry.
    fn file() -> Validators<'static> {
        Validators { etag: "\"abc\"", modified: UNIX_EPOCH + Duration::from_millis(784_111_777_500) }
    }
    const WRITTEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    /// The same second in the two older forms that must be read (RFC 9110 section 5.6.7).
    const OLD_FORMS: [&str; 2] = ["Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"];

    fn part(headers: &[(HeaderName, &'static str)]) -> Part {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(name, HeaderValue::from_static(value));
        }
        choose(&map, 1000, file())
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
            assert_eq!(choose(&map, 1000, file()), Part::Whole, "{range}");
        }
    }

    #[test]
    fn dates_count_where_no_tag_is_given() {
        assert_eq!(part(&[(IF_MODIFIED_SINCE, WRITTEN)]), Part::Unchanged);
        assert_eq!(part(&[(IF_MODIFIED_SINCE, BEFORE)]), Part::Whole);
        assert_eq!(part(&[(IF_UNMODIFIED_SINCE, WRITTEN), (RANGE, "bytes=5-")]), Part::Bytes(5, 995));
        assert_eq!(part(&[(IF_UNMODIFIED_SINCE, BEFORE)]), Part::Other);
        assert_eq!(part(&[(IF_RANGE, BEFORE), (RANGE, "bytes=5-")]), Part::Whole);
        for form in OLD_FORMS {
            assert_eq!(part(&[(IF_MODIFIED_SINCE, form)]), Part::Unchanged, "{form}");
        }
        assert_eq!(part(&[(IF_MODIFIED_SINCE, "yesterday")]), Part::Whole);
        // A tag says it better than a date.
        assert_eq!(part(&[(IF_NONE_MATCH, "\"old\""), (IF_MODIFIED_SINCE, WRITTEN)]), Part::Whole);
        assert_eq!(part(&[(IF_MATCH, "\"abc\""), (IF_UNMODIFIED_SINCE, BEFORE)]), Part::Whole);
    }

    #[test]
    fn a_range_continues_only_the_same_file() {
        assert_eq!(part(&[(RANGE, "bytes=5-"), (IF_RANGE, "\"abc\"")]), Part::Bytes(5, 995));
        assert_eq!(part(&[(RANGE, "bytes=5-"), (IF_RANGE, "\"old\"")]), Part::Whole);
        assert_eq!(part(&[(RANGE, "bytes=5-"), (IF_RANGE, "W/\"abc\"")]), Part::Whole);
        assert_eq!(part(&[(RANGE, "bytes=5-"), (IF_RANGE, WRITTEN)]), Part::Bytes(5, 995));
        assert_eq!(part(&[(RANGE, "bytes=5-"), (IF_MATCH, "\"old\"")]), Part::Other);
        assert_eq!(part(&[(IF_NONE_MATCH, "\"x\", W/\"abc\"")]), Part::Unchanged);
    }
}
