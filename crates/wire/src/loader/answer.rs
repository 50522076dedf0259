//! The answer: for which machine and which question it is, how long it holds, and what to do.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use model::{Digest, LabName, MacAddr, NodeName};

use super::ask::Nonce;
use super::lines::{Lines, TextError, expected, line};

const TITLE: &str = "labinator answer 1";
/// Initramfs files of one image.
const INITRDS: usize = 64;

/// A file of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Bytes.
    pub size: u64,
    /// SHA-256 of its content.
    pub digest: Digest,
    /// Path below the controller's address, without a space.
    pub path: String,
}

impl Piece {
    pub(super) fn read(text: &str) -> Result<Self, TextError> {
        let mut parts = text.split(' ');
        let (Some(size), Some(digest), Some(path), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(expected("size, digest and path of a file"));
        };
        if !path.starts_with('/') {
            return Err(expected("a path that begins with /"));
        }
        Ok(Self {
            size: size.parse().map_err(|_| expected("a size in bytes"))?,
            digest: digest.parse().map_err(|_| expected("a digest of 64 hexadecimal digits"))?,
            path: path.to_owned(),
        })
    }

    /// The last part of its path, for people.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.size, self.digest, self.path)
    }
}

/// What to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// A kernel with an EFI stub, or a unified kernel image.
    pub kernel: Piece,
    /// Initramfs files, in order.
    pub initrd: Vec<Piece>,
    /// Kernel arguments; empty for a unified kernel image, which has its own.
    pub args: String,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Fetch this and start it.
    Boot(Plan),
    /// Ask again.
    Wait {
        /// Seconds until then, at least.
        retry_seconds: u16,
        /// Seconds after which the machine is to be switched off, if no other answer comes before: for as long may it
        /// cost power that it waits. 0 is now.
        off_seconds: Option<u32>,
    },
    /// Go on with the firmware's next boot entry.
    Disk,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whose controller this is.
    pub lab: LabName,
    /// The machine's name on the board; none for a machine that is not on it.
    pub node: Option<NodeName>,
    /// Which of the addresses in the question the answer is for.
    pub mac: MacAddr,
    /// The nonce of the question.
    pub nonce: Nonce,
    /// Seconds from the question, by the loader's own clock, after which this is no longer followed.
    pub limit_seconds: u16,
    /// Why, in words a screen can show.
    pub because: String,
    /// SHA-256 of each file of the image with which this machine was ready last, the kernel first; empty where none is
    /// known, or where that image must not be started without the controller.
    pub good: Vec<Digest>,
    /// What to do.
    pub order: Order,
}

impl Answer {
    /// The answer as it is signed.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::from(TITLE);
        text.push('\n');
        line(&mut text, "lab", &self.lab);
        if let Some(node) = &self.node {
            line(&mut text, "node", node);
        }
        line(&mut text, "mac", self.mac);
        line(&mut text, "nonce", self.nonce);
        line(&mut text, "limit", self.limit_seconds);
        line(&mut text, "because", &self.because);
        if !self.good.is_empty() {
            let all: Vec<String> = self.good.iter().map(|digest| alloc::format!("{digest}")).collect();
            line(&mut text, "good", all.join(" "));
        }
        match &self.order {
            Order::Boot(plan) => {
                line(&mut text, "do", "boot");
                line(&mut text, "kernel", &plan.kernel);
                for piece in &plan.initrd {
                    line(&mut text, "initrd", piece);
                }
                line(&mut text, "args", &plan.args);
            }
            Order::Wait { retry_seconds, off_seconds } => {
                line(&mut text, "do", "wait");
                line(&mut text, "retry", retry_seconds);
                if let Some(seconds) = off_seconds {
                    line(&mut text, "off", seconds);
                }
            }
            Order::Disk => line(&mut text, "do", "disk"),
        }
        text
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// [`TextError`] names what is missing or wrong.
    pub fn read(bytes: &[u8]) -> Result<Self, TextError> {
        let lines = Lines::of(bytes, TITLE)?;
        let node = lines.maybe("node")?.map(str::parse).transpose();
        let order = match lines.one("do")? {
            "boot" => Order::Boot(Plan {
                kernel: Piece::read(lines.one("kernel")?)?,
                initrd: initrds(lines)?,
                args: lines.one("args")?.to_owned(),
            }),
            "wait" => {
                let retry = lines.one("retry")?.parse();
                let off = lines.maybe("off")?.map(str::parse).transpose();
                Order::Wait {
                    retry_seconds: retry.map_err(|_| expected("seconds to wait"))?,
                    off_seconds: off.map_err(|_| expected("seconds until it goes off"))?,
                }
            }
            "disk" => Order::Disk,
            _ => return Err(expected("boot, wait or disk")),
        };
        Ok(Self {
            lab: lines.one("lab")?.parse().map_err(|_| expected("a lab's name"))?,
            node: node.map_err(|_| expected("a machine's name"))?,
            mac: lines.one("mac")?.parse().map_err(|_| expected("an Ethernet address"))?,
            nonce: Nonce::read(lines.one("nonce")?)?,
            limit_seconds: lines.one("limit")?.parse().map_err(|_| expected("seconds"))?,
            because: lines.one("because")?.to_owned(),
            good: lines.maybe("good")?.map(digests).transpose()?.unwrap_or_default(),
            order,
        })
    }
}

fn digests(text: &str) -> Result<Vec<Digest>, TextError> {
    let all: Result<Vec<Digest>, _> = text.split(' ').take(INITRDS + 2).map(str::parse).collect();
    let all = all.map_err(|_| expected("digests of 64 hexadecimal digits"))?;
    if all.len() > INITRDS + 1 { Err(expected("at most 65 digests")) } else { Ok(all) }
}

fn initrds(lines: Lines<'_>) -> Result<Vec<Piece>, TextError> {
    let all: Vec<Piece> = lines.all("initrd").take(INITRDS + 1).map(Piece::read).collect::<Result<_, _>>()?;
    if all.len() > INITRDS {
        return Err(expected("at most 64 initramfs files"));
    }
    Ok(all)
}
