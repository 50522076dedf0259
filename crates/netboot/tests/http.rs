//! The boot HTTP: ranges, heads, tricks, slow readers and full houses.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod stand;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::{AGENT_HELLO_PATH, BootAnswer, Image, Sight, Sighting};
use netboot::http::{Patience, serve_connection};
use netboot::{Counter, Loaders, Parts, Up};
use stand::{Answer, NODE1, NODE1_IP, NODE2_IP, Stand, kernel, put, within};
use store::lossy::LossyFiles;
use store::shelf::Shelf;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

/// Nobody's.
const STRANGER_IP: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 77);

fn kernel_path(stand: &Stand) -> String {
    let asset = put(&stand.shelf(), "vmlinuz", &kernel());
    format!("/f/{}/vmlinuz", asset.digest)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_content_is_served_whole_in_parts_and_as_a_head() {
    let stand = Stand::with_board();
    let path = kernel_path(&stand);
    let whole = stand.get(NODE1_IP, &path).await;
    assert_eq!(whole.status, 200);
    assert!(whole.body == kernel());
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    let etag = whole.header("etag").unwrap().to_owned();
    assert_eq!(etag.len(), 66);
    assert!(path.contains(etag.trim_matches('"')));
    assert!(whole.header("last-modified").unwrap().ends_with(" GMT"));

    let part = stand.get_with(NODE1_IP, &path, "Range: bytes=1000000-1999999\r\n").await;
    assert_eq!((part.status, part.header("content-range")), (206, Some("bytes 1000000-1999999/3333333")));
    assert!(part.body == kernel()[1_000_000..2_000_000]);
    let rest = format!("Range: bytes=3000000-\r\nIf-Range: {etag}\r\n");
    let rest = stand.get_with(NODE1_IP, &path, &rest).await;
    assert!(rest.status == 206 && rest.body == kernel()[3_000_000..]);
    let other = stand.get_with(NODE1_IP, &path, "Range: bytes=3000000-\r\nIf-Range: \"other\"\r\n").await;
    assert_eq!((other.status, other.body.len()), (200, 3_333_333));
    let beyond = stand.get_with(NODE1_IP, &path, "Range: bytes=3333333-\r\n").await;
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */3333333")));
    assert_eq!(stand.get_with(NODE1_IP, &path, &format!("If-None-Match: {etag}\r\n")).await.status, 304);
    assert_eq!(stand.get_with(NODE1_IP, &path, "If-Match: \"other\"\r\n").await.status, 412);

    let head = format!("HEAD {path} HTTP/1.1\r\nHost: boss\r\nConnection: close\r\n\r\n");
    let head = stand.http_from(NODE1_IP, &head).await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("3333333"), 0));
    assert_eq!(head.header("etag"), Some(etag.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_head_of_a_script_has_the_length_of_the_script_and_spends_no_claim() {
    let stand = Stand::with_board();
    let path = "/boot/02-00-00-00-00-01.ipxe";
    let head = format!("HEAD {path} HTTP/1.1\r\nHost: boss\r\nConnection: close\r\n\r\n");
    let head = stand.http_from(NODE1_IP, &head).await;
    let script = stand.get(NODE1_IP, path).await;
    assert_eq!(head.header("content-length"), script.header("content-length"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_leads_out_of_what_is_served() {
    let stand = Stand::with_board();
    let digest = "0".repeat(64);
    for path in [
        "/",
        "/../../etc/passwd",
        "/..%2f..%2fetc%2fpasswd",
        "//etc/passwd",
        "/f/../../../etc/passwd",
        "/f/..%2f..%2fstate%2fledger/x",
        "/boot/../snponly.efi",
        "/boot/..ipxe",
        "/snponly.efi/",
        "/.hidden",
        &format!("/f/{digest}/x"),
        &format!("/f/{digest}/../../../x"),
        &format!("/f/{}/x", "A".repeat(64)),
    ] {
        let answer = stand.get(NODE1_IP, path).await;
        assert_eq!((answer.status, answer.text().as_str()), (404, "no such file\n"), "{path}");
    }
    let put =
        stand.http_from(NODE1_IP, "PUT /snponly.efi HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n").await;
    assert_eq!((put.status, put.header("allow")), (405, Some("GET, HEAD")));
    let get = stand.get(NODE1_IP, AGENT_HELLO_PATH).await;
    assert_eq!((get.status, get.header("allow")), (405, Some("POST")));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_carries_many_requests() {
    let stand = Stand::with_board();
    let mut stream = stand::connect(NODE1_IP, stand.http).await;
    let mut buffer = vec![0; 300_000];
    for _ in 0..3 {
        stream.write_all(b"GET /snponly.efi HTTP/1.1\r\nHost: boss\r\n\r\n").await.unwrap();
        let mut got = 0;
        while got < 146_800 {
            got += within(stream.read(&mut buffer[got..])).await.unwrap();
            let end = buffer[..got].windows(4).position(|four| four == b"\r\n\r\n");
            if end.is_some_and(|end| got - end - 4 == 146_800) {
                break;
            }
        }
        assert_eq!(Answer::parse(&buffer[..got]).status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_patient_are_asked_to_come_back_when_all_places_are_taken() {
    let stand = Stand::start(1);
    let mut core = stand.core().await;
    core.publish(stand::table(&stand.shelf(), 1)).await;
    // Its digest is not looked at, only its size: more than the sockets of a connection hold.
    let path = format!("/f/{}/big", "0".repeat(64));
    std::fs::create_dir_all(stand.shelf().root()).unwrap();
    let big = std::fs::File::create(stand.shelf().root().join("0".repeat(64))).unwrap();
    big.set_len(40 << 20).unwrap();
    let mut slow = stand::connect(NODE1_IP, stand.http).await;
    slow.write_all(format!("GET {path} HTTP/1.1\r\nHost: boss\r\n\r\n").as_bytes()).await.unwrap();
    let mut first = [0; 1];
    within(slow.read_exact(&mut first)).await.unwrap();

    let ipxe = stand.get_with(NODE2_IP, &path, "User-Agent: iPXE/1.0.0\r\n").await;
    assert_eq!((ipxe.status, ipxe.header("retry-after")), (503, Some("1")));
    let same = stand.get_with(NODE1_IP, &path, "User-Agent: iPXE/1.0.0\r\nRange: bytes=0-9\r\n").await;
    assert_eq!(same.status, 206, "a machine that has a place goes on in it");
    let firmware = stand.get_with(NODE2_IP, &path, "User-Agent: UefiHttpBoot/1.0\r\n").await;
    assert!(firmware.status == 200 && firmware.body.len() == 40 << 20);
    let loader = stand.get_with(NODE1_IP, "/snponly.efi", "User-Agent: iPXE/1.0.0\r\n").await;
    assert_eq!(loader.status, 200);
    let deferred =
        |up: &Up| matches!(up, Up::Sighting(Sighting { sight: Sight::Deferred { .. }, .. })).then_some(());
    core.find(deferred).await;

    // One that only knows how to wait is neither refused nor served before its time.
    let (waiter, waited) = (stand.get_with(STRANGER_IP, &path, "User-Agent: curl/8.0\r\n"), Arc::default());
    let waiter = async { (waiter.await, std::sync::atomic::AtomicBool::load(&waited, Ordering::Relaxed)) };
    let leaver = async {
        within(stand.get_with(NODE2_IP, "/snponly.efi", "")).await;
        std::sync::atomic::AtomicBool::store(&waited, true, Ordering::Relaxed);
        drop(slow);
    };
    let ((curl, waited), ()) = tokio::join!(waiter, leaver);
    assert!(waited && curl.status == 200 && curl.body.len() == 40 << 20);
    let broken = |up: &Up| match up {
        Up::Sighting(Sighting { mac: NODE1, sight: Sight::FileBroken { name, .. }, .. }) => {
            Some(name.clone())
        }
        _ => None,
    };
    assert_eq!(core.find(broken).await, "big");
    within(async {
        while stand.get_with(NODE2_IP, &path, "User-Agent: iPXE/1.0.0\r\n").await.status == 503 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_has_its_whole_image_or_hung_up_after_asking_for_it_keeps_nobody_waiting() {
    const IPXE: &str = "User-Agent: iPXE/2.0.0\r\n";
    for (wants, hangs_up) in [("", false), ("Range: bytes=0-9\r\n", true)] {
        let stand = Stand::start(1);
        let mut table = stand::table(&stand.shelf(), 1);
        let kernel = Image { kernel: Some(put(&stand.shelf(), "vmlinuz", &kernel())), ..Image::default() };
        let answer = BootAnswer::Run { image: Arc::new(kernel), args: String::new() };
        table.nodes[0] = Arc::new(stand::entry("node1", NODE1, NODE1_IP, answer));
        stand.counter.publish(table).unwrap();
        let path = kernel_path(&stand);
        let mut first = stand::connect(NODE1_IP, stand.http).await;
        let request = format!("GET {path} HTTP/1.1\r\nHost: boss\r\n{IPXE}{wants}\r\n");
        first.write_all(request.as_bytes()).await.unwrap();
        let size = if hangs_up { 10 } else { 3_333_333 };
        let (mut got, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
        while got.windows(4).position(|four| four == b"\r\n\r\n").is_none_or(|end| got.len() - end - 4 < size)
        {
            let count = within(first.read(&mut buffer)).await.unwrap();
            assert!(count > 0, "{}", String::from_utf8_lossy(&got));
            got.extend_from_slice(&buffer[..count]);
        }
        let kept = (!hangs_up).then_some(first);
        // Were the place kept for it, the next would be sent away before it falls free.
        let next = stand.get_with(NODE2_IP, &path, IPXE).await;
        assert_eq!(next.status, 200, "{wants:?}");
        drop(kept);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn digests_are_told_in_a_header_and_of_what_was_sent_in_a_trailer_to_those_who_read_them() {
    let stand = Stand::with_board();
    let path = kernel_path(&stand);
    let of = |bytes: &[u8]| {
        let mut printed = String::new();
        for byte in store::Digest::of(bytes).0 {
            printed.push_str(&format!("{byte:02x}"));
        }
        printed
    };
    // Base64 turned into the digits of a digest.
    let read = |field: &str| {
        let text = field.strip_prefix("sha-256=:").unwrap().strip_suffix(":").unwrap();
        let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let bits: String =
            text.trim_end_matches('=').chars().map(|c| format!("{:06b}", letters.find(c).unwrap())).collect();
        bits.as_bytes()
            .chunks_exact(8)
            .map(|byte| format!("{:02x}", u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap()))
            .collect::<String>()
    };
    let plain = stand.get(NODE1_IP, &path).await;
    assert_eq!(read(plain.header("repr-digest").unwrap()), of(&kernel()));
    assert_eq!((plain.header("content-length"), plain.header("trailer")), (Some("3333333"), None));
    let loader = stand.get(NODE1_IP, "/undionly.kpxe").await;
    assert_eq!(read(loader.header("repr-digest").unwrap()), of(&vec![0xeb; 97_782]));

    let asked = "TE: trailers\r\nRange: bytes=1000000-2999999\r\n";
    let part = stand.get_with(NODE1_IP, &path, asked).await;
    assert_eq!((part.status, part.header("trailer")), (206, Some("content-digest")));
    assert_eq!(part.header("transfer-encoding"), Some("chunked"));
    assert_eq!(read(part.header("repr-digest").unwrap()), of(&kernel()), "of the whole file");
    let mut rest = part.body.as_slice();
    let mut content = Vec::new();
    let trailer = loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").unwrap();
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        rest = &rest[end + 2..];
        if length == 0 {
            break std::str::from_utf8(rest).unwrap().trim();
        }
        content.extend_from_slice(&rest[..length]);
        rest = &rest[length + 2..];
    };
    assert!(content == kernel()[1_000_000..3_000_000]);
    let (name, value) = trailer.split_once(": ").unwrap();
    assert_eq!((name, read(value)), ("content-digest", of(&content)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_is_that_of_the_get_whatever_is_asked() {
    let stand = Stand::with_board();
    let path = kernel_path(&stand);
    let etag = stand.get(NODE1_IP, &path).await.header("etag").unwrap().to_owned();
    for headers in [
        String::new(),
        "Range: bytes=5-9\r\n".to_owned(),
        "Range: bytes=9999999-\r\n".to_owned(),
        "Range: bytes=0-1,5-6\r\n".to_owned(),
        format!("If-None-Match: {etag}\r\n"),
        "If-Modified-Since: Fri, 31 Dec 9999 23:59:59 GMT\r\n".to_owned(),
        "If-Match: \"other\"\r\n".to_owned(),
    ] {
        for path in [path.as_str(), "/snponly.efi"] {
            let get = stand.get_with(NODE1_IP, path, &headers).await;
            let head = format!("HEAD {path} HTTP/1.1\r\nHost: boss\r\nConnection: close\r\n{headers}\r\n");
            let head = stand.http_from(NODE1_IP, &head).await;
            assert!(head.body.is_empty());
            let sorted = |answer: &Answer| {
                let mut lines: Vec<String> = answer
                    .head
                    .lines()
                    .filter(|line| !line.starts_with("date:"))
                    .map(str::to_owned)
                    .collect();
                lines.sort();
                lines
            };
            assert_eq!(sorted(&head), sorted(&get), "{path} {headers}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_is_no_report_is_refused() {
    let stand = Stand::with_board();
    assert_eq!(stand.post(NODE1_IP, AGENT_HELLO_PATH, "{}").await.status, 400);
    assert_eq!(stand.post(NODE1_IP, AGENT_HELLO_PATH, &" ".repeat(300 << 10)).await.status, 413);
    let headers = "X-Long: 0123456789\r\n".repeat(200);
    assert_eq!(stand.get_with(NODE1_IP, "/snponly.efi", &headers).await.status, 431);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_cannot_take_all_connections() {
    let stand = Stand::with_board();
    let mut guests = Vec::new();
    for _ in 0..128 {
        guests.push(stand::connect(NODE1_IP, stand.http).await);
    }
    // They count once they are accepted, which the answer to the last proves.
    let last = guests.last_mut().unwrap();
    last.write_all(b"GET /none HTTP/1.1\r\nHost: boss\r\n\r\n").await.unwrap();
    within(last.read_exact(&mut [0; 12])).await.unwrap();
    let mut refused = stand::connect(NODE1_IP, stand.http).await;
    let closed = within(refused.read(&mut [0; 1])).await;
    assert!(closed.is_err() || closed.unwrap() == 0);
    assert_eq!(stand.get(Ipv4Addr::LOCALHOST, "/snponly.efi").await.status, 200);
}

/// A connection in memory, with a content of four megabytes behind it.
fn in_memory(
    folder: &stand::Folder,
    patience: Patience,
) -> (DuplexStream, String, tokio::task::JoinHandle<()>) {
    let shelf = Shelf::new(folder.0.join("store"));
    let asset = put(&shelf, "image", &vec![1; 4 << 20]);
    let (counter, _) = Counter::open(Parts {
        files: Arc::new(LossyFiles::new()),
        state: "/state".into(),
        loaders: Loaders::default(),
        shelf,
        http_port: 80,
        transfers: 1,
    })
    .unwrap();
    let (near, far) = tokio::io::duplex(16 << 10);
    let peer = SocketAddr::from((NODE1_IP, 40_000));
    let serving = tokio::spawn(serve_connection(counter, far, peer, patience));
    (near, format!("GET /f/{}/image HTTP/1.1\r\nHost: boss\r\n\r\n", asset.digest), serving)
}

#[tokio::test]
async fn a_reader_that_stops_reading_loses_its_connection_and_a_slow_but_honest_one_keeps_it() {
    let folder = stand::Folder::new();
    // The least is one byte, so that a test machine under load is not taken for a dishonest reader.
    let patience = Patience { window: Duration::from_secs(1), least: 1, ..Patience::default() };
    let (mut near, request, serving) = in_memory(&folder, patience);
    near.write_all(request.as_bytes()).await.unwrap();
    within(serving).await.unwrap();

    let (mut near, request, serving) = in_memory(&folder, patience);
    near.write_all(request.as_bytes()).await.unwrap();
    let mut got = 0;
    let mut buffer = vec![0; 16 << 10];
    while got < 4 << 20 {
        // Slower than the server; the whole takes longer than a window.
        tokio::time::sleep(Duration::from_millis(5)).await;
        let count = within(near.read(&mut buffer)).await.unwrap();
        assert_ne!(count, 0, "cut off after {got} bytes");
        got += count;
    }
    drop(near);
    within(serving).await.unwrap();
}

#[tokio::test]
async fn a_client_that_says_nothing_more_or_never_ends_its_head_loses_its_connection() {
    let folder = stand::Folder::new();
    let patience = Patience { head: Duration::from_millis(100), ..Patience::default() };
    let (_silent, _, serving) = in_memory(&folder, patience);
    within(serving).await.unwrap();
    let (mut endless, _, serving) = in_memory(&folder, patience);
    endless.write_all(b"GET / HTTP/1.1\r\nHost: ").await.unwrap();
    within(serving).await.unwrap();
    let (mut served, _, serving) = in_memory(&folder, patience);
    served.write_all(b"GET / HTTP/1.1\r\nHost: boss\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    within(served.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(Answer::parse(&answer).status, 404);
    within(serving).await.unwrap();
}
