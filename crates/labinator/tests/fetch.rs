//! Fetching systems from servers that have each distributor's layout: pins, mirrors, resumed and wrong files.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

#[path = "fetch/maker.rs"]
mod maker;
#[path = "fetch/talos.rs"]
mod talos;

use std::collections::BTreeMap;
use std::fs;

use labinator::fetch::{Order, Pins};
use sha2::{Digest as _, Sha256, Sha512};

use maker::{Files, Folder, Maker, fetched, hex};

fn kernel() -> Vec<u8> {
    (0..300_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect()
}

fn debian() -> Files {
    let root = "/dists/bookworm/main/installer-amd64/current/images";
    let netboot = "netboot/debian-installer/amd64";
    let (linux, initrd) = (kernel(), b"an installer".to_vec());
    let sums = format!(
        "{}  ./{netboot}/linux\n{}  ./{netboot}/initrd.gz\n{}  ./netboot/gtk/debian-installer/amd64/linux\n",
        hex(Sha256::digest(&linux)),
        hex(Sha256::digest(&initrd)),
        "0".repeat(64)
    );
    [
        (format!("{root}/SHA256SUMS"), sums.into_bytes()),
        (format!("{root}/{netboot}/linux"), linux),
        (format!("{root}/{netboot}/initrd.gz"), initrd),
    ]
    .into()
}

#[tokio::test]
async fn a_first_fetch_believes_the_list_and_writes_pins_and_a_later_one_believes_the_pins() {
    let (maker, folder) = (Maker::start(debian()).await, Folder::new("pins"));
    let order = folder.order("debian", None, &maker);
    let first = fetched(&order).await.unwrap();
    assert!(first.pinned && first.image == "debian-bookworm-amd64");
    assert_eq!(first.manifest.initrd.len(), 1);
    assert_eq!(fs::read(order.out.join("debian-bookworm-amd64/linux")).unwrap(), kernel());
    let pins = Pins::read(&order.lock).unwrap();
    let pin = &pins.images["debian-bookworm-amd64"]["linux"];
    assert!(
        pin.url.starts_with("https://deb.debian.org/debian/dists/bookworm/"),
        "the maker's own place: {}",
        pin.url
    );
    assert_eq!((pin.size, pin.sha256.to_string()), (1_200_000, hex(Sha256::digest(kernel()))));

    // The list is gone, and lies: nobody looks at it any more.
    maker.files.lock().unwrap().retain(|path, _| !path.ends_with("SHA256SUMS"));
    let second = fetched(&order).await.unwrap();
    assert!(!second.pinned && second.manifest == first.manifest);

    // Another file under the same name is refused, with both digests, and the image stays as it was.
    for file in maker.files.lock().unwrap().values_mut().filter(|file| file.len() > 1000) {
        file[7] ^= 1;
    }
    let why = fetched(&order).await.unwrap_err();
    assert_eq!(why.code(), "fetch-mismatch");
    let text = why.to_string();
    assert!(text.contains(&hex(Sha256::digest(kernel()))) && text.contains("images.lock"), "{text}");
    assert!(why.advice().contains("do not use it"));
    assert_eq!(fs::read(order.out.join("debian-bookworm-amd64/linux")).unwrap(), kernel());
}

#[tokio::test]
async fn a_broken_transfer_goes_on_where_it_ended_and_a_changed_file_begins_anew() {
    let (maker, folder) = (Maker::start(debian()).await, Folder::new("resume"));
    let order = folder.order("debian", None, &maker);
    *maker.breaks.lock().unwrap() = Some(500_000);
    fetched(&order).await.unwrap();
    let asked = maker.asked.lock().unwrap().join("\n");
    assert!(asked.contains("/linux+0") && asked.contains("/linux+500000"), "{asked}");
    // What lies there from another try and belongs to no file of this one costs one more fetch, not the image.
    let work = order.out.join(".fetching/debian-bookworm-amd64");
    fs::create_dir_all(&work).unwrap();
    fs::write(work.join("linux"), vec![1; 1000]).unwrap();
    fetched(&order).await.unwrap();
    assert_eq!(fs::read(order.out.join("debian-bookworm-amd64/linux")).unwrap(), kernel());
}

#[tokio::test]
async fn every_layout_of_the_catalogue_is_understood() {
    let folder = Folder::new("layouts");
    let (a, b, c) = (b"kernel".to_vec(), b"initramfs".to_vec(), b"rootfs".to_vec());
    let sha256 = |bytes: &[u8]| hex(Sha256::digest(bytes));
    let sha512 = |bytes: &[u8]| hex(Sha512::digest(bytes));
    let mut files = Files::new();
    let mut put = |path: &str, bytes: &[u8]| drop(files.insert(path.to_owned(), bytes.to_vec()));
    let ubuntu = "/24.04/release/unpacked";
    put(&format!("{ubuntu}/ubuntu-24.04-server-cloudimg-amd64-vmlinuz-generic"), &a);
    put(&format!("{ubuntu}/ubuntu-24.04-server-cloudimg-amd64-initrd-generic"), &b);
    let sums = format!(
        "{} *ubuntu-24.04-server-cloudimg-amd64-vmlinuz-generic\n{} *ubuntu-24.04-server-cloudimg-amd64-initrd-generic\n",
        sha256(&a),
        sha256(&b)
    );
    put(&format!("{ubuntu}/SHA256SUMS"), sums.as_bytes());
    for (name, bytes) in
        [("flatcar_production_pxe.vmlinuz", &a), ("flatcar_production_pxe_image.cpio.gz", &b)]
    {
        put(&format!("/amd64-usr/current/{name}"), bytes);
        let digests =
            format!("# MD5 HASH\n{}  {name}\n# SHA512 HASH\n{}  {name}\n", "d".repeat(32), sha512(bytes));
        put(&format!("/amd64-usr/current/{name}.DIGESTS"), digests.as_bytes());
    }
    let at = |name: &str| format!("https://builds.coreos.fedoraproject.org/prod/fcos-{name}");
    let pxe: BTreeMap<&str, _> = [("kernel", &a), ("initramfs", &b), ("rootfs", &c)]
        .into_iter()
        .map(|(name, bytes)| (name, serde_json::json!({ "location": at(name), "sha256": sha256(bytes) })))
        .collect();
    for (name, bytes) in [("kernel", &a), ("initramfs", &b), ("rootfs", &c)] {
        put(&format!("/prod/fcos-{name}"), bytes);
    }
    let stream = serde_json::json!({ "architectures": { "x86_64": { "artifacts": { "metal": { "formats": { "pxe": pxe } } } } } });
    put("/streams/stable.json", stream.to_string().as_bytes());
    put("/v1.9.0/vmlinuz-amd64", b"-> /moved/vmlinuz");
    put("/moved/vmlinuz", &a);
    put("/v1.9.0/initramfs-amd64.xz", &b);
    put(
        "/v1.9.0/sha256sum.txt",
        format!("{}  vmlinuz-amd64\n{}  initramfs-amd64.xz\n", sha256(&a), sha256(&b)).as_bytes(),
    );
    put("/ipxe/netboot.xyz.lkrn", &a);
    put("/ipxe/netboot.xyz.efi", &b);
    put(
        "/ipxe/netboot.xyz-sha256-checksums.txt",
        format!(
            "{}  netboot.xyz.lkrn\n{}  netboot.xyz.efi\n{}  netboot.xyz-arm64.efi\n",
            sha256(&a),
            sha256(&b),
            sha256(&c)
        )
        .as_bytes(),
    );
    put("/ipxe/netboot.xyz-arm64.efi", &c);
    let maker = Maker::start(files).await;
    for (name, version, image, initrds, uki) in [
        ("ubuntu", None, "ubuntu-24.04-amd64", 1, false),
        ("flatcar", None, "flatcar-current-amd64", 1, false),
        ("fedora-coreos", None, "fedora-coreos-stable-amd64", 2, false),
        ("talos", Some("v1.9.0"), "talos-v1.9.0-amd64", 1, false),
        ("netboot.xyz", None, "netboot.xyz-latest-amd64", 0, true),
    ] {
        for pinned in [true, false] {
            let got = fetched(&folder.order(name, version, &maker))
                .await
                .unwrap_or_else(|why| panic!("{name}: {why}"));
            assert_eq!((got.image.as_str(), got.pinned), (image, pinned), "{name}");
            assert_eq!((got.manifest.initrd.len(), got.manifest.uki.is_some()), (initrds, uki), "{name}");
            assert_eq!(got.manifest.kernel.digest.to_string(), sha256(&a), "{name}");
            assert!(got.manifest.is_complete(&folder.0.join("images").join(image)), "{name}");
        }
    }
}

#[tokio::test]
async fn an_architecture_gets_its_own_loader_and_no_other() {
    let folder = Folder::new("architectures");
    let menu = b"MZ a menu".to_vec();
    let sums = format!("{}  netboot.xyz-arm64.efi\n", hex(Sha256::digest(&menu)));
    let files = [
        ("/ipxe/netboot.xyz-arm64.efi".to_owned(), menu),
        ("/ipxe/netboot.xyz-sha256-checksums.txt".to_owned(), sums.into_bytes()),
    ];
    let maker = Maker::start(files.into()).await;
    let order = |arch: &str| Order { arch: arch.to_owned(), ..folder.order("netboot.xyz", None, &maker) };
    for pinned in [true, false] {
        let got = fetched(&order("arm64")).await.unwrap();
        assert_eq!((got.image.as_str(), got.pinned), ("netboot.xyz-latest-arm64", pinned));
        assert!(got.manifest.is_complete(&folder.0.join("images/netboot.xyz-latest-arm64")));
        let image = got.manifest.image();
        assert_eq!((image.kernel, image.uki.unwrap().name.as_str()), (None, "netboot.xyz-arm64.efi"));
    }
    let why = fetched(&order("riscv64")).await.unwrap_err();
    assert_eq!((why.code(), why.advice().contains("arm64")), ("fetch-architecture", true));
}

#[tokio::test]
async fn what_cannot_be_fetched_says_why_and_what_to_do() {
    let (maker, folder) = (Maker::start(Files::new()).await, Folder::new("faults"));
    let code = async |name, version| {
        let why = fetched(&folder.order(name, version, &maker)).await.unwrap_err();
        assert!(!why.advice().is_empty());
        why.code()
    };
    assert_eq!(code("debain", None).await, "fetch-unknown");
    assert_eq!(code("talos", None).await, "fetch-version");
    assert_eq!(code("debian", None).await, "fetch-refused");
    let root = "/dists/bookworm/main/installer-amd64/current/images/SHA256SUMS";
    maker.files.lock().unwrap().insert(root.to_owned(), b"nothing here\n".to_vec());
    assert_eq!(code("debian", None).await, "fetch-not-listed");
    let wrong = Order { mirror: Some("ftp://x".to_owned()), ..folder.order("debian", None, &maker) };
    assert_eq!(fetched(&wrong).await.unwrap_err().code(), "fetch-address");
    fs::write(folder.0.join("images.lock"), "{}").unwrap();
    assert_eq!(code("debian", None).await, "fetch-pins");
    assert!(!folder.0.join("images/debian-bookworm-amd64").exists());
}
