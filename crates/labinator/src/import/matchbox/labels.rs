//! Which group a request gets: labels against selectors, the most selectors first
//! (`matchbox/server/server.go`, `storagepb/group.go`).

use std::collections::BTreeMap;

use super::store::Group;

/// Labels that iPXE tells of the machine it runs on (`matchbox/http/ipxe.go`).
pub(super) const OF_THE_MACHINE: [&str; 6] = ["uuid", "mac", "domain", "hostname", "serial", "arch"];

/// The value of a label of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Label {
    /// This one.
    Known(String),
    /// One that nobody told us.
    Unknown,
}

/// Labels of a request.
pub(super) type Labels = BTreeMap<String, Label>;

/// The group that a request gets.
#[derive(Debug)]
pub(super) struct Choice<'a> {
    pub(super) group: Option<&'a Group>,
    /// Groups that would come before it, if a label that is not known had the value they ask for.
    pub(super) unsure: Vec<(&'a Group, String)>,
}

/// Groups in the order in which they are tried.
pub(super) fn in_order(groups: &[Group]) -> Vec<&Group> {
    let mut all: Vec<&Group> = groups.iter().collect();
    all.sort_by_key(|group| std::cmp::Reverse((group.selector.len(), selectors(group))));
    all
}

/// Selectors as one text: what decides between groups that have as many.
pub(super) fn selectors(group: &Group) -> String {
    let mut pairs: Vec<String> = group.selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.sort();
    pairs.join(",")
}

/// Chooses among groups that are in order.
pub(super) fn choose<'a>(in_order: &[&'a Group], labels: &Labels) -> Choice<'a> {
    let mut unsure = Vec::new();
    for group in in_order {
        let mut open = None;
        let fits = group.selector.iter().all(|(key, value)| match labels.get(key) {
            Some(Label::Known(known)) => known == value,
            Some(Label::Unknown) => {
                open = Some(key.clone());
                true
            }
            None => false,
        });
        match (fits, open) {
            (true, None) => return Choice { group: Some(group), unsure },
            (true, Some(key)) => unsure.push((*group, key)),
            (false, _) => {}
        }
    }
    Choice { group: None, unsure }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(id: &str, selector: &[(&str, &str)]) -> Group {
        let selector = selector.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let (place, name) = (format!("groups/{id}.json"), String::new());
        Group {
            place,
            id: id.to_owned(),
            name,
            profile: id.to_owned(),
            selector,
            metadata: serde_json::Map::new(),
        }
    }

    fn chosen(groups: &[Group], labels: &[(&str, Option<&str>)]) -> (String, Vec<String>) {
        let value =
            |value: &Option<&str>| value.map_or(Label::Unknown, |value| Label::Known(value.to_owned()));
        let labels = labels.iter().map(|(key, known)| ((*key).to_owned(), value(known))).collect();
        let choice = choose(&in_order(groups), &labels);
        let unsure = choice.unsure.iter().map(|(group, label)| format!("{} by {label}", group.id)).collect();
        (choice.group.map_or_else(String::new, |group| group.id.clone()), unsure)
    }

    #[test]
    fn the_group_with_the_most_selectors_wins_then_the_later_text() {
        let groups = [
            group("default", &[]),
            group("us", &[("region", "us")]),
            group("one", &[("mac", "02:00:00:00:00:01")]),
            group("both", &[("mac", "02:00:00:00:00:01"), ("os", "installed")]),
        ];
        let mac = ("mac", Some("02:00:00:00:00:01"));
        assert_eq!(chosen(&groups, &[mac]).0, "one");
        assert_eq!(chosen(&groups, &[mac, ("os", Some("installed"))]).0, "both");
        assert_eq!(chosen(&groups, &[mac, ("region", Some("us"))]).0, "us", "`region` comes after `mac`");
        assert_eq!(chosen(&groups, &[("mac", Some("02:00:00:00:00:02"))]).0, "default");
        assert_eq!(chosen(&groups[1..], &[]).0, "");
    }

    #[test]
    fn a_label_that_nobody_told_leaves_a_group_open() {
        let groups = [group("default", &[]), group("blade", &[("serial", "X1")])];
        assert_eq!(
            chosen(&groups, &[("serial", None)]),
            ("default".to_owned(), vec!["blade by serial".to_owned()])
        );
        assert_eq!(chosen(&groups, &[]), ("default".to_owned(), vec![]));
    }
}
