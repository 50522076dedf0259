//! Live images that run: asked over ssh by the key that was built in.

use std::path::Path;
use std::time::Duration;

use super::ground;
use super::house::House;

/// The description of the generation in use of an image.
pub(crate) fn manifest(images: &Path, name: &str) -> serde_json::Value {
    let folder = labinator::image::life::in_use(images, name);
    serde_json::from_slice(&std::fs::read(folder.join("image.json")).unwrap()).unwrap()
}

/// What a command says on a machine, as root.
pub(crate) fn there(house: &House, address: &str, line: &str) -> String {
    let key = ground::given("LABINATOR_LIVE_KEY").display().to_string();
    house.shell(&format!(
        "timeout 60 ssh -q -i {key} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
         -o ConnectTimeout=30 root@{address} '{line}'"
    ))
}

pub(crate) fn until_there(house: &House, address: &str) {
    ground::until(Duration::from_secs(180), "its ssh server answers", || {
        let probe = format!("timeout 5 bash -c \"</dev/tcp/{address}/22\" 2>/dev/null && echo open || true");
        (house.shell(&probe).trim() == "open").then_some(())
    });
}
