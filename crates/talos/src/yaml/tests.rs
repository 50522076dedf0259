//! What is read and written, by example and by property.

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Value {
    parse_one(text).unwrap().value
}

fn code(text: &str) -> (&'static str, u32, u32) {
    let error = parse(text).unwrap_err();
    assert!(!error.advice().is_empty());
    (error.code(), error.at.line, error.at.column)
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Map(Map::from(entries))
}

#[test]
fn lists_are_indented_below_their_key_and_mappings_begin_behind_the_dash() {
    let value = map([(
        "machine",
        map([
            ("certSANs", Value::List(Vec::new())),
            ("network", Value::empty_map()),
            (
                "interfaces",
                Value::List(vec![
                    map([
                        ("interface", "eth0".into()),
                        (
                            "addresses",
                            Value::List(vec![
                                "10.0.0.1/24".into(),
                                Value::List(vec![Value::Int(1), Value::Int(2)]),
                            ]),
                        ),
                    ]),
                    Value::Null,
                ]),
            ),
        ]),
    )]);
    assert_eq!(
        emit(&value),
        "machine:\n    certSANs: []\n    network: {}\n    interfaces:\n        - interface: eth0\n          addresses:\n            - 10.0.0.1/24\n            - - 1\n              - 2\n        - null\n"
    );
}

#[test]
fn text_is_quoted_where_it_would_be_something_else() {
    for (text, written) in [
        ("", "\"\""),
        ("true", "\"true\""),
        ("yes", "\"yes\""),
        ("~", "\"~\""),
        ("1.10", "\"1.10\""),
        ("0x1F", "\"0x1F\""),
        ("12:30:45", "\"12:30:45\""),
        ("2001-01-01", "\"2001-01-01\""),
        ("<<", "'<<'"),
        ("# no", "'# no'"),
        ("a: b", "'a: b'"),
        ("a #b", "'a #b'"),
        ("it's: here", "'it''s: here'"),
        (" a", "' a'"),
        ("- a", "'- a'"),
        ("-a", "-a"),
        ("---", "'---'"),
        ("a:b", "a:b"),
        ("a\tb", "\"a\\tb\""),
        ("\u{1F600}", "\"\\U0001F600\""),
        ("\u{2028}", "\"\\L\""),
        ("ü", "ü"),
        ("10.244.0.0/16", "10.244.0.0/16"),
        ("https://a:6443", "https://a:6443"),
        ("\n", "\"\\n\""),
        ("a \nb", "\"a \\nb\""),
    ] {
        assert_eq!(emit(&text.into()), format!("{written}\n"), "{text:?}");
        assert_eq!(read(written), Value::from(text), "{written}");
    }
}

#[test]
fn text_of_several_lines_is_a_block() {
    for (text, written) in [
        ("a\nb", "k: |-\n    a\n    b\n"),
        ("a\nb\n", "k: |\n    a\n    b\n"),
        ("a\n\n\n", "k: |+\n    a\n\n\n"),
        ("\na", "k: |-\n\n    a\n"),
        (" a\nb\n", "k: |4\n     a\n    b\n"),
        ("\n a", "k: |4-\n\n     a\n"),
        ("a\n  b\n\n  c\n", "k: |\n    a\n      b\n\n      c\n"),
        ("\tx\n", "k: |\n    \tx\n"),
    ] {
        let value = map([("k", text.into())]);
        assert_eq!(emit(&value), written);
        assert_eq!(read(written), value);
    }
    let nested = Value::List(vec![map([("k", Value::List(vec![" a\nb".into()]))])]);
    assert_eq!(emit(&nested), "- k:\n    - |2-\n       a\n      b\n");
    assert_eq!(read(&emit(&nested)), nested);
}

#[test]
fn numbers_keep_the_characters_that_were_typed() {
    let text = "a: 1.10\nb: 0x1F\nc: 1_000\nd: 18446744073709551615\ne: 2001-01-01\nf: 1.5\ng: -3\nh: 1e+06\ni: 1.0\nj: 007\n";
    let value = read(text);
    assert_eq!(emit(&value), text);
    let map = value.as_map().unwrap();
    assert_eq!(map.get("f"), Some(&Value::Float(1.5)));
    assert_eq!(map.get("g"), Some(&Value::Int(-3)));
    assert_eq!(map.get("b").unwrap().as_int(), Some(31));
    assert_eq!(map.get("a").unwrap().text().unwrap(), "1.10");
}

#[test]
fn documents_are_apart_and_comments_alone_are_nothing() {
    let documents = parse("# one\na: 1\n---\n# only this\n---\nb: 2\n...\n").unwrap();
    let values: Vec<_> = documents.iter().map(|d| d.value.clone()).collect();
    assert_eq!(values, [map([("a", Value::Int(1))]), Value::Null, map([("b", Value::Int(2))])]);
    assert_eq!(documents[2].places.of(&Path::root().key("b")).line, 6);
    assert_eq!(emit_all([&values[0], &values[2]]), "a: 1\n---\nb: 2\n");
    assert_eq!(parse("").unwrap(), []);
}

#[test]
fn places_are_those_of_keys_and_items() {
    let document = parse_one("a:\n  - x: 1\n    ü: [p, {q: 2}]\n").unwrap();
    let x = Path::root().key("a").index(0).key("x");
    assert_eq!(document.places.of(&x), Place { line: 2, column: 5 });
    let q = Path::root().key("a").index(0).key("ü").index(1).key("q");
    assert_eq!(document.places.of(&q), Place { line: 3, column: 13 });
    assert_eq!(q.to_string(), "a[0].ü[1].q");
    // What is missing is where it would have been.
    assert_eq!(document.places.of(&x.key("y").key("z")), Place { line: 2, column: 5 });
}

