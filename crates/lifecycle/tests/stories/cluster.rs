//! The words of stories about Talos and the cluster.

use std::sync::Arc;

use model::{
    ClusterPods, CommandId, Fact, Membership, NodeName, NodePods, Outcome, PodCounts, Proof, ShortWorkload,
    Sight, TalosSaid, TalosSight, TalosStage,
};

use crate::telling::{Teller, number, text};

/// What a machine says of itself: `STAGE [in SEQUENCE PHASE] [but REASON]`, ready unless there is a reason.
fn said(stage: &str, rest: &[&str]) -> Result<Sight, String> {
    let stage = TalosStage::of(stage);
    if stage == TalosStage::Unknown {
        return Err("a machine says that it is booting, installing, maintenance, running, ..".to_owned());
    }
    let (sequence, phase, rest) = match rest {
        ["in", sequence, phase, rest @ ..] => (*sequence, *phase, rest),
        rest => ("", "", rest),
    };
    let unmet = match rest {
        ["but", reason @ ..] => vec![reason.join(" ")],
        [] => Vec::new(),
        _ => return Err("after that, `but REASON`".to_owned()),
    };
    let (sequence, phase) = (sequence.to_owned(), phase.to_owned());
    let said = TalosSaid { sequence, phase, stage, ready: unmet.is_empty(), unmet, ..TalosSaid::default() };
    Ok(Sight::TalosSaid { said })
}

/// The name under which a story speaks of an order to a driver.
pub(crate) fn named(command: &model::Command) -> String {
    match command {
        model::Command::Power { node, order, .. } => format!("{order} {node}"),
        model::Command::Switch { port, on: true } => format!("enable {port}"),
        model::Command::Switch { port, on: false } => format!("disable {port}"),
        model::Command::Mint { .. } => "mint".to_owned(),
        model::Command::Push { node, .. } => format!("push {node}"),
        model::Command::Reset { node } => format!("reset {node}"),
        model::Command::Offer { node, .. } => format!("offer {node}"),
        model::Command::Bootstrap { node } => format!("bootstrap {node}"),
        model::Command::Apply { .. } => "apply".to_owned(),
    }
}

/// A level of proof.
pub(crate) fn proof(word: &str) -> Result<Proof, String> {
    let known = [Proof::Address, Proof::Place, Proof::Key];
    let found = known.into_iter().find(|proof| proof.to_string() == word);
    found.ok_or_else(|| format!("`{word}` proves nothing: address, place or key"))
}

impl Teller {
    /// What drivers and the cluster say; `None` when the words are about something else.
    pub(crate) fn cluster(&mut self, words: &[&str]) -> Option<Result<(), String>> {
        Some(match words {
            ["keeps", "the", "secrets"] => self.keeps_secrets(),
            ["takes", order @ .., "well"] => self.answers(&order.join(" "), Outcome::Done),
            ["loses", order @ ..] => self.answers(&order.join(" "), Outcome::Unknown),
            ["refuses", "apply", code, why @ ..] => {
                self.answers("apply", Outcome::Failed { code: (*code).to_owned(), why: why.join(" ") })
            }
            ["pods", done, "of", wanted, why @ ..] => self.sees_pods((done, wanted), why),
            ["pods", "are", "away", why @ ..] => self.loses_pods(why),
            ["pods", "on", node, done, "of", all, trouble @ ..] => {
                self.sees_pods_on(node, (done, all), trouble)
            }
            ["refuses", what, node, code, why @ ..] if *what != "mint" => {
                let outcome = Outcome::Failed { code: (*code).to_owned(), why: why.join(" ") };
                self.answers(&format!("{what} {node}"), outcome)
            }
            ["refuses", "mint", why @ ..] => {
                self.answers("mint", Outcome::Failed { code: "disk".to_owned(), why: why.join(" ") })
            }
            ["cluster", what, node, why @ ..] => {
                let membership = match *what {
                    "forgets" => Membership::Absent,
                    "knows" => Membership::NotReady { why: why.join(" ") },
                    "uses" => Membership::Ready,
                    _ => return None,
                };
                self.node(node).and_then(|node| self.told(Fact::MemberSeen { node, membership }))
            }
            _ => return None,
        })
    }

