//! Contents that go from their file to the socket: requests in a row, parts of every size, and a file that loses its end.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod stand;

use model::{Sight, Sighting};
use netboot::Up;
use stand::{Answer, NODE1, NODE1_IP, Stand, connect, kernel, put, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The next answer of a connection, taken off its bytes.
fn take(bytes: &mut &[u8], has_body: bool) -> Answer {
    let whole = Answer::parse(bytes);
    let length: usize = whole.header("content-length").unwrap().parse().unwrap();
    let length = if has_body { length } else { 0 };
    let (_, behind) = bytes.split_at(bytes.len() - whole.body.len());
    let (body, rest) = behind.split_at(length);
    *bytes = rest;
    Answer { body: body.to_vec(), ..whole }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_sent_in_a_row_are_answered_in_a_row_each_with_its_own_bytes() {
    let stand = Stand::with_board();
    let kernel = kernel();
    let path = format!("/f/{}/vmlinuz", put(&stand.shelf(), "vmlinuz", &kernel).digest);
    // Around the border of what is sent at once, and over several of them.
    let parts = [(0, 1), (262_143, 262_144), (262_144, 262_144), (1, 1_000_000), (3_333_332, 3_333_332)];
    let mut requests = String::new();
    for (first, last) in parts {
        requests.push_str(&format!("GET {path} HTTP/1.1\r\nHost: b\r\nRange: bytes={first}-{last}\r\n\r\n"));
        requests.push_str(&format!("HEAD {path} HTTP/1.1\r\nHost: b\r\n\r\n"));
        requests.push_str("GET /undionly.kpxe HTTP/1.1\r\nHost: b\r\n\r\n");
        requests.push_str(&format!("GET {path} HTTP/1.1\r\nHost: b\r\n\r\n"));
    }
    requests.push_str("GET /none HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n");
    let (mut reader, mut writer) = connect(NODE1_IP, stand.http).await.into_split();
    let mut bytes = Vec::new();
    let (read, wrote) =
        within(async { tokio::join!(reader.read_to_end(&mut bytes), writer.write_all(requests.as_bytes())) })
            .await;
    read.unwrap();
    wrote.unwrap();
    let mut rest = bytes.as_slice();
    for (first, last) in parts {
        let part = take(&mut rest, true);
        assert_eq!(part.status, 206);
        assert!(part.body == kernel[first..=last], "{first}-{last}");
        let head = take(&mut rest, false);
        assert_eq!((head.status, head.header("content-length")), (200, Some("3333333")));
        assert_eq!(take(&mut rest, true).body, vec![0xeb; 97_782]);
        assert!(take(&mut rest, true).body == kernel);
    }
    assert_eq!(take(&mut rest, true).status, 404);
    assert!(rest.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_content_that_loses_its_end_on_the_way_ends_the_connection_and_counts_as_broken() {
    const SIZE: usize = 40 << 20;
    const LEFT: usize = 20 << 20;
    let stand = Stand::start(1);
    let mut core = stand.core().await;
    core.publish(stand::table(&stand.shelf(), 1)).await;
    let bytes: Vec<u8> = (0..SIZE).map(|at| (at * 31 + at / 251).to_le_bytes()[0]).collect();
    let asset = put(&stand.shelf(), "big", &bytes);
    let file = stand.shelf().root().join(asset.digest.to_string());
    let mut stream = connect(NODE1_IP, stand.http).await;
    let request = format!("GET /f/{}/big HTTP/1.1\r\nHost: boss\r\n\r\n", asset.digest);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut got = vec![0; 1];
    within(stream.read_exact(&mut got)).await.unwrap();
    // More than the sockets hold is still to come.
    std::fs::File::options().write(true).open(file).unwrap().set_len(LEFT.try_into().unwrap()).unwrap();
    // It ends with an end or a reset, whichever the system chooses. What a reset overtakes on its way is lost.
    drop(within(stream.read_to_end(&mut got)).await);
    let answer = Answer::parse(&got);
    assert_eq!((answer.status, answer.header("content-length")), (200, Some(SIZE.to_string().as_str())));
    let count = answer.body.len();
    assert!(count <= LEFT && answer.body == bytes[..count], "{count} bytes");
    let broken = |up: &Up| match up {
        Up::Sighting(Sighting { mac: NODE1, sight: Sight::FileBroken { bytes, .. }, .. }) => Some(*bytes),
        Up::Sighting(Sighting { sight: Sight::FileServed { .. }, .. }) => Some(0),
        _ => None,
    };
    assert_eq!(core.find(broken).await, u64::try_from(LEFT).unwrap());
    let after = stand.get(NODE1_IP, "/snponly.efi").await;
    assert_eq!(after.status, 200);
}
