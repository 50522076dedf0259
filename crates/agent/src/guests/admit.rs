//! Which guests have room in the machine's memory, and the sum for those that have none.

use std::fmt::Write as _;

use model::{Mebibytes, NodeName};

/// What QEMU itself takes beside a guest's memory, in MiB: translated code, video memory, buffers.
const OVERHEAD: u32 = 64;
/// What is kept for agent, kernel and page cache, in MiB, beside what the system took before the first guest.
const RESERVE: u32 = 256;

/// Memory of a hypervisor, in MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Capacity {
    /// What its kernel manages.
    pub(super) total: u32,
    /// What was taken before its first guest started: the live root, daemons.
    pub(super) taken: u32,
}

impl Capacity {
    const fn for_guests(self) -> u32 {
        self.total.saturating_sub(self.taken).saturating_sub(RESERVE)
    }
}

/// A guest that wants memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim<'a> {
    pub(super) node: &'a NodeName,
    pub(super) memory: Mebibytes,
    /// It has it already: a running machine is never ended for another.
    pub(super) runs: bool,
}

/// Those that do not fit, with the sum: who runs first, then as listed.
pub(super) fn refused(capacity: Capacity, claims: &[Claim<'_>]) -> Vec<(NodeName, String)> {
    let need = |claim: &Claim<'_>| claim.memory.0.saturating_add(OVERHEAD);
    let room = capacity.for_guests();
    let running = claims.iter().filter(|claim| claim.runs);
    let (mut used, mut fit) = (running.clone().map(need).fold(0, u32::saturating_add), running.count());
    let mut out = Vec::new();
    for claim in claims.iter().filter(|claim| !claim.runs) {
        if used.saturating_add(need(claim)) <= room {
            used += need(claim);
            fit += 1;
        } else {
            out.push(claim);
        }
    }
    let sum = |claim: &&Claim<'_>| {
        let mut text = format!(
            "needs {} MiB + {OVERHEAD} for QEMU, and {} of {room} MiB are free: {} in the machine - {} its system - \
             {RESERVE} reserve - {used} for guests; ",
            claim.memory.0,
            room.saturating_sub(used),
            capacity.total,
            capacity.taken,
        );
        let _infallible = match fit {
            1 => write!(text, "1 guest fits"),
            fit => write!(text, "{fit} guests fit"),
        };
        (claim.node.clone(), text)
    };
    out.iter().map(sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Capacity = Capacity { total: 7822, taken: 500 };

    fn names(of: &[(NodeName, String)]) -> Vec<&str> {
        of.iter().map(|(node, _)| node.as_str()).collect()
    }

    #[test]
    fn three_guests_of_two_gib_fit_into_a_box_of_eight_and_the_sum_is_told() {
        let nodes: Vec<NodeName> = ["a", "b", "c", "d"].iter().map(|name| name.parse().unwrap()).collect();
        let claim = |node| Claim { node, memory: Mebibytes(2048), runs: false };
        let claims: Vec<_> = nodes.iter().map(claim).collect();
        let out = refused(CHEAP, &claims);
        assert_eq!(names(&out), ["d"]);
        assert_eq!(
            out[0].1,
            "needs 2048 MiB + 64 for QEMU, and 730 of 7066 MiB are free: 7822 in the machine - 500 its system - 256 \
             reserve - 6336 for guests; 3 guests fit"
        );
        assert!(refused(CHEAP, &claims[..3]).is_empty());
    }

    #[test]
    fn who_runs_stays_whatever_is_listed_before_it_and_a_smaller_one_behind_may_still_fit() {
        let nodes: Vec<NodeName> = ["a", "b", "c"].iter().map(|name| name.parse().unwrap()).collect();
        let claim = |at: usize, memory, runs| Claim { node: &nodes[at], memory: Mebibytes(memory), runs };
        let out = refused(CHEAP, &[claim(0, 4000, false), claim(1, 4000, true), claim(2, 1000, false)]);
        assert_eq!(names(&out), ["a"]);
    }
}
