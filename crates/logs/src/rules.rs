//! Rules: lines that are counted under a name, whatever program writes them.
//!
//! A rule looks at templates, not at lines: each is judged once, when its first line comes, so that rules cost nothing
//! per line.

use regex::Regex;

/// A kind of line that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Its name, as metrics have it.
    pub name: &'static str,
    /// What of a template it wants; stars stand for what differs.
    pub pattern: &'static str,
}

/// The rules of the house.
pub const RULES: &[Rule] = &[
    Rule { name: "dhcp", pattern: r"\bDHCP(DISCOVER|OFFER|REQUEST|ACK|NAK|INFORM|DECLINE|RELEASE)\b" },
    Rule { name: "dns_queries", pattern: r"\bquery\[|\bquery: " },
    Rule {
        name: "firewall_drops",
        pattern: r"(?i)\b(drop|reject|block)(ed)?\b.*\bSRC=|\bIN=.*\bSRC=.*\bDST=",
    },
    Rule { name: "certificate_checks", pattern: r"(?i)\bcert(ificate)?s?\b.*\b(check|valid|expir)" },
    Rule { name: "certificate_renewals", pattern: r"(?i)\bcert(ificate)?s?\b.*\brenew|\brenew.*\bcert" },
    Rule { name: "boots", pattern: r"^(\[ *\*\] )?Linux version \*" },
    Rule { name: "out_of_memory", pattern: r"(?i)out of memory|oom-kill" },
    Rule { name: "disk_errors", pattern: r"I/O error|critical medium error|UNC" },
    Rule { name: "link_changes", pattern: r"(?i)\blink( is|:)? (up|down)\b" },
    Rule { name: "logins", pattern: r"Accepted (publickey|password) for|session opened for user" },
    Rule { name: "failed_logins", pattern: r"Failed (publickey|password) for|authentication failure" },
];

/// Rules, compiled.
#[derive(Debug)]
pub(crate) struct Rules(Vec<(&'static str, Regex)>);

impl Default for Rules {
    fn default() -> Self {
        Self(RULES.iter().filter_map(|rule| Some((rule.name, Regex::new(rule.pattern).ok()?))).collect())
    }
}

impl Rules {
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }

    /// The rules that a template meets, one bit each.
    pub(crate) fn of(&self, pattern: &str) -> u64 {
        let met = self.0.iter().enumerate().filter(|(_, (_, rule))| rule.is_match(pattern));
        met.fold(0, |bits, (at, _)| bits | 1_u64.checked_shl(u32::try_from(at).unwrap_or(64)).unwrap_or(0))
    }

    /// Their names, in the order of the bits.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|(name, _)| *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_compiles_and_finds_its_line() {
        let rules = Rules::default();
        assert_eq!(rules.0.len(), RULES.len());
        let lines = [
            ("dhcp", "DHCPOFFER(br0) * *"),
            ("dns_queries", "query[A] deb.debian.org from *"),
            ("firewall_drops", "drop wan-in IN=* OUT= MAC=* SRC=* DST=* LEN=*"),
            ("certificate_checks", "certificate of api checked, valid for * days"),
            ("certificate_renewals", "certificate of api renewed"),
            ("boots", "Linux version * (gcc *)"),
            ("out_of_memory", "Out of memory: Killed process *"),
            ("disk_errors", "I/O error, dev sda, sector *"),
            ("link_changes", "eth: Link is Down"),
            ("logins", "Accepted publickey for root from *"),
            ("failed_logins", "Failed password for root from *"),
        ];
        assert_eq!(lines.len(), RULES.len());
        for (bit, (name, line)) in lines.iter().enumerate() {
            assert_eq!(rules.names().nth(bit), Some(*name));
            assert_eq!(rules.of(line), 1 << bit, "{line}");
        }
        assert_eq!(rules.of("nothing of the kind"), 0);
    }
}