    fn keeps_secrets(&mut self) -> Result<(), String> {
        let run = self.run().ok_or("no scenario runs")?;
        self.told(Fact::SecretsReady { run, fingerprint: "5ec7e7".to_owned() })?;
        self.answers("mint", Outcome::Done)
    }

    /// Pods of the one workload that the manifests have.
    fn sees_pods(&mut self, (done, wanted): (&str, &str), why: &[&str]) -> Result<(), String> {
        let run = self.run().ok_or("no scenario runs")?;
        let few = |word: &str| u32::try_from(number(word)?).map_err(text);
        let (done, wanted) = (few(done)?, few(wanted)?);
        let short = (done < wanted || !why.is_empty()).then(|| ShortWorkload {
            workload: "Deployment default/web".to_owned(),
            done,
            wanted,
            why: why.join(" "),
        });
        let short = short.into_iter().collect();
        self.told(Fact::PodsSeen {
            run,
            pods: Arc::new(ClusterPods { done, wanted, short, ..ClusterPods::default() }),
        })
    }

    fn loses_pods(&mut self, why: &[&str]) -> Result<(), String> {
        let run = self.run().ok_or("no scenario runs")?;
        let pods = ClusterPods { away: Some(why.join(" ")), done: 2, wanted: 2, ..ClusterPods::default() };
        self.told(Fact::PodsSeen { run, pods: Arc::new(pods) })
    }

    fn sees_pods_on(
        &mut self,
        node: &str,
        (ready, all): (&str, &str),
        trouble: &[&str],
    ) -> Result<(), String> {
        let few = |word: &str| u32::try_from(number(word)?).map_err(text);
        let (ready, all) = (few(ready)?, few(all)?);
        let counts = PodCounts { ready, crash_loop: all - ready, ..PodCounts::default() };
        let troubles = if trouble.is_empty() { Vec::new() } else { vec![trouble.join(" ")] };
        let node = self.node(node)?;
        self.told(Fact::NodePodsSeen { node, pods: NodePods { counts, troubles } })
    }

    fn answers(&mut self, order: &str, outcome: Outcome) -> Result<(), String> {
        let id: CommandId = self.order(order).ok_or_else(|| format!("nobody asked for `{order}`"))?;
        self.told(Fact::Finished { id, outcome })
    }

    /// What a look at a machine's Talos tells; `None` when the words are about something else.
    pub(crate) fn talos(&mut self, node: &NodeName, words: &[&str]) -> Option<Result<(), String>> {
        let said = match words {
            ["says", "that", "it", "is", stage, rest @ ..] => Some(said(stage, rest)),
            ["kernel", "writes", text @ ..] => {
                Some(Ok(Sight::TalosLogged { severity: 4, service: None, text: text.join(" ") }))
            }
            _ => None,
        };
        if let Some(said) = said {
            return Some(said.and_then(|sight| self.see(node, sight)));
        }
        let sight = match words {
            ["waits", "with", "key", key, rest @ ..] => {
                let proof = match rest {
                    [] => Proof::Address,
                    ["proven", "by", level] => match proof(level) {
                        Ok(proof) => proof,
                        Err(why) => return Some(Err(why)),
                    },
                    _ => return None,
                };
                TalosSight::Maintenance { fingerprint: (*key).to_owned(), proof }
            }
            ["is", "locked"] => TalosSight::Locked,
            ["is", "foreign"] => TalosSight::Foreign,
            ["has", "no", "Talos"] => TalosSight::Silent,
            ["is", "known", stage, rest @ ..] => {
                let stage = match *stage {
                    "booting" => TalosStage::Booting,
                    "running" => TalosStage::Running,
                    _ => return Some(Err("it is known booting or running".to_owned())),
                };
                let unmet = |words: &[&str]| match words {
                    [] => Vec::new(),
                    words => vec![words.join(" ")],
                };
                let (etcd, unmet) = match rest {
                    ["with", "etcd", rest @ ..] => (true, unmet(rest)),
                    rest => (false, unmet(rest)),
                };
                let version = "1.12.11".to_owned();
                TalosSight::Known { version, stage, ready: unmet.is_empty(), unmet, etcd }
            }
            _ => return None,
        };
        Some(self.told(Fact::TalosSeen { node: node.clone(), sight }))
    }
}
