//! What is started next, as kexec takes it: a Linux kernel, one initramfs, a command line.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use wire::loader::Plan;
use wire::loader::unified::Unified;

/// What a start leaves free, in bytes.
const SPARE: u64 = 64 << 20;
/// Files that follow one another in an initramfs begin at this (`Documentation/driver-api/early-userspace/buffer-format.rst`).
const ALIGNED: usize = 4;
/// Where a kernel for x86 says that it is one (`Documentation/arch/x86/boot.rst`, "The Real-Mode Kernel Header").
const HEADER: (usize, &[u8]) = (0x202, b"HdrS");

/// What is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) kernel: PathBuf,
    pub(super) initrd: Option<PathBuf>,
    pub(super) args: String,
}

/// Whether an image of this many bytes can be held twice: as files, and where the kernel puts it.
///
/// # Errors
/// A sentence that says what is missing.
pub(super) fn has_room(all: u64, free: u64) -> Result<(), String> {
    let needed = all.saturating_mul(2).saturating_add(SPARE);
    if free >= needed {
        return Ok(());
    }
    Err(format!("an image of {} MB does not fit beside this one: {} MB are free", all >> 20, free >> 20))
}

/// Makes one of the files of a plan, which were checked and lie in `folder` by their digests.
///
/// # Errors
/// A sentence; this will not do by being tried again.
pub(super) fn prepare(folder: &Path, plan: &Plan) -> Result<Image, String> {
    let io = |path: &Path, why: &std::io::Error| format!("{}: {why}", path.display());
    let place = |digest: &model::Digest| folder.join(digest.to_string());
    let read = |path: &Path| fs::read(path).map_err(|why| io(path, &why));
    let kernel = place(&plan.kernel.digest);
    let bytes = read(&kernel)?;
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, bytes).map_err(|why| io(&path, &why)).map(|()| path)
    };
    let name = plan.kernel.name();
    if let Some(unified) = Unified::read(&bytes).map_err(|why| format!("{name}: {why}"))? {
        is_linux(name, unified.linux)?;
        let initrd = unified.initrd.map(|initrd| write("initrd", initrd)).transpose()?;
        let args = unified.cmdline.to_owned();
        return Ok(Image { kernel: write("linux", unified.linux)?, initrd, args });
    }
    is_linux(name, &bytes)?;
    let initrd = match plan.initrd.as_slice() {
        [] => None,
        [one] => Some(place(&one.digest)),
        many => {
            let path = folder.join("initrd");
            let mut file = fs::File::create(&path).map_err(|why| io(&path, &why))?;
            for piece in many {
                let mut bytes = read(&place(&piece.digest))?;
                bytes.resize(bytes.len().next_multiple_of(ALIGNED), 0);
                file.write_all(&bytes).map_err(|why| io(&path, &why))?;
            }
            Some(path)
        }
    };
    Ok(Image { kernel, initrd, args: plan.args.clone() })
}

fn is_linux(name: &str, bytes: &[u8]) -> Result<(), String> {
    let (at, mark) = HEADER;
    let there = bytes.get(at..at + mark.len()) == Some(mark);
    there.then_some(()).ok_or_else(|| format!("{name} is no Linux kernel that kexec could start"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Digest;
    use wire::loader::Piece;

    fn piece(digest: u8) -> Piece {
        Piece { size: 1, digest: Digest([digest; 32]), path: format!("/f/x/file{digest}") }
    }

    #[test]
    fn several_initramfs_become_one_and_what_is_no_kernel_is_named() {
        let folder = std::env::temp_dir().join(format!("labinator-kexec-image-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let put = |digest: u8, bytes: &[u8]| {
            fs::write(folder.join(Digest([digest; 32]).to_string()), bytes).unwrap();
        };
        let mut kernel = vec![0; 0x300];
        kernel[0x202..0x206].copy_from_slice(b"HdrS");
        put(1, &kernel);
        put(2, b"abcde");
        put(3, b"fgh");
        let plan = |kernel: u8, initrd: &[u8]| Plan {
            kernel: piece(kernel),
            initrd: initrd.iter().copied().map(piece).collect(),
            args: "quiet".to_owned(),
        };
        let image = prepare(&folder, &plan(1, &[2, 3])).unwrap();
        assert_eq!(fs::read(image.initrd.unwrap()).unwrap(), b"abcde\0\0\0fgh\0");
        assert_eq!(image.args, "quiet");
        let image = prepare(&folder, &plan(1, &[2])).unwrap();
        assert_eq!(fs::read(image.initrd.unwrap()).unwrap(), b"abcde", "one is taken as it lies there");
        assert_eq!(prepare(&folder, &plan(1, &[])).unwrap().initrd, None);
        let why = prepare(&folder, &plan(2, &[])).unwrap_err();
        assert!(why.contains("file2 is no Linux kernel"), "{why}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn an_image_that_does_not_fit_twice_is_not_fetched() {
        assert_eq!(has_room(100 << 20, 264 << 20), Ok(()));
        assert!(has_room(100 << 20, 263 << 20).unwrap_err().contains("263 MB are free"));
        assert!(has_room(u64::MAX, u64::MAX - 1).is_err());
    }
}
