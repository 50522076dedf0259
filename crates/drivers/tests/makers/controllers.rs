//! Controllers that do not exist: a Proxmox VE of two nodes, and a machine with Intel AMT.

use serde_json::{Value, json};
use wire::wsman::{CONTENT_TYPE, PATH, answer as document};

use super::{Asked, Said, State, set};

const CIM: &str = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2";

/// Two nodes: machine 101 is on the first or the second, container 102 on the second.
pub(super) fn proxmox(state: &mut State, asked: &Asked) -> Said {
    let json = |status: u16, body: Value| {
        (status, vec!["Content-Type: application/json".to_owned()], body.to_string())
    };
    let place = if state.moved { "pve2" } else { "pve1" };
    let path = asked.path.strip_prefix("/api2/json").unwrap();
    if path == "/cluster/resources?type=vm" {
        return json(
            200,
            json!({ "data": [
                { "vmid": 101, "node": place, "type": "qemu", "status": "unknown", "name": "node1" },
                { "vmid": 102, "node": "pve2", "type": "lxc", "status": "unknown", "name": "node2" }
            ]}),
        );
    }
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let ["nodes", node, kind, number, "status", deed] = parts.as_slice() else {
        return json(501, json!({ "data": null }));
    };
    let relay = match (*node, *kind, *number) {
        (node, "qemu", "101") if node == place => 0,
        ("pve2", "lxc", "102") => 1,
        // As a node says that has no file of this machine.
        _ => return json(500, json!({ "data": null, "message": "Configuration file does not exist\n" })),
    };
    match (asked.method.as_str(), *deed) {
        ("GET", "current") => {
            let status = if state.relays[relay] { "running" } else { "stopped" };
            json(200, json!({ "data": { "status": status, "vmid": 101, "qmpstatus": status } }))
        }
        ("POST", deed @ ("start" | "stop" | "shutdown")) => {
            assert_eq!(asked.body, "");
            set(state, relay, deed == "start");
            json(200, json!({ "data": "UPID:pve1:0004D5F4:0151F2DC:6564A0C1:qmstart:101:lab@pve!boss:" }))
        }
        _ => json(501, json!({ "data": null })),
    }
}

/// The text of the first element of this name.
fn element<'a>(text: &'a str, name: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!(":{name}")).unwrap_or_else(|| panic!("no {name} in {text}"));
    let (_, rest) = rest.split_once('>').unwrap();
    rest.split_once('<').unwrap().0.trim()
}

/// A machine whose power is asked for and ordered by WS-Management.
pub(super) fn amt(state: &mut State, asked: &Asked) -> Said {
    let body = asked.body.as_str();
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", PATH));
    assert_eq!(asked.kind.as_deref(), Some(CONTENT_TYPE));
    let (action, resource, number) =
        (element(body, "Action"), element(body, "ResourceURI"), element(body, "MessageID"));
    assert_eq!(element(body, "To"), PATH);
    let said = |body: String| (200, vec![format!("Content-Type: {CONTENT_TYPE}")], body);
    let service = format!("{CIM}/CIM_PowerManagementService");
    if action == "http://schemas.xmlsoap.org/ws/2004/09/transfer/Get" {
        let class = "CIM_AssociatedPowerManagementService";
        assert_eq!(resource, format!("{CIM}/{class}"));
        let power = if state.relays[0] { "2" } else { "8" };
        let fields =
            [("AvailableRequestedPowerStates", "8"), ("PowerState", power), ("RequestedPowerState", "2")];
        return said(document((&format!("{action}Response"), class), number, &fields));
    }
    assert_eq!((action, resource), (format!("{service}/RequestPowerStateChange").as_str(), service.as_str()));
    assert!(body.contains("<w:Selector Name=\"Name\">ManagedSystem</w:Selector>"), "{body}");
    let result = match element(body, "PowerState") {
        _ if state.result != 0 => state.result,
        "2" if state.relays[0] => 2,
        wanted => {
            set(state, 0, wanted == "2");
            0
        }
    };
    let class = "RequestPowerStateChange_OUTPUT";
    said(document((&format!("{action}Response"), class), number, &[("ReturnValue", &result.to_string())]))
}
