//! The shelf on a real disk.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use store::Digest;
use store::shelf::{Shelf, ShelfError};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("labinator-shelf-{}-{name}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// FIPS 180-4's example: the SHA-256 of "abc".
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[test]
fn a_content_is_kept_under_its_digest_and_read_in_ranges() {
    let folder = Folder::new("put");
    let shelf = Shelf::new(folder.0.join("store"));
    assert!(shelf.list().unwrap().is_empty());
    let digest = shelf.put(b"abc".as_slice()).unwrap();
    assert_eq!(digest.to_string(), ABC);
    assert_eq!(shelf.put(b"abc".as_slice()).unwrap(), digest);
    let mut text = String::new();
    shelf.open_range(digest, 1, 2).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "bc");
    assert!(matches!(shelf.open_range(digest, 2, 2), Err(ShelfError::OutOfRange { size: 3, .. })));
    assert!(matches!(shelf.open_range(digest, u64::MAX, 2), Err(ShelfError::OutOfRange { .. })));
    let items = shelf.list().unwrap();
    assert_eq!((items.len(), items[0].digest, items[0].size), (1, digest, 3));
    assert_eq!(shelf.verify(digest).unwrap(), 3);
}

#[test]
fn a_reader_that_fails_leaves_nothing_behind() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("cable pulled"))
        }
    }
    let folder = Folder::new("broken");
    let shelf = Shelf::new(&folder.0);
    assert!(shelf.put(b"ab".as_slice().chain(Broken)).is_err());
    assert!(shelf.list().unwrap().is_empty());
    assert_eq!(fs::read_dir(folder.0.join("incoming")).unwrap().count(), 0);
}

/// A part of a process puts something while another, with a shelf of its own, is in the middle of a content.
#[test]
fn two_shelves_of_one_folder_take_nothing_of_each_other() {
    struct Meanwhile<'a>(&'a Shelf, &'a [u8]);
    impl std::io::Read for Meanwhile<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0.put(b"another".as_slice()).map_err(std::io::Error::other)?;
            self.1.read(buffer)
        }
    }
    let folder = Folder::new("two");
    let (one, other) = (Shelf::new(&folder.0), Shelf::new(&folder.0));
    let digest = one.put(Meanwhile(&other, b"abc")).unwrap();
    assert_eq!(digest.to_string(), ABC);
    let all = one.list().unwrap();
    assert_eq!(all.len(), 2);
    for item in all {
        assert_eq!(one.verify(item.digest).unwrap(), item.size);
    }
}

#[test]
fn an_adopted_file_stays_where_it_was() {
    let folder = Folder::new("adopt");
    let image = folder.0.join("vmlinuz");
    fs::write(&image, "abc").unwrap();
    let shelf = Shelf::new(folder.0.join("store"));
    assert_eq!(shelf.adopt(&image).unwrap().to_string(), ABC);
    assert_eq!(shelf.adopt(&image).unwrap().to_string(), ABC);
    fs::remove_file(&image).unwrap();
    assert!(shelf.has(ABC.parse().unwrap()));
    assert_eq!(fs::read_dir(folder.0.join("store/incoming")).unwrap().count(), 0);
}

#[test]
fn a_content_that_rotted_is_found_and_put_aside() {
    let folder = Folder::new("rot");
    let shelf = Shelf::new(&folder.0);
    let digest = shelf.put(b"abc".as_slice()).unwrap();
    fs::write(folder.0.join(ABC), "abd").unwrap();
    assert!(matches!(shelf.verify(digest), Err(ShelfError::Damaged { .. })));
    assert!(matches!(shelf.open(digest), Err(ShelfError::Missing(missing)) if missing == digest));
    assert_eq!(fs::read(folder.0.join("damaged").join(ABC)).unwrap(), b"abd");
    assert_eq!(shelf.put(b"abc".as_slice()).unwrap(), digest);
    assert_eq!(shelf.verify(digest).unwrap(), 3);
}

/// When a content was put or adopted last.
fn kept_since(shelf: &Shelf, digest: Digest) -> SystemTime {
    let about = fs::metadata(shelf.root().join(digest.to_string())).unwrap();
    let (seconds, rest) = (about.ctime().try_into().unwrap(), about.ctime_nsec().try_into().unwrap());
    SystemTime::UNIX_EPOCH + Duration::new(seconds, rest)
}

#[test]
fn a_sweep_takes_what_was_not_put_or_adopted_again() {
    let folder = Folder::new("sweep");
    let shelf = Shelf::new(folder.0.join("store"));
    let image = folder.0.join("vmlinuz");
    fs::write(&image, "abc").unwrap();
    let (old, adopted) = (shelf.put(b"old".as_slice()).unwrap(), shelf.adopt(&image).unwrap());
    let times = [old, adopted].map(|digest| kept_since(&shelf, digest));
    let [first, last] = [times[0].min(times[1]), times[0].max(times[1])];
    // The clock of a file system goes in steps.
    let renewed = |renew: &dyn Fn() -> Digest, after: SystemTime| {
        loop {
            let since = kept_since(&shelf, renew());
            if since > after {
                return since;
            }
        }
    };
    let began = renewed(&|| shelf.adopt(&image).unwrap(), last);
    renewed(&|| shelf.put(b"new".as_slice()).unwrap(), last);
    assert_eq!(shelf.sweep(first).unwrap(), 0);
    assert_eq!(shelf.sweep(began).unwrap(), 3);
    assert_eq!((shelf.has(old), shelf.has(adopted), shelf.list().unwrap().len()), (false, true, 2));
    assert!(image.is_file());
    assert_eq!(Shelf::new(folder.0.join("nowhere")).sweep(began).unwrap(), 0);
}

#[test]
fn a_missing_content_is_named() {
    let folder = Folder::new("missing");
    let absent = Digest([7; 32]);
    assert!(matches!(Shelf::new(&folder.0).open(absent), Err(ShelfError::Missing(name)) if name == absent));
}
