//! One boot from the first packet to the agent's report, over real sockets.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod stand;

use std::sync::Arc;

use model::{AGENT_BEAT_PATH, AGENT_HELLO_PATH, AgentWelcome, Sight, Sighting};
use netboot::Up;
use stand::{Core, NODE1, NODE1_IP, NODE2, NODE2_IP, STRANGER, Stand, kernel, table};
use wire::dhcp::{OptionCode, Options};
use wire::tftp::{FetchEnd, FetchSettings};

fn firmware(class: &str, arch: u16) -> Options {
    let mut options = Options::new();
    options.set(OptionCode::VENDOR_CLASS, class.as_bytes());
    options.set_u16(OptionCode::ARCHITECTURES, arch);
    options
}

fn ipxe() -> Options {
    let mut options = firmware("PXEClient:Arch:00007:UNDI:003016", 7);
    options.set(OptionCode::USER_CLASS, b"iPXE".as_slice());
    options
}

fn report(nonce: &str) -> String {
    let json = serde_json::json!({
        "mac": NODE1, "boot_id": "b1", "nonce": nonce, "address": NODE1_IP.to_string(), "version": "0.1.0",
        "kernel": "6.1", "uptime_ms": 900, "inventory": {
            "firmware": "uefi", "product": "", "serial": "", "uuid": "", "cpu": "", "cpus": 1, "memory_mib": 512,
            "disks": [], "nics": []
        }
    });
    json.to_string()
}

