//! A framebuffer of the kernel (`/dev/fb0`): its size is read from sysfs, its dots are written as a file's bytes.
//!
//! Source: the kernel's `Documentation/fb/framebuffer.rst` and `drivers/video/fbdev/core/fbsysfs.c`.

use std::fs::{File, OpenOptions, read_to_string};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use embedded_graphics::pixelcolor::{Rgb888, RgbColor as _};

use super::Canvas;

/// What is wrong with a framebuffer.
#[derive(Debug, thiserror::Error)]
pub enum FramebufferError {
    /// A file of it cannot be read or written.
    #[error("{}: {why}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        why: io::Error,
    },
    /// A file in sysfs holds something else.
    #[error("{}: `{text}` is not {wanted}", path.display())]
    Unread {
        /// Which.
        path: PathBuf,
        /// What it holds.
        text: String,
        /// What it should.
        wanted: &'static str,
    },
    /// Its dots have another form.
    #[error("{} has {bits} bits a dot; 16, 24 and 32 can be written", path.display())]
    Depth {
        /// The device.
        path: PathBuf,
        /// Its bits a dot.
        bits: u32,
    },
}

/// An open framebuffer.
#[derive(Debug)]
pub struct Framebuffer {
    path: PathBuf,
    file: File,
    width: u32,
    height: u32,
    bits: u32,
    /// Bytes from the beginning of a row to that of the next.
    stride: usize,
}

impl Framebuffer {
    /// Opens a device, `/dev/fb0`, whose size is told below `sysfs`, `/sys/class/graphics`.
    ///
    /// # Errors
    /// It is not there, or is of a kind that cannot be written.
    pub fn open(path: &Path, sysfs: &Path) -> Result<Self, FramebufferError> {
        let about = sysfs.join(path.file_name().unwrap_or_default());
        let (virtual_size, bits) = (told(&about, "virtual_size")?, told(&about, "bits_per_pixel")?);
        // What is shown may be less than what is there: consoles scroll through the rest.
        let mode = told(&about, "modes").ok().and_then(|(_, text)| mode(&text));
        let (width, height) = match mode {
            Some(size) => size,
            None => pair(&virtual_size.1, ',').ok_or_else(|| unread(virtual_size, "WIDTH,HEIGHT"))?,
        };
        let bits = bits.1.parse().map_err(|_| unread(bits, "a number of bits"))?;
        let bytes = match bits {
            16 | 24 | 32 => usize::try_from(bits / 8 * width).unwrap_or(usize::MAX),
            bits => return Err(FramebufferError::Depth { path: path.to_owned(), bits }),
        };
        let stride = match told(&about, "stride") {
            Ok((_, text)) => text.parse().ok().filter(|stride| *stride >= bytes).unwrap_or(bytes),
            Err(_) => bytes,
        };
        let file = OpenOptions::new().write(true).open(path);
        let file = file.map_err(|why| FramebufferError::Io { path: path.to_owned(), why })?;
        Ok(Self { path: path.to_owned(), file, width, height, bits, stride })
    }

    /// Its dots across and down.
    #[must_use]
    pub const fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// Shows a picture of its size.
    ///
    /// # Errors
    /// It takes no bytes.
    pub fn show(&self, canvas: &Canvas) -> Result<(), FramebufferError> {
        let mut bytes =
            Vec::with_capacity(self.stride.saturating_mul(usize::try_from(self.height).unwrap_or(0)));
        for row in canvas.rows() {
            let end = bytes.len() + self.stride;
            for dot in row {
                push(&mut bytes, *dot, self.bits);
            }
            bytes.resize(end, 0);
        }
        self.file.write_all_at(&bytes, 0).map_err(|why| FramebufferError::Io { path: self.path.clone(), why })
    }
}

/// A dot as little-endian framebuffers have it: XRGB8888, RGB888, RGB565.
fn push(bytes: &mut Vec<u8>, dot: Rgb888, bits: u32) {
    match bits {
        16 => {
            let (r, g, b) = (u16::from(dot.r() >> 3), u16::from(dot.g() >> 2), u16::from(dot.b() >> 3));
            bytes.extend((r << 11 | g << 5 | b).to_le_bytes());
        }
        24 => bytes.extend([dot.b(), dot.g(), dot.r()]),
        _ => bytes.extend([dot.b(), dot.g(), dot.r(), 0]),
    }
}

