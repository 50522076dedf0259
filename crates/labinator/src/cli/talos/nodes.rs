//! Which nodes a verb asks, who we are to them, and how their errors end a verb.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use talos::api::{Context, FileError, Fingerprint, Node, NodeError};

use crate::cli::failure::Failure;
use crate::cli::out;

/// Which nodes, and who we are to them.
#[derive(Debug, Clone, Args)]
pub struct NodesArgs {
    /// Addresses of the nodes, with commas between them [default: those of the talosconfig]
    #[arg(short, long, value_name = "ADDRESS", value_delimiter = ',')]
    nodes: Vec<String>,
    /// Client config [default: $TALOSCONFIG, else ~/.talos/config]
    #[arg(long, value_name = "FILE")]
    talosconfig: Option<PathBuf>,
    /// Its context [default: its current one]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

/// How a node without a config is told from another.
#[derive(Debug, Clone, Args)]
pub struct InsecureArgs {
    /// Ask nodes that wait for a config: nobody shows a certificate
    #[arg(short, long)]
    pub(super) insecure: bool,
    /// Only a node with this fingerprint, as its console prints it
    #[arg(long, value_name = "BASE64", requires = "insecure")]
    cert_fingerprint: Option<Fingerprint>,
}

/// Who is asked.
pub(super) struct Chosen {
    pub(super) addresses: Vec<SocketAddr>,
    context: Option<Context>,
    pin: Option<Fingerprint>,
}

impl Chosen {
    pub(super) fn read(nodes: &NodesArgs, insecure: Option<&InsecureArgs>) -> Result<Self, Failure> {
        let open = insecure.is_some_and(|insecure| insecure.insecure);
        let context = if open && nodes.talosconfig.is_none() { None } else { Some(nodes.context()?) };
        let known = context.as_ref().map(|context| context.nodes.clone()).unwrap_or_default();
        let words = if nodes.nodes.is_empty() { known } else { nodes.nodes.clone() };
        if words.is_empty() {
            return Err(Failure::Usage("say which nodes: --nodes ADDRESS,..".to_owned()));
        }
        let addresses = words.iter().map(|word| address(word)).collect::<Result<_, _>>()?;
        Ok(Self { addresses, context, pin: insecure.and_then(|insecure| insecure.cert_fingerprint) })
    }

    pub(super) fn ours(&self, at: SocketAddr) -> Result<Node, Failure> {
        let context =
            self.context.as_ref().ok_or_else(|| Failure::Usage("give --talosconfig FILE".to_owned()))?;
        Ok(Node::of_cluster(at, Arc::clone(&context.identity)))
    }

    /// The one node that was named.
    pub(super) fn one(&self, why: &str) -> Result<SocketAddr, Failure> {
        match self.addresses.as_slice() {
            [at] => Ok(*at),
            _ => Err(Failure::Usage(format!("{why}: give one address"))),
        }
    }

    pub(super) fn waiting(&self, at: SocketAddr) -> Node {
        Node::in_maintenance(at, self.pin)
    }
}

impl NodesArgs {
    /// One node, asked with the current context of a talosconfig.
    pub(super) fn of(node: &str, talosconfig: Option<PathBuf>) -> Self {
        Self { nodes: vec![node.to_owned()], talosconfig, context: None }
    }

    fn context(&self) -> Result<Context, Failure> {
        let variable = || std::env::var_os("TALOSCONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".talos/config"));
        let path = self.talosconfig.clone().or_else(variable).or_else(home);
        let path = path.ok_or_else(|| Failure::Usage("give --talosconfig FILE".to_owned()))?;
        let text = std::fs::read_to_string(&path).map_err(|why| {
            Failure::with_advice(
                format!("{}: {why}", path.display()),
                "give --talosconfig FILE, or --insecure",
            )
        })?;
        Context::read(&text, self.context.as_deref()).map_err(|why| failed(&why))
    }
}

fn address(word: &str) -> Result<SocketAddr, Failure> {
    let whole = word.parse::<SocketAddr>();
    let bare = |_| word.trim_matches(['[', ']']).parse::<IpAddr>().map(|ip| SocketAddr::new(ip, Node::PORT));
    whole.or_else(bare).map_err(|_| {
        Failure::Usage(format!(
            "`{word}` is no address: nodes are dialled by IP address, with a port or without"
        ))
    })
}

pub(super) fn failed(why: &NodeError) -> Failure {
    let text = format!("{why} [{}]", why.code());
    match why {
        NodeError::TimedOut { .. } => Failure::TimedOut(format!("{text}: {}", why.advice())),
        _ => Failure::with_advice(text, why.advice()),
    }
}

pub(super) fn not_arrived(at: SocketAddr, why: &FileError) -> Failure {
    match why {
        FileError::Node(why) => failed(why),
        FileError::Write(why) => Failure::failed(format!("{at}: cannot be written: {why}")),
        FileError::Damaged(why) => Failure::with_advice(format!("{at}: {why}"), "ask again"),
    }
}

pub(super) fn running<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|why| Failure::failed(format!("cannot start: {why}")))?.block_on(work)
}

/// Each node in turn; one that fails does not keep the others from being asked.
pub(super) async fn each<F>(
    addresses: &[SocketAddr],
    mut ask: impl FnMut(SocketAddr) -> F,
) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    let mut last = None;
    for at in addresses {
        if let Err(failure) = ask(*at).await
            && let Some(earlier) = last.replace(failure)
        {
            complain_of(&earlier);
        }
    }
    last.map_or(Ok(()), Err)
}

/// Says why one node failed while others are still to be asked.
fn complain_of(failure: &Failure) {
    match failure {
        Failure::Failed { why, advice } => out::complain(&format!("{why}: {advice}")),
        Failure::TimedOut(why) | Failure::Usage(why) => out::complain(why),
        Failure::Refused(_) | Failure::Gone | Failure::Said(_) => {}
    }
}
