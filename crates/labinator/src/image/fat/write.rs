//! A volume's bytes in the order of the disk: boot sector, tables, root, content. Every chain of clusters is in one piece,
//! so the tables follow from where each begins and ends.

use std::io::{self, Read, Write};

use super::layout::{FIRST, Kind, Layout, ROOT_ENTRIES, SECTOR, TABLES};
use super::names::{self, ENTRY, Short};
use super::stamp::Stamp;
use super::{ENTRIES, FatError, Folder, Node, Settings, Volume};

/// Attributes of entries.
const LABEL: u8 = 0x08;
const FOLDER: u8 = 0x10;
const ARCHIVE: u8 = 0x20;
/// What a hard disk's boot sector and first table entry say.
const MEDIA: u8 = 0xf8;
/// FAT32's copy of its boot sector, and the sector that counts free clusters.
const COPY: u16 = 6;
const COUNTS: u16 = 1;
/// Tells the firmware to try the next disk, and stops if it does not: `int 0x18`, `jmp $`.
const NO_SYSTEM: [u8; 4] = [0xcd, 0x18, 0xeb, 0xfe];

/// A piece of the volume that clusters are taken for.
struct Piece<'a> {
    first: u32,
    clusters: u32,
    content: Content<'a>,
}

enum Content<'a> {
    /// A folder's entries.
    Entries(Vec<u8>),
    File {
        path: String,
        size: u32,
        content: Box<dyn Read + 'a>,
    },
}

/// What is being laid out.
struct Plan<'a> {
    layout: Layout,
    stamp: Stamp,
    pieces: Vec<Piece<'a>>,
    /// The next free cluster; wider than a cluster's number, so that too much content is counted to its end.
    next: u64,
}

/// Lays it out and writes it.
pub(super) fn written(volume: Volume<'_>, out: &mut impl Write) -> Result<(), FatError> {
    let Volume { settings, layout, label, root } = volume;
    let mut plan =
        Plan { layout, stamp: Stamp::of(settings.time), pieces: Vec::new(), next: u64::from(FIRST) };
    let apart = layout.kind != Kind::Fat32;
    let root = plan.root(root, label, apart)?;
    let (used, room) = (plan.next - u64::from(FIRST), u64::from(layout.clusters));
    if used > room {
        let bytes = |clusters: u64| clusters * u64::from(layout.cluster());
        return Err(FatError::TooMuch { needed: bytes(used), room: bytes(room) });
    }
    let used = u32::try_from(used).unwrap_or(u32::MAX);
    reserved(&settings, &layout, label, used, out).map_err(FatError::Write)?;
    let table = table(layout.kind, &plan.pieces);
    for _ in 0..TABLES {
        put(out, &table, u64::from(layout.table) * u64::from(SECTOR)).map_err(FatError::Write)?;
    }
    put(out, &root, u64::from(layout.root) * u64::from(SECTOR)).map_err(FatError::Write)?;
    for piece in plan.pieces {
        let room = u64::from(piece.clusters) * u64::from(layout.cluster());
        match piece.content {
            Content::Entries(entries) => put(out, &entries, room).map_err(FatError::Write)?,
            Content::File { path, size, content } => file(out, &path, u64::from(size), content, room)?,
        }
    }
    let rest = layout.sectors - layout.before() - used * layout.per_cluster;
    put(out, &[], u64::from(rest) * u64::from(SECTOR)).and_then(|()| out.flush()).map_err(FatError::Write)
}

/// Content, and zeros up to `room`.
fn put(out: &mut impl Write, content: &[u8], room: u64) -> io::Result<()> {
    out.write_all(content)?;
    let rest = room.saturating_sub(u64::try_from(content.len()).unwrap_or(u64::MAX));
    io::copy(&mut io::repeat(0).take(rest), out).map(drop)
}

/// What reads a file and remembers that reading failed: `copy` does not tell which side did.
struct Reading<'a> {
    inner: Box<dyn Read + 'a>,
    failed: Option<io::Error>,
}

impl Read for Reading<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buffer) {
            Err(why) if why.kind() != io::ErrorKind::Interrupted => {
                let kind = why.kind();
                self.failed = Some(why);
                Err(kind.into())
            }
            read => read,
        }
    }
}

fn file(
    out: &mut impl Write,
    path: &str,
    told: u64,
    content: Box<dyn Read + '_>,
    room: u64,
) -> Result<(), FatError> {
    let mut reading = Reading { inner: content, failed: None };
    // One byte more than it was to have tells that it has more.
    let copied = io::copy(&mut (&mut reading).take(told), out);
    let more =
        copied.and_then(|copied| Ok((copied, io::copy(&mut reading.by_ref().take(1), &mut io::sink())?)));
    if let Some(source) = reading.failed {
        return Err(FatError::Read { path: path.to_owned(), source });
    }
    let wrong = |found| FatError::Content { path: path.to_owned(), told, found };
    match more.map_err(FatError::Write)? {
        (copied, _) if copied < told => Err(wrong("fewer")),
        (_, 1..) => Err(wrong("more")),
        (copied, 0) => put(out, &[], room - copied).map_err(FatError::Write),
    }
}

