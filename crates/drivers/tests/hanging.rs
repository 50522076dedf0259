//! A device that hangs is named by its own queue, and nothing else waits for it.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use drivers::power::{DriverReport, Power, PowerCommand, Reveal};
use model::{CommandId, DeviceKind, DeviceSight, DeviceSpec, DriverName, Outcome, PortRef, PowerOrder, Span};
use sim::buttons::{Cabinet, Pace, RelayBoard};
use sim::pty::{Adapter, Wired as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(60);

fn board() -> RelayBoard {
    RelayBoard::new([Cabinet::new(Pace { post: 400, stop: 300 }); 8], 0)
}

/// An address at which nobody takes connections: one more than its queue holds waits there without an answer.
fn full() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let at = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&at, Duration::from_millis(300)) {
        waiting.push(stream);
        assert!(waiting.len() < 100, "a queue without an end");
    }
    (listener, waiting, at)
}

fn door(name: &str, device: String, reveal: &Reveal, tell: &mpsc::Sender<DriverReport>) -> Power {
    let spec = DeviceSpec {
        kind: DeviceKind::Relayinator { device },
        stagger: Span(0),
        protect: [].into(),
        standby: None,
    };
    let ports = vec![("1".to_owned(), format!("of-{name}").parse().unwrap())];
    Power::of_device((name.parse().unwrap(), &spec), ports, reveal, tell)
}

fn order(power: &Power, name: &str, id: u64) {
    let port = PortRef { driver: name.parse().unwrap(), port: "1".to_owned() };
    let node = format!("of-{name}").parse().unwrap();
    power.order(&PowerCommand { id: CommandId(id), node, port, order: PowerOrder::On }).unwrap();
}

#[tokio::test]
async fn a_device_that_hangs_is_named_others_go_on_and_it_is_used_again_when_it_answers() {
    let (listener, waiting, at) = full();
    let path: PathBuf = std::env::temp_dir().join(format!("hanging-{}", std::process::id()));
    let mut adapter = Adapter::new(&path, 9600, board());
    adapter.plug().unwrap();
    let reveal: Reveal = Arc::new(|_| Err("nothing is kept".to_owned()));
    let (tell, mut reports) = mpsc::channel(64);
    let hangs = door("hangs", format!("tcp://{at}"), &reveal, &tell);
    let well = door("well", path.to_str().unwrap().to_owned(), &reveal, &tell);
    let began = Instant::now();
    order(&hangs, "hangs", 1);
    order(&well, "well", 2);

    let (mut ends, mut lost) = (Vec::new(), Vec::new());
    while ends.len() < 2 {
        match timeout(LIMIT, reports.recv()).await.unwrap().unwrap() {
            DriverReport::Finished { id, outcome } => ends.push((id, outcome, began.elapsed())),
            DriverReport::DeviceSeen { driver, sight: DeviceSight::Lost { code, why } } => {
                lost.push((driver, code, why));
            }
            _ => {}
        }
    }
    let [(first, done, soon), (second, failed, late)] = ends.try_into().unwrap();
    assert_eq!((first, done), (CommandId(2), Outcome::Done));
    // Five seconds are one exchange's limit; of a button that nobody knows to be pressed nothing is tried again.
    assert!(soon < Duration::from_secs(5) && late >= Duration::from_secs(5), "{soon:?} {late:?}");
    assert_eq!((second, failed), (CommandId(1), Outcome::Unknown));
    let [(driver, code, why)] = lost.try_into().unwrap();
    assert_eq!((driver, code.as_str()), ("hangs".parse::<DriverName>().unwrap(), "hangs"));
    assert!(why.contains("within 5 s: it hangs, or the line to it does"), "{why}");

    // What waited is taken now, and a board answers there.
    drop(waiting);
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut board, mut bytes) = (board(), [0; 64]);
                while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                    board.hear(bytes.get(..count).unwrap(), 1000);
                    let said = board.say(1000);
                    if stream.write_all(&said).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    loop {
        let report = timeout(LIMIT, reports.recv()).await.unwrap().unwrap();
        let DriverReport::DeviceSeen { driver, sight } = report else { continue };
        match sight {
            DeviceSight::Answers { .. } if driver.as_str() == "hangs" => break,
            DeviceSight::Answers { .. } | DeviceSight::Restarted { .. } => {}
            DeviceSight::Lost { why, .. } => assert_eq!(driver.as_str(), "hangs", "{why}"),
        }
    }
}
