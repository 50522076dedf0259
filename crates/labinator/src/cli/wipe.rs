//! `wipe`: has a disk of a machine wiped, and waits until that was read back.

use api::{Accepted, WipeAsk};
use model::Origin;

use super::args::{Globals, WipeArgs};
use super::client::Client;
use super::failure::Failure;
use super::out::{self, Look};
use super::wait::{Target, wait_for};

/// Asks for it, and waits where that is wanted.
///
/// # Errors
/// [`Failure`]: it was refused, it failed, or it took longer than one wants to wait.
pub async fn wipe(globals: &Globals, args: WipeArgs) -> Result<(), Failure> {
    let (look, client) = (Look::new(globals), Client::new(globals));
    let WipeArgs { node, disk, confirm, wait, timeout, json } = args;
    let ask = WipeAsk { disk, confirm, by: Origin::Cli };
    let accepted: Accepted = client.post(&format!("/v1/nodes/{node}/wipe"), &ask).await?;
    if wait {
        return wait_for(&client, &Target::Wiped(node), &accepted, timeout, (look, json)).await;
    }
    if json {
        return out::json(&accepted, true);
    }
    match (look.quiet, accepted.already) {
        (true, _) => Ok(()),
        (false, true) => out::line(&format!("wipe of {node}: it is asked for already")),
        (false, false) => {
            out::line(&format!("wipe of {node}: accepted; `labinator explain {node}` says how far it is"))
        }
    }
}
