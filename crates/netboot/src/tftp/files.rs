//! What TFTP paths name: a loader, a script, GRUB's configuration, a content of the shelf.

use std::sync::Arc;

use bytes::Bytes;
use model::{FileRole, MacAddr};
use store::Digest;
use store::shelf::{Content, ShelfError};
use wire::loader::Processor;
use wire::tftp::{ErrorCode, Limits, Mode, Packet, Request, Step, Transfer, netascii};

use crate::counter::{Counter, Over};
use crate::pxelinux::{self, View};
use crate::{grub, script};

/// The script iPXE looks for beside its own file, and in the root.
const AUTOEXEC: &str = "autoexec.ipxe";

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    /// A network boot program, in memory.
    Loader(String),
    /// iPXE's script for whoever asks.
    Autoexec,
    /// A file of GRUB's folder.
    Grub(String),
    /// A content of the shelf and the name it goes by.
    Content(Digest, String),
    /// Something that the boot table says: a file of one machine, or a configuration made for it.
    View(String),
}

/// Why a file is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The path leaves the served names.
    Trick,
    /// There is no such file.
    Missing,
    /// It is too large to be translated for netascii.
    OctetOnly,
    /// It is there and cannot be read.
    Unreadable,
}

impl Refused {
    /// The packet that says so.
    pub(super) fn packet(self) -> Vec<u8> {
        match self {
            Self::Trick => Packet::error(ErrorCode::ACCESS, "this path is not served"),
            Self::Missing => Packet::error(ErrorCode::NOT_FOUND, "no such file"),
            Self::OctetOnly => Packet::error(ErrorCode::ILLEGAL, "ask for this file in octet mode"),
            Self::Unreadable => Packet::error(ErrorCode::OTHER, "the file cannot be read"),
        }
    }
}

/// Where a file's bytes are.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// In memory.
    Memory(Bytes),
    /// On the disk.
    Shelf(Arc<Content>),
}

/// Under which name a file's packets are kept for others. Scripts are made for one machine and are not kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kept {
    /// A loader; true when it was translated for netascii.
    Loader(Arc<str>, bool),
    /// A content.
    Content(Digest),
}

/// What a client asked for, found.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) name: Arc<str>,
    pub(crate) role: FileRole,
    pub(crate) source: Source,
    pub(super) kept: Option<Kept>,
}

/// Reads a path. Firmware writes both kinds of slash, and looks for files in the root, in `boot` and beside its loader.
pub(super) fn named(path: &str) -> Result<Named, Refused> {
    let parts: Vec<&str> =
        path.split(['/', '\\']).filter(|part| !matches!(*part, "" | ".")).take(8).collect();
    let trick = |part: &&str| *part == ".." || part.bytes().any(|byte| byte.is_ascii_control());
    if parts.iter().any(trick) {
        return Err(Refused::Trick);
    }
    match parts.strip_prefix(&["boot"]).unwrap_or(&parts) {
        [name] if *name == AUTOEXEC => Ok(Named::Autoexec),
        [name] => Ok(Named::Loader((*name).to_owned())),
        [folder, name] if *folder == grub::FOLDER => Ok(Named::Grub((*name).to_owned())),
        ["f", digest, name] => {
            let digest = digest.parse().map_err(|_| Refused::Missing)?;
            Ok(Named::Content(digest, name.chars().take(64).collect()))
        }
        [] => Err(Refused::Missing),
        _ => Ok(Named::View(parts.join("/"))),
    }
}

