//! What GRUB is told on a medium of ours: try the network by iPXE, or start from the cache what is still what it was.
//!
//! GRUB reads the cache where our loader keeps it, as stretches of sectors of the second partition (GRUB manual 2.06,
//! "Block list syntax"): one cache for both firmwares, and no second copy. A stretch is whole sectors, so what is hashed is
//! the file and the zeros behind it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use model::Digest;

use super::{ENV, TRIED};
use crate::grub::{quoted, say};

/// A file in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedFile {
    /// Its first sector of 512 bytes, from the first of the cache's partition.
    pub first: u64,
    /// How many sectors it takes.
    pub sectors: u64,
    /// SHA-256 of these sectors.
    pub digest: Digest,
}

/// An image in the cache that a BIOS can start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cached {
    /// Its name, for people.
    pub name: String,
    /// Its kernel.
    pub kernel: CachedFile,
    /// Its initramfs files in order.
    pub initrd: Vec<CachedFile>,
    /// Kernel arguments.
    pub args: String,
}

impl CachedFile {
    fn stretch(&self) -> String {
        format!("{}+{}", self.first, self.sectors)
    }
}

/// `grub.cfg` of a medium. The screen is the BIOS's; the first serial port shows the same, where there is one.
#[must_use]
pub fn config() -> String {
    format!(
        "# Labinator: how this medium starts a machine with a BIOS. With UEFI EFI/BOOT/BOOTX64.EFI does.\n\
         if serial --unit=0 --speed=115200; then terminal_output --append serial; fi\n\
         regexp --set 1:disk '^([^,]*),' \"$root\"\n\
         regexp --set 1:tens '^(.).$' \"$MINUTE\"\n\
         set now=\"$YEAR-$MONTH-$DAY-$HOUR-$tens\"\n\
         load_env --file $prefix/{ENV} {TRIED}\n\
         if [ -n \"${TRIED}\" -a \"${TRIED}\" = \"$now\" ]; then\n  \
           set {TRIED}=\n  \
           save_env --file $prefix/{ENV} {TRIED}\n  \
           echo 'Labinator: no controller was reached a moment ago. The next start asks for one again.'\n  \
           source $prefix/cache.cfg\n  \
           echo 'Labinator: nothing in the cache can be started. The network is tried again in 10 s.'\n  \
           sleep 10\n\
         fi\n\
         set {TRIED}=\"$now\"\n\
         if save_env --file $prefix/{ENV} {TRIED}; then true; else\n  \
           echo 'Labinator: the try cannot be noted: without a controller the cache is not used.'\n\
         fi\n\
         echo 'Labinator: starts iPXE, which asks the controller.'\n\
         if linux16 $prefix/ipxe.lkrn; then if initrd16 $prefix/boot.ipxe; then boot; fi; fi\n\
         echo 'Labinator: iPXE does not start. Starting over in 10 s.'\n\
         sleep 10\n\
         reboot\n"
    )
}

/// `cache.cfg`: each image in turn, until one is what it was. It comes back where none is.
#[must_use]
pub fn cache_config(images: &[Cached]) -> String {
    let mut text = String::from("# Written with the medium: images of its cache that a BIOS can start.\n");
    if images.is_empty() {
        say(&mut text, "Labinator: the cache has no image for a BIOS.");
    }
    text.push_str("set root=\"$disk,gpt2\"\n");
    for (number, image) in images.iter().enumerate() {
        let name = &image.name;
        say(&mut text, &format!("Labinator: {name} in the cache is checked."));
        let on_cache = |file: &CachedFile| format!("\"($disk,gpt2){}\"", file.stretch());
        let words = image.args.split_ascii_whitespace().map(quoted);
        let load = [String::from("linux"), on_cache(&image.kernel)].into_iter().chain(words);
        let load = load.collect::<Vec<_>>().join(" ");
        let initrd: Vec<_> = image.initrd.iter().map(on_cache).collect();
        let rest = match initrd.is_empty() {
            true => String::from("boot"),
            false => format!("if initrd {}; then boot; fi", initrd.join(" ")),
        };
        let _infallible =
            writeln!(text, "if hashsum --hash sha256 --check $prefix/{}; then", sums_name(number));
        text.push_str("  ");
        say(&mut text, &format!("Labinator: starts {name} from the cache."));
        let _infallible = writeln!(text, "  if {load}; then {rest}; fi\nelse");
        text.push_str("  ");
        say(&mut text, &format!("Labinator: {name} in the cache is not what it was: it is not started."));
        text.push_str("fi\n");
    }
    text.push_str("set root=\"$disk,gpt1\"\n");
    text
}

/// Name and text of the list of an image's digests, as `sha256sum` writes one.
#[must_use]
pub fn sums(number: usize, image: &Cached) -> (String, String) {
    let files = core::iter::once(&image.kernel).chain(&image.initrd);
    let lines = files.map(|file| format!("{}  {}\n", file.digest, file.stretch()));
    (sums_name(number), lines.collect())
}

fn sums_name(number: usize) -> String {
    format!("cache{number}.sum")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(args: &str) -> Cached {
        let file = |first, sectors| CachedFile { first, sectors, digest: Digest([7; 32]) };
        let initrd = alloc::vec![file(700, 3), file(708, 9)];
        Cached { name: String::from("it's"), kernel: file(512, 70), initrd, args: String::from(args) }
    }

    #[test]
    fn an_image_is_loaded_from_the_stretches_that_were_hashed() {
        let image = image("console=ttyS0 a='$x;reboot'");
        let text = cache_config(core::slice::from_ref(&image));
        let load = "  if linux \"($disk,gpt2)512+70\" 'console=ttyS0' 'a='\\''$x;reboot'\\'''; then \
                    if initrd \"($disk,gpt2)700+3\" \"($disk,gpt2)708+9\"; then boot; fi; fi\n";
        assert!(text.contains(load), "{text}");
        let (name, list) = sums(0, &image);
        assert!(text.contains(&format!("--check $prefix/{name};")), "{text}");
        let names: Vec<_> = list.lines().map(|line| line.split_once("  ").unwrap().1).collect();
        assert_eq!(names, ["512+70", "700+3", "708+9"]);
        assert_eq!(list.lines().next().unwrap().len(), 64 + 2 + 6);
    }

    #[test]
    fn without_an_image_it_says_so_and_comes_back() {
        let text = cache_config(&[]);
        assert!(text.contains("no image for a BIOS") && !text.contains("linux"), "{text}");
    }

    #[test]
    fn the_try_is_noted_before_the_network_and_taken_back_before_the_cache() {
        let text = config();
        let at = |what: &str| text.find(what).unwrap();
        assert!(at("set tried=\n") < at("source $prefix/cache.cfg"));
        assert!(
            at("source $prefix/cache.cfg") < at("set tried=\"$now\"")
                && at("set tried=\"$now\"") < at("linux16")
        );
        assert!(text.ends_with("reboot\n"), "it never ends at a prompt");
    }
}