/// The words for what was seen of the machine, up to the first that is wanted. What comes by one way is told in order;
/// the last byte of a file and the next question come by two.
async fn sights_up_to(core: &mut Core, last: impl Fn(&Sight) -> bool) -> Vec<String> {
    let mut names = Vec::new();
    core.find(|up| {
        let Up::Sighting(Sighting { mac, sight, .. }) = up else { return None };
        assert_eq!(*mac, NODE1);
        let word = serde_json::to_value(sight).unwrap();
        names.push(word.get("sight").and_then(serde_json::Value::as_str).unwrap().to_owned());
        last(sight).then_some(())
    })
    .await;
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_uefi_machine_goes_from_its_first_packet_to_the_agents_report() {
    let stand = Stand::start(4);
    let mut core = stand.core().await;
    assert!(matches!(core.next().await, Some(Up::Hello { table: None, .. })));
    core.publish(table(&stand.shelf(), 7)).await;

    let ack = stand.lease(NODE1, firmware("PXEClient:Arch:00007:UNDI:003016", 7)).await;
    assert_eq!(ack.yiaddr, NODE1_IP);
    assert_eq!(ack.siaddr, stand::BOSS);
    let settings = FetchSettings::edk2("snponly.efi", false);
    let probe = FetchSettings::edk2("snponly.efi", true);
    let (end, _, size) = stand.fetch(NODE1_IP, probe).await;
    assert_eq!((end, size), (FetchEnd::Probed { size: Some(146_800) }, Some(146_800)));
    let (end, loader, _) = stand.fetch(NODE1_IP, settings).await;
    assert_eq!((end, loader.len()), (FetchEnd::Complete, 146_800));
    let served = |sight: &Sight| matches!(sight, Sight::FileServed { .. });
    let mut names = sights_up_to(&mut core, served).await;

    let ack = stand.lease(NODE1, ipxe()).await;
    let url = ack.options.text(OptionCode::BOOT_FILE).map(ToOwned::to_owned);
    let url = url.unwrap_or_else(|| String::from_utf8(ack.file.clone()).unwrap());
    assert_eq!(url.trim_end_matches('\0'), format!("{}/boot/02-00-00-00-00-01.ipxe", stand.base()));
    let script = stand.get(NODE1_IP, "/boot/02-00-00-00-00-01.ipxe").await.text();
    assert_eq!(
        stand.get(NODE1_IP, "/boot/02-00-00-00-00-01.ipxe").await.text(),
        script,
        "same boot, same bytes"
    );
    let line = script.lines().find(|line| line.starts_with("kernel ")).unwrap();
    assert!(line.contains(" console=ttyS0 quiet labinator.boss=http://127.0.0.1:"), "{line}");
    assert!(line.contains(" labinator.node=node1 "), "{line}");
    let url = line.split(' ').nth(1).unwrap();
    let image = stand.get(NODE1_IP, url.strip_prefix(&stand.base()).unwrap()).await;
    assert_eq!(image.status, 200);
    assert!(image.body == kernel());
    names.extend(sights_up_to(&mut core, served).await);

    let nonce = line.rsplit("labinator.nonce=").next().unwrap();
    assert_eq!(nonce.len(), 32);
    assert_eq!(stand.post(NODE1_IP, AGENT_HELLO_PATH, &report("forged")).await.status, 403);
    let welcome = stand.post(NODE1_IP, AGENT_HELLO_PATH, &report(nonce)).await;
    let welcome: AgentWelcome = serde_json::from_slice(&welcome.body).unwrap();
    assert_eq!(welcome.node.unwrap().as_str(), "node1");
    assert!(!welcome.report_again);

    names.extend(sights_up_to(&mut core, |sight| matches!(sight, Sight::Agent { .. })).await);
    names.retain(|name| name != "file-moved");
    let expected = "discover offer request ack file-asked file-agreed file-served discover offer request ack \
                    script-asked script-asked file-asked file-served agent";
    assert_eq!(names.join(" "), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_client_gets_the_boot_file_it_can_start() {
    let stand = Stand::with_board();
    let file = |ack: wire::dhcp::Message| {
        let option = ack.options.text(OptionCode::BOOT_FILE).unwrap_or_default().to_owned();
        let field = String::from_utf8_lossy(&ack.file).trim_end_matches('\0').to_owned();
        if option.is_empty() { field } else { option }
    };
    assert_eq!(
        file(stand.lease(NODE1, firmware("PXEClient:Arch:00000:UNDI:002001", 0)).await),
        "undionly.kpxe"
    );
    assert_eq!(
        file(stand.lease(NODE1, firmware("PXEClient:Arch:00009:UNDI:003016", 9)).await),
        "snponly.efi"
    );
    let uki = file(stand.lease(NODE1, firmware("HTTPClient:Arch:00016:UNDI:003016", 16)).await);
    assert!(uki.starts_with(&format!("{}/f/", stand.base())) && uki.ends_with("/node.efi"), "{uki}");
    let undecided = file(stand.lease(NODE2, firmware("HTTPClient:Arch:00016:UNDI:003016", 16)).await);
    assert_eq!(undecided, format!("{}/snponly.efi", stand.base()));
    assert_eq!(file(stand.lease(NODE1, Options::new()).await), "");
    let mut agent = Options::new();
    agent.set(OptionCode::VENDOR_CLASS, model::AGENT_VENDOR_CLASS.as_bytes());
    // Where it reports: with another server's lease it asks for just this.
    assert_eq!(file(stand.lease(NODE1, agent).await), stand.base());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_nobody_decided_for_waits_and_one_nobody_knows_is_told_so() {
    let stand = Stand::with_board();
    let waiting = stand.get(NODE2_IP, "/boot/02-00-00-00-00-02.ipxe").await.text();
    assert!(waiting.contains("sleep 3\n") && waiting.contains("the test says so"), "{waiting}");
    let ack = stand.lease(STRANGER, ipxe()).await;
    assert_eq!(ack.yiaddr.octets()[..3], [127, 0, 0]);
    assert!(ack.yiaddr.octets()[3] >= 100);
    let stranger = stand.get(ack.yiaddr, "/boot/02-00-00-00-00-63.ipxe").await.text();
    assert!(stranger.contains("02:00:00:00:00:63, is not on the board"), "{stranger}");
    assert!(stranger.contains("sleep 15\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn autoexec_is_answered_per_machine_over_http_and_tftp() {
    let stand = Stand::with_board();
    let by_http = stand.get(NODE2_IP, "/autoexec.ipxe").await.text();
    assert!(by_http.starts_with("#!ipxe\nifopen ||\n") && by_http.contains("This is node2"), "{by_http}");
    let (end, by_tftp, _) = stand.fetch(NODE2_IP, FetchSettings::edk2("/boot/autoexec.ipxe", false)).await;
    assert_eq!(end, FetchEnd::Complete);
    assert_eq!(String::from_utf8(by_tftp).unwrap(), by_http);
    let ack = stand.lease(STRANGER, ipxe()).await;
    let leased = stand.get(ack.yiaddr, "/autoexec.ipxe").await.text();
    assert!(leased.contains("is not on the board"), "{leased}");
    let unheard_of = stand.get(std::net::Ipv4Addr::new(127, 0, 0, 77), "/autoexec.ipxe").await.text();
    assert!(unheard_of.contains("/boot/${mac:hexhyp}.ipxe"), "{unheard_of}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_a_restarted_counter_is_asked_to_report_again_and_given_its_orders() {
    let stand = Stand::with_board();
    let beat = serde_json::json!({
        "mac": NODE1, "boot_id": "b1", "uptime_ms": 5000, "load_milli": 10, "memory_available_mib": 100
    });
    let ask = async || {
        let answer = stand.post(NODE1_IP, AGENT_BEAT_PATH, &beat.to_string()).await;
        serde_json::from_slice::<AgentWelcome>(&answer.body).unwrap()
    };
    assert!(ask().await.report_again);
    let script = stand.get(NODE1_IP, "/boot/02-00-00-00-00-01.ipxe").await.text();
    let nonce = script.split("labinator.nonce=").nth(1).unwrap().lines().next().unwrap().to_owned();
    assert_eq!(stand.post(NODE1_IP, AGENT_HELLO_PATH, &report(&nonce)).await.status, 200);
    assert!(!ask().await.report_again);
    let mut next = table(&stand.shelf(), 2);
    Arc::make_mut(&mut next.nodes[0]).order = model::AgentOrder::PowerOff;
    stand.counter.publish(next).unwrap();
    assert_eq!(ask().await.order, model::AgentOrder::PowerOff);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_worse_of_a_machine_is_told_once_beside_its_heartbeats() {
    let stand = Stand::with_board();
    let script = stand.get(NODE1_IP, "/boot/02-00-00-00-00-01.ipxe").await.text();
    let nonce = script.split("labinator.nonce=").nth(1).unwrap().lines().next().unwrap().to_owned();
    assert_eq!(stand.post(NODE1_IP, AGENT_HELLO_PATH, &report(&nonce)).await.status, 200);
    let name = "x".repeat(1000);
    let beat = async |seconds: u64, dropped: u64| {
        let health = serde_json::json!({
            "softnet": { "dropped": dropped, "squeezed": 0, "cpus": [{ "cpu": 1, "dropped": dropped, "squeezed": 0 }] },
            "nics": vec![serde_json::json!({ "name": name, "column of a later agent": 1 }); 20],
        });
        let beat = serde_json::json!({ "mac": NODE1, "boot_id": "b1", "uptime_ms": seconds * 1000, "load_milli": 10,
            "memory_available_mib": 100, "health": health });
        assert_eq!(stand.post(NODE1_IP, AGENT_BEAT_PATH, &beat.to_string()).await.status, 200);
    };
    for (seconds, dropped) in [(3, 5), (6, 5), (9, 12), (12, 20)] {
        beat(seconds, dropped).await;
    }
    let sights: Vec<Sight> = stand
        .counter
        .sights()
        .take()
        .into_iter()
        .filter_map(|line| match line {
            Up::Sighting(seen) => Some(seen.sight),
            Up::Hello { .. } | Up::Published { .. } | Up::Notice(_) => None,
        })
        .collect();
    let ailing: Vec<_> = sights.iter().filter(|sight| matches!(sight, Sight::Ailing { .. })).collect();
    let ailment = model::Ailment::FramesDropped { count: 7, cpu: Some(1) };
    assert_eq!(ailing, [&Sight::Ailing { boot_id: "b1".to_owned(), ailment }]);
    let last = sights.iter().rev().find_map(|sight| match sight {
        Sight::Beat { beat } => beat.health.clone(),
        _ => None,
    });
    let nics = &last.unwrap().nics;
    assert_eq!(
        (nics.len(), nics[0].name.len()),
        (model::HEALTH_EACH, 64),
        "a heartbeat is cut to its bounds"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_counter_answers_at_once_again_without_a_core_and_forgets_no_lease_and_no_claim() {
    let stand = Stand::with_board();
    let stranger = stand.lease(STRANGER, Options::new()).await.yiaddr;
    let nonce =
        |script: &str| script.split("labinator.nonce=").nth(1).unwrap().lines().next().unwrap().to_owned();
    let before = nonce(&stand.get(NODE1_IP, "/boot/02-00-00-00-00-01.ipxe").await.text());
    let folder = stand.kill().await;

    let stand = Stand::start_in(folder, 4);
    assert_eq!(stand.counter.table_number(), Some(1));
    assert_eq!(stand.counter.who_has(stranger.into()), Some(STRANGER));
    assert_eq!(nonce(&stand.get(NODE1_IP, "/boot/02-00-00-00-00-01.ipxe").await.text()), before);
    assert_eq!(stand.lease(STRANGER, Options::new()).await.yiaddr, stranger);
    let mut later = table(&stand.shelf(), 2);
    Arc::make_mut(&mut later.nodes[0]).boot = 2;
    stand.counter.publish(later).unwrap();
    let after = nonce(&stand.get(NODE1_IP, "/boot/02-00-00-00-00-01.ipxe").await.text());
    assert_ne!(after, before, "a later boot does not get them");
}

#[tokio::test(flavor = "multi_thread")]
async fn grub_gets_its_configuration_by_every_name_it_looks_for_over_tftp_and_http() {
    let stand = Stand::with_board();
    let by_http = stand.get(NODE1_IP, "/grub/grub.cfg").await.text();
    assert!(by_http.contains("if linux '(tftp,127.0.0.1)/f/"), "{by_http}");
    // A GRUB of 2.06 reaches port 80 only, and this stand is elsewhere.
    assert!(!by_http.contains("(http,"), "{by_http}");
    assert!(by_http.contains(" 'console=ttyS0' 'quiet' 'labinator.boss=http://127.0.0.1:"), "{by_http}");
    for path in [
        "/grub/grub.cfg",
        "boot/grub/grub.cfg",
        "/grub/grub.cfg-01-02-00-00-00-00-01",
        "/grub/grub.cfg-7F00000B",
    ] {
        let (end, text, _) = stand.fetch(NODE1_IP, FetchSettings::edk2(path, false)).await;
        assert_eq!(end, FetchEnd::Complete, "{path}");
        assert_eq!(String::from_utf8(text).unwrap(), by_http, "{path}");
    }
    let path = by_http.split("(tftp,127.0.0.1)").nth(1).unwrap().split('\'').next().unwrap();
    let (_, image, _) = stand.fetch(NODE1_IP, FetchSettings::edk2(path, false)).await;
    assert!(image == kernel());

    let waiting = stand.get(NODE2_IP, "/grub/grub.cfg").await.text();
    assert!(waiting.contains("sleep 3\n") && waiting.contains("the test says so"), "{waiting}");
    assert!(!stand.get(NODE2_IP, "/grub/next.cfg").await.text().contains("while"));
    assert_eq!(stand.get(NODE1_IP, "/grub/next.cfg").await.text(), by_http, "decided while it waited");
    let nobody = std::net::Ipv4Addr::new(127, 0, 0, 77);
    assert!(stand.get(nobody, "/grub/grub.cfg").await.text().contains("not on the board"));
    assert_eq!(stand.get(NODE1_IP, "/grub/x86_64-efi/normal.mod").await.status, 404);
}