#[test]
fn anchors_and_merge_keys_are_spelled_out() {
    let value =
        read("base: &b\n  x: 1\n  y: 2\nuse:\n  <<: *b\n  y: 3\nagain: *b\nboth:\n  <<: [{x: 9}, *b]\n");
    assert_eq!(value.at(["use"]), Some(&map([("y", Value::Int(3)), ("x", Value::Int(1))])));
    assert_eq!(value.at(["again"]), value.at(["base"]));
    assert_eq!(value.at(["both"]), Some(&map([("x", Value::Int(9)), ("y", Value::Int(2))])));
}

#[test]
fn mistakes_name_their_place() {
    assert_eq!(code("a: 1\nb:\n  c: 1\n  c: 2\n"), ("yaml-key-twice", 4, 3));
    assert_eq!(code("a: *no\n").0, "yaml-alias-unknown");
    assert_eq!(code("a: &x [*x]\n").0, "yaml-alias-of-itself");
    assert_eq!(code("a: 1\n? [x]\n: 2\n").0, "yaml-key-not-text");
    assert_eq!(code("~: 1\n").0, "yaml-key-not-text");
    assert_eq!(code("a: !!binary aGk=\n"), ("yaml-tag", 1, 13));
    assert_eq!(code("a: !!int x\n").0, "yaml-tag");
    assert_eq!(code("a: {<<: 3}\n").0, "yaml-merge");
    assert_eq!(code("a: b\n\tc: d\n").0, "yaml-broken");
    assert_eq!(code("a: 1\nb: [1, 2\nc: 3\n").0, "yaml-broken");
    assert_eq!(code(&"[".repeat(DEPTH_LIMIT + 5)).0, "yaml-too-deep");
    assert_eq!(parse_one("a: 1\n---\nb: 2\n").unwrap_err().code(), "yaml-second-document");
    assert_eq!(parse(&"#".repeat(BYTES_LIMIT + 1)).unwrap_err().code(), "yaml-too-large");
}

#[test]
fn aliases_of_aliases_do_not_grow_without_bound() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let below = format!("*a{}", level - 1);
        text.push_str(&format!("a{level}: &a{level} [{}]\n", [below.as_str(); 10].join(", ")));
    }
    assert_eq!(code(&text).0, "yaml-too-many");
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), ["*a"; 1000].join(", "));
    assert_eq!(code(&long).0, "yaml-too-many");
    let mut deep = "a0: &a0 [x]\n".to_owned();
    for level in 1..=DEPTH_LIMIT {
        deep.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert_eq!(code(&deep).0, "yaml-too-deep");
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z0-9._/:-]{0,12}",
        2 => proptest::collection::vec(
            prop_oneof![
                Just(' '), Just('\n'), Just('\t'), Just('#'), Just(':'), Just('-'), Just('?'), Just('\''),
                Just('"'), Just('\\'), Just('['), Just('}'), Just('a'), Just('0'), Just('é'), Just('\u{2028}'),
                Just('\r'), Just('\u{feff}'), Just('\u{85}'), Just('\u{1F600}'), Just('%'), Just('|'), Just('<'),
            ],
            0..10
        ).prop_map(String::from_iter),
        1 => "\\PC{0,20}",
        1 => prop::sample::select(vec![
            "true", "no", "null", "~", "0x10", "1e3", "1_0", "12:30", "2001-01-01", "<<", ".inf", "---", "...", "=",
        ]).prop_map(str::to_owned),
        1 => "a{120,140}",
    ]
}

fn any_value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        // A whole number below a million is written without a point and comes back as an integer, as in Go.
        any::<f64>()
            .prop_filter("Go writes these as whole", |n| n.is_finite() && n.fract() != 0.0)
            .prop_map(Value::Float),
        any_text().prop_map(Value::String),
        prop::sample::select(vec!["1.10", "0x1F", "2001-01-01", "18446744073709551615"])
            .prop_map(|t| Value::Plain(t.to_owned())),
    ];
    scalar.prop_recursive(5, 40, 5, |inside| {
        prop_oneof![
            proptest::collection::vec(inside.clone(), 0..5).prop_map(Value::List),
            proptest::collection::vec((any_text(), inside), 0..5)
                .prop_map(|entries| Value::Map(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_as_what_it_was(value in any_value()) {
        let text = emit(&value);
        let back = parse_one(&text).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
        prop_assert_eq!(&back.value, &value, "{}", text);
        prop_assert_eq!(emit(&back.value), text);
    }

    #[test]
    fn documents_read_as_they_were_written(values in proptest::collection::vec(any_value(), 1..4)) {
        let text = emit_all(&values);
        let back: Vec<_> = parse(&text).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?
            .into_iter().map(|d| d.value).collect();
        prop_assert_eq!(back, values, "{}", text);
    }

    #[test]
    fn any_text_is_read_or_refused_with_a_place(text in "([a-z0-9:#&*!|>'\"%@`{}\\[\\], \n-]|---\n){0,60}") {
        match parse(&text) {
            Ok(documents) => {
                for document in documents {
                    let written = emit(&document.value);
                    prop_assert_eq!(parse_one(&written).unwrap().value, document.value, "{}", written);
                }
            }
            Err(error) => prop_assert!(error.at.line >= 1, "{}", error),
        }
    }
}
