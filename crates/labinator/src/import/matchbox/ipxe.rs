//! Settings of iPXE in kernel arguments, `${mac:hexhyp}` and the like, as expressions of our templates
//! (iPXE's `src/core/settings.c`).

use super::go::literal;

/// What is known of all machines that get these arguments, beside what is known of every machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around<'a> {
    /// Labels of which each machine's value is known; they are variables.
    pub(super) labels: &'a [String],
    /// The lab has a gateway.
    pub(super) gateway: bool,
}

/// Translates a text with settings in it.
///
/// # Errors
/// The settings that have no equal here.
pub(super) fn translate(text: &str, around: Around<'_>) -> Result<String, Vec<String>> {
    let mut out = String::new();
    let mut faults = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(&literal(before));
        let Some((inside, tail)) = after.split_once('}') else {
            faults.push(format!("`${{{after}` is not closed"));
            rest = "";
            break;
        };
        match setting(inside, around) {
            Some(ours) => {
                // A brace before ours would become part of it.
                let end = if out.ends_with('{') { out.pop() } else { None };
                out.push_str(end.map_or("", |_| "{{ '{' }}"));
                out.push_str(&format!("{{{{ {ours} }}}}"));
            }
            None => faults.push(format!("`${{{inside}}}` is known to iPXE alone")),
        }
        rest = tail;
    }
    out.push_str(&literal(rest));
    if faults.is_empty() { Ok(out) } else { Err(faults) }
}

/// One setting as an expression.
pub(super) fn setting(text: &str, around: Around<'_>) -> Option<String> {
    let (name, form) = text.split_once(':').unwrap_or((text, ""));
    // The first card that came up is the one it boots from; of others nothing is known.
    let name = name.strip_prefix("netX/").or_else(|| name.strip_prefix("net0/")).unwrap_or(name);
    let label = |name: &str| around.labels.iter().find(|label| *label == name).cloned();
    let value = match (name, form) {
        ("mac", "" | "hex") => "mac",
        ("mac", "hexhyp") => "mac_dashed",
        ("mac", "hexraw") => "mac | replace(\":\", \"\")",
        ("ip", "" | "ipv4") => "ip",
        ("netmask", "" | "ipv4") => "netmask",
        ("gateway", "" | "ipv4") if around.gateway => "gateway",
        ("next-server" | "dhcp-server", "" | "ipv4") => "boss",
        ("dns", "" | "ipv4") => "dns | first",
        // Our DHCP server calls each machine by its name.
        ("hostname", "" | "string") => "node",
        ("uuid" | "serial" | "arch" | "domain", "" | "string" | "uuid") => return label(name),
        ("buildarch", "" | "uristring") => return label("arch"),
        _ => return None,
    };
    Some(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_a_machine_is_filled_in_and_the_rest_is_refused() {
        let around = Around { labels: &["uuid".to_owned()], gateway: true };
        let ours = |text| translate(text, around);
        assert_eq!(
            ours("id=${uuid} hw=01-${net0/mac:hexhyp} ip=${ip}::${gateway}:${netmask}:${hostname}:eth0")
                .unwrap(),
            "id={{ uuid }} hw=01-{{ mac_dashed }} ip={{ ip }}::{{ gateway }}:{{ netmask }}:{{ node }}:eth0"
        );
        assert_eq!(ours("x={${mac:hexraw}").unwrap(), "x={{ '{' }}{{ mac | replace(\":\", \"\") }}");
        assert_eq!(ours("a={{b}}").unwrap(), "a={{ '{' }}{b}}");
        let faults = ours("${serial} ${net1/mac} ${user-class:hexraw} ${mac").unwrap_err();
        assert_eq!(faults.len(), 4, "{faults:?}");
        assert!(translate("${gateway}", Around { labels: &[], gateway: false }).is_err());
    }
}