impl<'a> Plan<'a> {
    /// Lays out the root; its entries where they do not lie in clusters.
    fn root(&mut self, root: Folder<'a>, label: Option<Short>, apart: bool) -> Result<Vec<u8>, FatError> {
        let mut head = Vec::new();
        if let Some(label) = label {
            head.extend(self.entry(&label, LABEL, 0, 0));
        }
        if !apart {
            self.folder(root, "", head, None)?;
            return Ok(Vec::new());
        }
        let most = usize::from(ROOT_ENTRIES);
        let (shorts, _) = counted(&root, "", &head, most)?;
        self.children(root, "", head, (0, shorts))
    }

    /// Lays out a folder and what is in it, and says where it begins. `above` is the folder's that it is in, where that
    /// is one with a number: `None` for the root itself.
    fn folder(
        &mut self,
        folder: Folder<'a>,
        path: &str,
        mut entries: Vec<u8>,
        above: Option<u32>,
    ) -> Result<u32, FatError> {
        if above.is_some() {
            entries.resize(2 * ENTRY, 0);
        }
        let (shorts, bytes) = counted(&folder, path, &entries, ENTRIES)?;
        let (first, clusters) = self.take(bytes);
        if let Some(above) = above {
            let itself = self.entry(b".          ", FOLDER, first, 0);
            entries = itself.into_iter().chain(self.entry(b"..         ", FOLDER, above, 0)).collect();
        }
        let place = self.pieces.len();
        self.pieces.push(Piece { first, clusters, content: Content::Entries(Vec::new()) });
        // What is in the root calls the folder above it 0, also where the root has a number.
        let number = if above.is_some() { first } else { 0 };
        let made = self.children(folder, path, entries, (number, shorts))?;
        if let Some(piece) = self.pieces.get_mut(place) {
            piece.content = Content::Entries(made);
        }
        Ok(first)
    }

    /// Lays out what is in a folder, and gives the folder's entries.
    fn children(
        &mut self,
        folder: Folder<'a>,
        path: &str,
        mut entries: Vec<u8>,
        (number, shorts): (u32, Vec<Short>),
    ) -> Result<Vec<u8>, FatError> {
        for ((name, node), short) in folder.0.into_values().zip(shorts) {
            let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            let (attribute, first, size) = match node {
                Node::Folder(folder) => (FOLDER, self.folder(folder, &path, Vec::new(), Some(number))?, 0),
                Node::File { size, content } => {
                    let (first, clusters) = self.take(u64::from(size));
                    self.pieces.push(Piece {
                        first,
                        clusters,
                        content: Content::File { path, size, content },
                    });
                    (ARCHIVE, first, size)
                }
            };
            entries.extend(names::long(&name, &short));
            entries.extend(self.entry(&short, attribute, first, size));
        }
        Ok(entries)
    }

    /// Takes clusters for so many bytes: the first, which is 0 for none, and how many.
    fn take(&mut self, bytes: u64) -> (u32, u32) {
        let clusters = self.layout.clusters_of(bytes);
        let first = if clusters == 0 { 0 } else { self.next };
        self.next += clusters;
        // Numbers that do not fit belong to a volume that is refused for what it holds.
        (u32::try_from(first).unwrap_or(u32::MAX), u32::try_from(clusters).unwrap_or(u32::MAX))
    }

    fn entry(&self, short: &Short, attribute: u8, first: u32, size: u32) -> Vec<u8> {
        let Stamp { date, time } = self.stamp;
        let [low0, low1, high0, high1] = first.to_le_bytes();
        let mut out = short.to_vec();
        out.extend([attribute, 0, 0]);
        // Made, last read, last written.
        for half in [
            time,
            date,
            date,
            u16::from_le_bytes([high0, high1]),
            time,
            date,
            u16::from_le_bytes([low0, low1]),
        ] {
            out.extend(half.to_le_bytes());
        }
        out.extend(size.to_le_bytes());
        out
    }
}

/// The short names of a folder, and the bytes of all of its entries.
fn counted(folder: &Folder<'_>, path: &str, head: &[u8], most: usize) -> Result<(Vec<Short>, u64), FatError> {
    let names = folder.0.values().map(|(name, _)| name.as_str());
    let shorts = names::shorts(names.clone());
    let own: usize = names.zip(&shorts).map(|(name, short)| names::entries(name, short)).sum();
    let entries = head.len() / ENTRY + own;
    if entries > most {
        return Err(FatError::Folder { path: path.to_owned(), entries, most });
    }
    // Even an empty root has a cluster.
    Ok((shorts, u64::try_from(entries.max(1) * ENTRY).unwrap_or(u64::MAX)))
}