type Told = (PathBuf, String);

fn told(about: &Path, name: &str) -> Result<Told, FramebufferError> {
    let path = about.join(name);
    match read_to_string(&path) {
        Ok(text) => Ok((path, text.trim().to_owned())),
        Err(why) => Err(FramebufferError::Io { path, why }),
    }
}

fn unread((path, text): Told, wanted: &'static str) -> FramebufferError {
    FramebufferError::Unread { path, text, wanted }
}

/// The size in a mode such as `U:800x480p-60`.
fn mode(text: &str) -> Option<(u32, u32)> {
    let (_, size) = text.lines().next()?.split_once(':')?;
    pair(size.split(['p', 'i', 'd']).next()?, 'x')
}

fn pair(text: &str, between: char) -> Option<(u32, u32)> {
    let (width, height) = text.split_once(between)?;
    let size = (width.parse().ok()?, height.parse().ok()?);
    (size.0 > 0 && size.1 > 0).then_some(size)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A framebuffer made of files.
    fn made(name: &str, files: &[(&str, &str)], bytes: usize) -> (PathBuf, PathBuf) {
        let folder = std::env::temp_dir().join(format!("framebuffer-{}-{name}", std::process::id()));
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(folder.join("sys/fb0")).unwrap();
        for (name, text) in files {
            fs::write(folder.join("sys/fb0").join(name), format!("{text}\n")).unwrap();
        }
        fs::write(folder.join("fb0"), vec![0xee; bytes]).unwrap();
        (folder.join("fb0"), folder.join("sys"))
    }

    fn red_and_blue() -> Canvas {
        Canvas::of_bytes(2, 1, &[255, 0, 0, 0, 0, 255]).unwrap()
    }

    #[test]
    fn dots_are_written_in_the_form_and_with_the_stride_that_sysfs_tells() {
        let cases: [(&str, &str, &[u8]); 3] = [
            ("16", "6", &[0x00, 0xf8, 0x1f, 0x00, 0, 0]),
            ("24", "6", &[0, 0, 255, 255, 0, 0]),
            ("32", "12", &[0, 0, 255, 0, 255, 0, 0, 0, 0, 0, 0, 0]),
        ];
        for (bits, stride, wanted) in cases {
            let files = [
                ("virtual_size", "2,4"),
                ("modes", "U:2x1p-0"),
                ("bits_per_pixel", bits),
                ("stride", stride),
            ];
            let (device, sysfs) = made(bits, &files, 64);
            let framebuffer = Framebuffer::open(&device, &sysfs).unwrap();
            assert_eq!(framebuffer.size(), (2, 1), "what is shown, not what is there");
            framebuffer.show(&red_and_blue()).unwrap();
            let bytes = fs::read(&device).unwrap();
            assert_eq!(bytes.get(..wanted.len()), Some(wanted), "{bits} bits");
            assert!(
                bytes.iter().skip(wanted.len()).all(|byte| *byte == 0xee),
                "nothing is written behind it"
            );
            fs::remove_dir_all(device.parent().unwrap()).unwrap();
        }
    }

    #[test]
    fn what_cannot_be_shown_on_is_named_with_the_file_that_says_so() {
        let (device, sysfs) = made("bad", &[("virtual_size", "800"), ("bits_per_pixel", "32")], 0);
        let why = Framebuffer::open(&device, &sysfs).unwrap_err().to_string();
        assert!(why.ends_with("fb0/virtual_size: `800` is not WIDTH,HEIGHT"), "{why}");
        let (device, sysfs) = made("deep", &[("virtual_size", "800,480"), ("bits_per_pixel", "8")], 0);
        let why = Framebuffer::open(&device, &sysfs).unwrap_err().to_string();
        assert!(why.ends_with("fb0 has 8 bits a dot; 16, 24 and 32 can be written"), "{why}");
        let why = Framebuffer::open(Path::new("/dev/fb9"), &sysfs).unwrap_err().to_string();
        assert!(why.contains("fb9/virtual_size: No such file"), "{why}");
    }
}
