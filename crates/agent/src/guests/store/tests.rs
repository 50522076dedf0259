//! The store against a boss of a few lines.

use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;

use super::*;

/// A boss with one content. It hangs up after `cut` bytes of the first answer, and notes every request.
struct Boss {
    at: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

async fn boss(content: Vec<u8>, cut: Option<usize>) -> Boss {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    tokio::spawn(async move {
        let mut cut = cut;
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut request).await.unwrap();
            }
            let request = String::from_utf8(request).unwrap();
            let from =
                request.split_once("bytes=").and_then(|(_, rest)| rest.split('-').next()?.parse().ok());
            let status = if from.is_some() { "206 Partial Content" } else { "200 OK" };
            let body = &content[from.unwrap_or(0)..];
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
            noted.lock().unwrap().push(request);
            stream.write_all(head.as_bytes()).await.unwrap();
            let end = cut.take().unwrap_or(body.len()).min(body.len());
            stream.write_all(&body[..end]).await.unwrap();
        }
    });
    Boss { at, asked }
}

fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("agent-store-{name}-{}", std::process::id()));
    drop(fs::remove_dir_all(&path));
    path
}

fn asset(name: &str, content: &[u8]) -> Asset {
    let size = u64::try_from(content.len()).unwrap();
    Asset { name: name.to_owned(), digest: Digest(store::Digest::of(content).0), size }
}

fn wishes(image: &Image, count: usize) -> Vec<GuestWish> {
    let names = ["vm1", "vm2", "vm3"];
    let wish = |name: &&str| {
        let mut wish = super::super::plan::tests::wish(name);
        wish.image = Some(Arc::new(image.clone()));
        wish
    };
    names.iter().take(count).map(wish).collect()
}

async fn until(store: &mut Store, wish: &GuestWish, wanted: impl Fn(&Have) -> bool) -> Have {
    let wait = async {
        loop {
            let have = store.have(wish);
            if wanted(&have) {
                return have;
            }
            store.changed().await;
        }
    };
    timeout(Duration::from_secs(20), wait).await.unwrap()
}

#[tokio::test]
async fn three_guests_cause_one_download_which_goes_on_where_it_was_cut_off() {
    let content: Vec<u8> = (0..700_000_u32).flat_map(u32::to_le_bytes).collect();
    let kernel = asset("vm linuz", &content);
    let boss = boss(content.clone(), Some(1_000_000)).await;
    let root = folder("once");
    let mut store = Store::spawn(root.clone());
    let image = Image { kernel: Some(kernel.clone()), ..Image::default() };
    let list = wishes(&image, 3);
    assert_eq!(store.have(&list[0]), Have::Coming("0 of 3 MB".to_owned()));
    store.want(Some(boss.at), &list);
    for wish in &list {
        assert_eq!(until(&mut store, wish, |have| *have == Have::Here).await, Have::Here);
    }
    let asked = boss.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked[0].starts_with(&format!("GET /f/{}/vm_linuz HTTP/1.1\r\n", kernel.digest)), "{}", asked[0]);
    assert!(!asked[0].contains("Range") && asked[1].contains("Range: bytes=1000000-"), "{asked:?}");
    let (file, initrd) = store.files(&image).await.unwrap();
    assert_eq!((fs::read(&file).unwrap() == content, initrd), (true, None));
    fs::remove_dir_all(root).unwrap();
}

#[tokio::test]
async fn a_content_with_another_digest_is_refused_with_both() {
    let wanted = asset("initrd.img", b"what was asked for");
    let boss = boss(b"what the boss has..".to_vec()[..18].to_vec(), None).await;
    let root = folder("digest");
    let mut store = Store::spawn(root.clone());
    let image = Image { kernel: Some(wanted.clone()), ..Image::default() };
    let list = wishes(&image, 1);
    store.want(Some(boss.at), &list);
    let have = until(&mut store, &list[0], |have| matches!(have, Have::Bad(_))).await;
    let Have::Bad(why) = have else { unreachable!() };
    let found = store::Digest::of(b"what the boss has.");
    assert!(why.contains(&found.to_string()) && why.contains(&wanted.digest.to_string()), "{why}");
    assert_eq!(boss.asked.lock().unwrap().len(), 2, "the wire is given a second try");
    fs::remove_dir_all(root).unwrap();
}

#[tokio::test]
async fn what_is_here_from_before_is_checked_and_what_is_damaged_is_fetched_again() {
    let content = b"a kernel".to_vec();
    let kernel = asset("vmlinuz", &content);
    let boss = boss(content, None).await;
    let root = folder("damaged");
    fs::create_dir_all(&root).unwrap();
    fs::write(root.join(kernel.digest.to_string()), b"a kernoops").unwrap();
    let mut store = Store::spawn(root.clone());
    let list = wishes(&Image { kernel: Some(kernel), ..Image::default() }, 1);
    store.want(Some(boss.at), &list);
    until(&mut store, &list[0], |have| *have == Have::Here).await;
    assert_eq!(boss.asked.lock().unwrap().len(), 1);
    fs::remove_dir_all(root).unwrap();
}

#[tokio::test]
async fn what_no_guest_boots_stays_until_something_new_comes() {
    let content = b"a kernel".to_vec();
    let (kernel, other) = (asset("vmlinuz", &content), asset("vmlinuz", b"another!"));
    let boss = boss(content, None).await;
    let root = folder("stays");
    let mut store = Store::spawn(root.clone());
    let boots = |asset: &Asset| wishes(&Image { kernel: Some(asset.clone()), ..Image::default() }, 1);
    for _ in 0..2 {
        store.want(Some(boss.at), &boots(&kernel));
        until(&mut store, &boots(&kernel)[0], |have| *have == Have::Here).await;
        store.want(Some(boss.at), &[]);
        until(&mut store, &boots(&kernel)[0], |have| *have != Have::Here).await;
    }
    assert_eq!(boss.asked.lock().unwrap().len(), 1, "it was switched off and on, and is here");
    store.want(Some(boss.at), &boots(&other));
    until(&mut store, &boots(&other)[0], |have| matches!(have, Have::Bad(_))).await;
    assert!(!root.join(kernel.digest.to_string()).exists());
    fs::remove_dir_all(root).unwrap();
}

#[tokio::test]
async fn several_initramfs_files_become_one_in_their_order_each_where_linux_looks_for_it() {
    let root = folder("joined");
    fs::create_dir_all(&root).unwrap();
    let (one, two) = (asset("one", b"one"), asset("two", b"two"));
    for (asset, text) in [(&one, "one"), (&two, "two")] {
        fs::write(root.join(asset.digest.to_string()), text).unwrap();
    }
    let store = Store::spawn(root.clone());
    let image = Image { kernel: Some(one.clone()), initrd: vec![two, one], ..Image::default() };
    let (_, joined) = store.files(&image).await.unwrap();
    assert_eq!(fs::read(joined.unwrap()).unwrap(), b"two\0one\0");
    fs::remove_dir_all(root).unwrap();
}
