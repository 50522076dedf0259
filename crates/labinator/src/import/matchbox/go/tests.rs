//! Templates with and without an equal. That the result means the same is shown in `tests/matchbox.rs`, against
//! what matchbox itself answered.

use serde_json::json;

use super::super::names;
use super::*;

fn translated(source: &str) -> Result<String, Vec<(usize, String)>> {
    let variables = json!({
        "name": "n1", "peers": ["a", "b"], "nothing": null, "items": { "b": 1, "a": [1] }, "etcd-name": "e", "ip": "10.0.0.1", "on": true,
    });
    let variables = variables.as_object().unwrap();
    let called = names::variables(variables, false).unwrap();
    let query =
        BTreeMap::from([("os".to_owned(), "\"installed\"".to_owned()), ("mac".to_owned(), "mac".to_owned())]);
    let known =
        Known { variables, called: &called, query: &query, raw_query: Some("\"os=\" ~ \"installed\"") };
    translate(source, &known)
        .map_err(|faults| faults.into_iter().map(|fault| (fault.line, fault.what)).collect())
}

fn same(source: &str, wanted: &str) {
    assert_eq!(translated(source).unwrap(), wanted, "{source}");
}

fn refused(source: &str, line: usize, word: &str) {
    let faults = translated(source).unwrap_err();
    assert!(faults.iter().any(|(at, what)| *at == line && what.contains(word)), "{source}: {faults:?}");
}

#[test]
fn values_and_texts_become_ours() {
    same("a {{.name}} {{ $.name }} b", "a {{ name }} {{ name }} b");
    same("{{.ip}} {{ index . \"etcd-name\" }}", "{{ ip_ }} {{ etcd_name }}");
    same("{{.nothing}}", "{{ \"<no value>\" if nothing is none else nothing }}");
    same(
        "{{.on}} {{eq 1 1}}",
        "{{ (\"true\" if on else \"false\") }} {{ (\"true\" if (1 == 1) else \"false\") }}",
    );
    same("x {{- .name -}}  \n y", "x{{ name }}y");
    same("${a#b} {% c %} {{.name}}", "${a#b} {{ '{' }}% c %} {{ name }}");
    same("{# x #} ${#a}", "{{ '{' }}# x #} ${{ '{' }}#a}");
    same("{{.request.query.os}} {{.request.raw_query}}", "{{ \"installed\" }} {{ \"os=\" ~ \"installed\" }}");
    same("{{/* why */}}\nx", "{# why +#}\nx");
    same("{{ printf \"%s:%v\" .name 3 }}", "{{ name ~ \":\" ~ 3 }}");
    same("{{ .name | printf \"<%s>\" }}", "{{ \"<\" ~ name ~ \">\" }}");
}

#[test]
fn blocks_keep_the_line_breaks_that_go_keeps() {
    same("{{if .name}}\na\n{{else}}\nb\n{{end}}\n", "{% if name +%}\na\n{% else +%}\nb\n{% endif +%}\n");
    same("{{if .name -}}\na\n{{- end}}", "{% if name %}a{% endif %}");
    same("{{with .items}}{{.b}}{{end}}", "{% if items %}{{ items.b }}{% endif %}");
    same("{{range .peers}}{{.}}{{else}}-{{end}}", "{% for item in peers %}{{ item }}{% else %}-{% endfor %}");
    same(
        "{{range $i, $name := .peers}}{{$i}}{{$name}}{{$.name}}{{end}}",
        "{% for name_ in peers %}{% set i = loop.index0 %}{{ i }}{{ name_ }}{{ name }}{% endfor %}",
    );
    same("{{range $k, $v := .items}}{{$k}}{{end}}", "{% for k, v in items | items %}{{ k }}{% endfor %}");
    same(
        "{{if and (eq .name \"a\" \"b\") (not (index . \"more\"))}}x{{else if gt (len .peers) 1}}y{{end}}",
        "{% if (name in [\"a\", \"b\"]) and (not (more | default(none))) %}x{% elif (peers | length) > 1 %}y{% endif %}",
    );
    same("{{$x := .name}}{{$x}}", "{% set x = name %}{{ x }}");
}

#[test]
fn what_has_no_equal_is_refused_with_its_line() {
    refused("a\n{{.missing}}", 2, "neither metadata nor selector");
    refused("{{.peers}}", 1, "a list or a map");
    refused("{{template \"x\"}}", 1, "no equal");
    refused("\n\n{{.name | urlquery}}", 3, "`urlquery`");
    refused("{{printf \"%q\" .name}}", 1, "%q");
    refused("{{printf \"%s\" 3}}", 1, "%s");
    refused("{{range .name}}{{end}}", 1, "neither list nor map");
    refused("{{range .items}}{{.}}{{end}}", 1, "a list or a map");
    refused("{{if .name}}", 1, "no `{{end}}`");
    refused("{{end}}", 1, "ends nothing");
    refused("{{.name", 1, "not closed");
    refused("{{.name \"x\"}}", 1, "called like a function");
    refused("{{$x}}", 1, "nobody declared");
    refused("{{.}}", 1, "used as a value");
    refused("{{.request.query.other}}", 1, "says no `other`");
    refused("{{range .peers}}{{$x := .}}{{$x = 1}}{{end}}", 1, "changes a variable");
    refused("{{.items.c}}", 1, "has no `c`");
    refused("{{ 'a' }}", 1, "not known here");
}

#[test]
fn every_fault_of_a_template_is_told() {
    let faults = translated("{{.a}}\n{{if .b}}{{.c}}{{end}}\n{{.name}}").unwrap_err();
    assert_eq!(faults.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 2, 2]);
}

#[test]
fn a_text_that_is_no_template_is_repeated_as_it_is() {
    assert_eq!(literal("{{ .Names }} {% {# }} { {"), "{{ '{' }}{ .Names }} {{ '{' }}% {{ '{' }}# }} { {");
    assert_eq!(literal("{{{{"), "{{ '{' }}{{ '{' }}{{ '{' }}{");
}
