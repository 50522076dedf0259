//! Publishing a lab is atomic: whoever reads while tables are switched gets a whole answer of one of them.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod stand;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use model::{BootAnswer, BootTable};
use netboot::{Counter, Loaders, Parts};
use stand::{Answer, Folder, NODE1, entry, network, put, within};
use store::lossy::LossyFiles;
use store::shelf::Shelf;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Switches of the table while somebody reads, in the test run; `cargo xtask soak` asks for 100,000.
const SWITCHES: u64 = 10_000;

/// Two labs whose scripts differ from the first line to the last.
fn tables(shelf: &Shelf) -> [BootTable; 2] {
    ["first", "second"].map(|name| {
        let kernel = put(shelf, name, name.as_bytes());
        let image = model::Image {
            kernel: Some(kernel),
            initrd: Vec::new(),
            uki: None,
            args: format!("lab={name}"),
            agent: false,
        };
        let answer = BootAnswer::Run { image: Arc::new(image), args: format!("end={name}") };
        let node = entry("node1", NODE1, stand::NODE1_IP, answer);
        BootTable { number: 1, lab: name.parse().unwrap(), network: network(), nodes: vec![Arc::new(node)] }
    })
}

async fn ask(stream: &mut TcpStream, path: &str) -> Answer {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: boss\r\n\r\n").as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let count = within(stream.read(&mut piece)).await.unwrap();
        assert!(count > 0, "the connection ended: {}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(piece.get(..count).unwrap());
        if bytes.windows(4).any(|four| four == b"\r\n\r\n") {
            let answer = Answer::parse(&bytes);
            let length: usize = answer.header("content-length").unwrap().parse().unwrap();
            if answer.body.len() == length {
                return answer;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_reader_sees_no_error_however_often_the_table_is_switched() {
    let folder = Folder::new();
    let shelf = Shelf::new(folder.0.join("store"));
    let loaders = folder.0.join("loaders");
    std::fs::create_dir_all(&loaders).unwrap();
    // A disk in memory: what is tried here is the switch, not how long a sync takes.
    let parts = Parts {
        files: Arc::new(LossyFiles::new()),
        state: folder.0.clone(),
        loaders: Loaders::read(&loaders).unwrap(),
        shelf: Shelf::new(folder.0.join("store")),
        http_port: 80,
        transfers: 4,
    };
    let (counter, _) = Counter::open(parts).unwrap();
    let both = tables(&shelf);
    counter.publish(both[0].clone()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let serving = tokio::spawn(netboot::http::run(Arc::clone(&counter), listener));
    let (over, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (over, reads) = (Arc::clone(&over), Arc::clone(&reads));
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(at).await.unwrap();
                let mut seen = [0_u64; 2];
                while !over.load(Ordering::Relaxed) {
                    let answer = ask(&mut stream, &format!("/boot/{NODE1}.ipxe")).await;
                    assert_eq!(answer.status, 200, "{}", answer.head);
                    let text = answer.text();
                    let marks = ["lab=first", "end=first", "lab=second", "end=second"]
                        .map(|mark| text.contains(mark));
                    match marks {
                        [true, true, false, false] => seen[0] += 1,
                        [false, false, true, true] => seen[1] += 1,
                        _ => panic!("half of one and half of another: {text}"),
                    }
                    reads.fetch_add(1, Ordering::Relaxed);
                }
                seen
            })
        })
        .collect();
    let switches = std::env::var("SWITCHES").ok().and_then(|text| text.parse().ok()).unwrap_or(SWITCHES);
    let publisher = tokio::task::spawn_blocking(move || {
        for number in 0..switches {
            let table = &both[usize::from(number % 2 == 0)];
            counter.publish(BootTable { number: number + 2, ..table.clone() }).unwrap();
        }
    });
    publisher.await.unwrap();
    over.store(true, Ordering::Relaxed);
    for reader in readers {
        let [first, second] = reader.await.unwrap();
        assert!(first > 0 && second > 0, "{first} and {second}: the reader saw only one of them");
    }
    assert!(reads.load(Ordering::Relaxed) > 100);
    serving.abort();
}