/// Finds a file. Scripts wait for the ledger, contents for the disk; loaders for nothing.
pub(super) async fn find(
    counter: &Arc<Counter>,
    named: Named,
    (mac, over): (Option<MacAddr>, Over),
) -> Result<Found, Refused> {
    match named {
        Named::Loader(name) => match loader(counter, &name) {
            Err(Refused::Missing) => Box::pin(find(counter, Named::View(name), (mac, over))).await,
            found => found,
        },
        Named::View(path) => match pxelinux::find(counter, &path, (mac, over)).await {
            Some(View::Text(name, text)) => Ok(Found::text(&name, &text)),
            Some(View::File(asset)) => {
                let named = Named::Content(Digest(asset.digest.0), script::plain_name(&asset.name));
                Box::pin(find(counter, named, (mac, over))).await
            }
            None => Err(Refused::Missing),
        },
        Named::Autoexec => {
            let text = script::answer(counter, mac, over).await.ok_or(Refused::Missing)?;
            Ok(Found::text(AUTOEXEC, &script::with_network(&text, over)))
        }
        Named::Grub(name) => {
            let text = grub::answer(counter, &name, (mac, over)).await.ok_or(Refused::Missing)?;
            Ok(Found::text(&name, &text))
        }
        Named::Content(digest, name) => {
            let shelf = Arc::clone(counter);
            let opened = tokio::task::spawn_blocking(move || shelf.shelf.open(digest)).await;
            match opened {
                Ok(Ok(content)) => Ok(Found::content(counter, digest, &name, content)),
                Ok(Err(ShelfError::Missing(_))) => Err(Refused::Missing),
                Ok(Err(error)) => {
                    tracing::error!(code = error.code(), "cannot serve {name}: {error}");
                    Err(Refused::Unreadable)
                }
                Err(error) => {
                    tracing::error!("cannot serve {name}: {error}");
                    Err(Refused::Unreadable)
                }
            }
        }
    }
}

/// A loader, which is at hand.
pub(super) fn loader(counter: &Counter, name: &str) -> Result<Found, Refused> {
    let loader = counter.loader(name).ok_or(Refused::Missing)?;
    let name: Arc<str> = name.into();
    Ok(Found {
        // Our own has the lab's key in it, which may become another one.
        kept: Some(Kept::Loader(Arc::clone(&name), false)).filter(|_| Processor::of_file(&name).is_none()),
        name,
        role: FileRole::Loader,
        source: Source::Memory(loader.bytes),
    })
}

impl Found {
    fn text(name: &str, text: &str) -> Self {
        let source = Source::Memory(Bytes::copy_from_slice(text.as_bytes()));
        Self { name: name.into(), role: FileRole::Script, source, kept: None }
    }

    fn content(counter: &Counter, digest: Digest, name: &str, content: Content) -> Self {
        let role = counter.board().map_or(FileRole::Other, |board| board.role(model::Digest(digest.0)));
        let source = Source::Shelf(Arc::new(content));
        Self { name: name.into(), role, source, kept: Some(Kept::Content(digest)) }
    }

    /// The same for a client that will translate it back.
    pub(super) fn in_mode(self, mode: Mode) -> Result<Self, Refused> {
        match (mode, &self.source) {
            (Mode::Octet, _) => Ok(self),
            (Mode::Netascii, Source::Memory(bytes)) => {
                let source = Source::Memory(netascii(bytes).into());
                let kept = match self.kept {
                    Some(Kept::Loader(name, _)) => Some(Kept::Loader(name, true)),
                    other => other,
                };
                Ok(Self { source, kept, ..self })
            }
            // Its size would have to be known before its first byte is sent, and no content is text.
            (Mode::Netascii, Source::Shelf(_)) => Err(Refused::OctetOnly),
        }
    }

    pub(crate) fn size(&self) -> u64 {
        match &self.source {
            Source::Memory(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Source::Shelf(content) => content.size(),
        }
    }

    /// Begins to send it.
    pub(crate) fn transfer(&self, request: &Request, limits: Limits, now: u64) -> (Transfer, Step) {
        Transfer::new(request, self.size(), limits, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_served_names_are_served_wherever_firmware_looks_for_them() {
        for path in ["snponly.efi", "/snponly.efi", "\\snponly.efi", "//boot/snponly.efi", "./snponly.efi"] {
            assert_eq!(named(path), Ok(Named::Loader("snponly.efi".to_owned())), "{path}");
        }
        for path in ["../etc/passwd", "/boot/../../x", "..\\x", "a/../b", "x\n", "f/x/.."] {
            assert_eq!(named(path), Err(Refused::Trick), "{path}");
        }
        for path in ["/etc/passwd", "", "/boot", "/f/abc/x", "a/b/c/d/e/f/g/h/i/j/k"] {
            let found = named(path);
            assert!(
                matches!(found, Err(Refused::Missing) | Ok(Named::Loader(_) | Named::View(_))),
                "{path}: {found:?}"
            );
        }
        let content = format!("/f/{}/vmlinuz", "0".repeat(64));
        assert!(matches!(named(&content), Ok(Named::Content(_, name)) if name == "vmlinuz"));
    }
}