/// One table, as far as it is used.
fn table(kind: Kind, pieces: &[Piece<'_>]) -> Vec<u8> {
    let end = kind.end();
    let chain = |piece: &Piece<'_>| {
        let last = piece.first + piece.clusters;
        (piece.first + 1..=last).map(move |next| if next == last { end } else { next })
    };
    // The first says the media, the second that nobody left the volume in the middle of a change.
    let head = [end & !0xff | u32::from(MEDIA), end];
    let mut entries =
        head.into_iter().chain(pieces.iter().filter(|piece| piece.clusters > 0).flat_map(chain));
    match kind {
        Kind::Fat32 => entries.flat_map(u32::to_le_bytes).collect(),
        Kind::Fat16 => entries.flat_map(|entry| entry.to_le_bytes().into_iter().take(2)).collect(),
        Kind::Fat12 => {
            let mut out = Vec::new();
            while let Some(even) = entries.next() {
                let both = even | entries.next().unwrap_or(0) << 12;
                out.extend(both.to_le_bytes().into_iter().take(3));
            }
            out
        }
    }
}

/// The sectors before the first table.
fn reserved(
    settings: &Settings,
    layout: &Layout,
    label: Option<Short>,
    used: u32,
    out: &mut impl Write,
) -> io::Result<()> {
    let boot = boot_sector(settings, layout, label);
    if layout.kind != Kind::Fat32 {
        return out.write_all(&boot);
    }
    let counts = counts(layout.clusters - used, FIRST + used);
    let third = signed(Vec::new());
    let empty = [0; 512].to_vec();
    for number in 0..layout.reserved {
        // What boots may be longer than a sector; it and its copy have three each.
        out.write_all(match number {
            0 | 6 => &boot,
            1 | 7 => &counts,
            2 | 8 => &third,
            _ => &empty,
        })?;
    }
    Ok(())
}

fn boot_sector(settings: &Settings, layout: &Layout, label: Option<Short>) -> Vec<u8> {
    let wide = layout.kind == Kind::Fat32;
    let short = |number: u32| u16::try_from(number).ok().filter(|_| !wide).unwrap_or(0).to_le_bytes();
    let small = |number: u32| u8::try_from(number).unwrap_or(0);
    // Jumps over the fields to the code, which begins behind them.
    let mut out = vec![0xeb, if wide { 0x58 } else { 0x3c }, 0x90];
    // The name that the specification recommends: some drivers look for it.
    out.extend(b"MSWIN4.1");
    out.extend(u16::try_from(SECTOR).unwrap_or(0).to_le_bytes());
    out.push(small(layout.per_cluster));
    out.extend(u16::try_from(layout.reserved).unwrap_or(0).to_le_bytes());
    out.push(small(TABLES));
    out.extend(if wide { 0 } else { ROOT_ENTRIES }.to_le_bytes());
    out.extend(short(layout.sectors));
    out.push(MEDIA);
    out.extend(short(layout.table));
    // Sectors of a track and heads: what a firmware of cylinders takes a disk for.
    out.extend([63, 0, 255, 0]);
    out.extend(0_u32.to_le_bytes());
    let fits = !wide && layout.sectors <= u32::from(u16::MAX);
    out.extend(if fits { 0 } else { layout.sectors }.to_le_bytes());
    if wide {
        out.extend(layout.table.to_le_bytes());
        out.extend([0; 4]);
        out.extend(FIRST.to_le_bytes());
        out.extend(COUNTS.to_le_bytes());
        out.extend(COPY.to_le_bytes());
        out.extend([0; 12]);
    }
    // The first hard disk, and that serial number, label and type follow.
    out.extend([0x80, 0, 0x29]);
    out.extend(settings.serial.to_le_bytes());
    out.extend(label.unwrap_or(*b"NO NAME    "));
    out.extend(layout.kind.name());
    out.extend(NO_SYSTEM);
    signed(out)
}

/// FAT32's count of free clusters, and where to look for the next.
fn counts(free: u32, next: u32) -> Vec<u8> {
    let mut out = b"RRaA".to_vec();
    out.resize(484, 0);
    out.extend(b"rrAa");
    out.extend(free.to_le_bytes());
    out.extend(next.to_le_bytes());
    signed(out)
}

/// A sector that ends as those of a boot do.
fn signed(mut sector: Vec<u8>) -> Vec<u8> {
    sector.resize(510, 0);
    sector.extend([0x55, 0xaa]);
    sector
}
