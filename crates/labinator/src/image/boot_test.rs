//! Does a live image start: its kernel and initramfs in QEMU without firmware or network, until the agent says what only
//! an agent says that has entered its root and found a network card with a driver from it.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use drivers::process::{Program, Watched, run_until};

use super::ImageError;
use super::manifest::ImageManifest;

const QEMU: Program = Program::new("qemu-system-x86_64", "qemu-system-x86");
/// What runs the machine, and how long it may take. With KVM it takes seconds; a KVM that a computer offers and that
/// never runs anything was seen (inside another virtual machine), so that emulation has the last word.
const ATTEMPTS: [(&str, Duration); 2] = [("kvm", Duration::from_secs(60)), ("tcg", Duration::from_secs(600))];
/// The kernel's door to KVM.
const KVM: &str = "/dev/kvm";
/// Half of it is what the root may be written to; the image lies in the other half.
const MEMORY: &str = "1024";
/// The agent's first word, and the word that it says once modules of the root are loaded.
const SAID: [&str; 2] = ["agent ", "asks for an address"];
/// What ends the test at once.
const LOST: [&str; 3] = ["Kernel panic", "the live root cannot be entered", "Out of memory"];
/// Lines of the console that are told when it fails.
const LAST: usize = 12;

/// Starts the image in `folder`, and says how long it took.
///
/// # Errors
/// It does not start; or QEMU is missing, with the command that helps.
pub(super) async fn boots(folder: &Path, name: &str) -> Result<Duration, ImageError> {
    let manifest = ImageManifest::read(folder)?;
    let initrd = folder.join(".initrd");
    joined(folder, &manifest, &initrd).map_err(|why| ImageError::io(&initrd, why))?;
    let mut why = String::new();
    for (accelerator, limit) in ATTEMPTS {
        if accelerator == "kvm" && File::options().read(true).write(true).open(KVM).is_err() {
            continue;
        }
        let began = Instant::now();
        match attempt(words(folder, &manifest, &initrd, accelerator), limit).await {
            Ok(End::Up) => return tidy(&initrd, Ok(began.elapsed())),
            Ok(End::Lost(told)) => {
                return tidy(&initrd, Err(ImageError::NoStart { name: name.to_owned(), why: told }));
            }
            Ok(End::Unclear(told)) => why = told,
            Err(why) => return tidy(&initrd, Err(why)),
        }
    }
    tidy(&initrd, Err(ImageError::NoStart { name: name.to_owned(), why }))
}

/// How an attempt ended.
enum End {
    /// The agent is up.
    Up,
    /// Its own console says that it will never be.
    Lost(String),
    /// Nothing of that was seen.
    Unclear(String),
}

async fn attempt(words: Vec<String>, limit: Duration) -> Result<End, ImageError> {
    let mut lost = None;
    let (how, shown) = run_until(QEMU, words, limit, |shown| {
        let text = String::from_utf8_lossy(shown);
        lost = LOST.into_iter().find(|word| text.contains(word));
        lost.is_some() || SAID.iter().all(|word| text.contains(word))
    })
    .await?;
    let with_lines = |why: String| format!("{why}\n{}", last_lines(&shown));
    Ok(match (how, lost) {
        (Watched::Enough, None) => End::Up,
        (Watched::Enough, Some(word)) => End::Lost(with_lines(format!("its console says \"{word}\""))),
        (Watched::Ended(complaint), _) => {
            End::Unclear(with_lines(format!("the machine ended before its agent spoke; {complaint}")))
        }
        (Watched::Late, _) => End::Unclear(with_lines(format!(
            "its agent did not ask for an address within {} s",
            limit.as_secs()
        ))),
    })
}

/// It is as large as the image, and nobody needs it twice.
fn tidy<T>(initrd: &Path, outcome: T) -> T {
    drop(std::fs::remove_file(initrd));
    outcome
}

/// QEMU takes one file where the kernel takes several: they are read as one.
fn joined(folder: &Path, manifest: &ImageManifest, to: &Path) -> io::Result<()> {
    let mut all = File::create(to)?;
    for file in &manifest.initrd {
        let size = io::copy(&mut File::open(folder.join(&file.name))?, &mut all)?;
        // Each archive begins where a multiple of four does.
        let fill = usize::try_from(size.next_multiple_of(4) - size).unwrap_or(0);
        all.write_all([0; 4].get(..fill).unwrap_or_default())?;
    }
    Ok(())
}

fn words(folder: &Path, manifest: &ImageManifest, initrd: &Path, accelerator: &str) -> Vec<String> {
    let line =
        format!("-no-user-config -nodefaults -display none -no-reboot -machine pc,accel={accelerator} -m");
    let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    words.push(MEMORY.to_owned());
    // A network without a way out: the machine has a card, and speaks to nobody.
    words.extend(["-nic", "user,model=virtio-net-pci,restrict=on", "-serial", "stdio"].map(str::to_owned));
    words.extend(["-object", "rng-random,id=entropy,filename=/dev/urandom"].map(str::to_owned));
    words.extend(["-device", "virtio-rng-pci,rng=entropy"].map(str::to_owned));
    words.extend(["-kernel".to_owned(), folder.join(&manifest.kernel.name).display().to_string()]);
    words.extend(["-initrd".to_owned(), initrd.display().to_string()]);
    // An emulated timer misses ticks on a busy computer, and the kernel would panic over it.
    words.extend(["-append".to_owned(), format!("{} console=ttyS0 no_timer_check panic=-1", manifest.args)]);
    words
}

fn last_lines(shown: &[u8]) -> String {
    let text = String::from_utf8_lossy(shown);
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let last: Vec<String> =
        lines.iter().skip(lines.len().saturating_sub(LAST)).map(|line| format!("  | {line}")).collect();
    last.join("\n")
}
