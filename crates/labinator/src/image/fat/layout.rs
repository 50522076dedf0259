//! Where what lies in a volume, decided by its size alone.
//!
//! Microsoft, "FAT File System Specification" (fatgen103), "FAT Type Determination" and "FAT Volume Initialization": the
//! number of clusters makes the type, nothing else does.

/// Bytes of a sector.
pub(super) const SECTOR: u32 = 512;
/// Copies of the table.
pub(super) const TABLES: u32 = 2;
/// Entries of the root of FAT12 and FAT16, which has a place of its own; FAT32's is a folder like others.
pub(super) const ROOT_ENTRIES: u16 = 512;
/// The first cluster's number.
pub(super) const FIRST: u32 = 2;
/// Fewer clusters than this are FAT12.
const FAT16_FROM: u32 = 4085;
/// Fewer clusters than this are FAT16.
const FAT32_FROM: u32 = 65525;
/// The specification asks to stay away from both numbers by this, as many a driver is off by a few.
const MARGIN: u32 = 16;
/// Sectors up to which a volume is FAT12, and from which it is FAT32.
const SMALL: u32 = 8400;
const LARGE: u32 = 1_048_576;
/// Sectors of FAT16 volumes, and of FAT32 ones, with the sectors of a cluster.
const CLUSTERS_16: [(u32, u32); 4] = [(32_680, 2), (262_144, 4), (524_288, 8), (LARGE, 16)];
const CLUSTERS_32: [(u32, u32); 4] = [(16_777_216, 8), (33_554_432, 16), (67_108_864, 32), (u32::MAX, 64)];

/// The width of a table's entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// 12 bits.
    Fat12,
    /// 16 bits.
    Fat16,
    /// 32 bits, of which 28 count.
    Fat32,
}

impl Kind {
    /// What the boot sector calls it.
    pub(super) const fn name(self) -> &'static [u8; 8] {
        match self {
            Self::Fat12 => b"FAT12   ",
            Self::Fat16 => b"FAT16   ",
            Self::Fat32 => b"FAT32   ",
        }
    }

    /// The largest value of an entry: the end of a chain.
    pub(super) const fn end(self) -> u32 {
        match self {
            Self::Fat12 => 0xfff,
            Self::Fat16 => 0xffff,
            Self::Fat32 => 0x0fff_ffff,
        }
    }

    /// Sectors of a table of so many clusters.
    const fn table(self, clusters: u32) -> u32 {
        let bits = match self {
            Self::Fat12 => 12,
            Self::Fat16 => 16,
            Self::Fat32 => 32,
        };
        // The two entries before the first cluster's; a volume of 2 TiB has 2^26 clusters.
        ((clusters + FIRST).div_ceil(2) * (bits / 4)).div_ceil(SECTOR)
    }
}

/// Where what lies, in sectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// Its type.
    pub(super) kind: Kind,
    /// All of it.
    pub(super) sectors: u32,
    /// Of a cluster.
    pub(super) per_cluster: u32,
    /// Before the first table.
    pub(super) reserved: u32,
    /// Of one table.
    pub(super) table: u32,
    /// Of the root where it has a place of its own.
    pub(super) root: u32,
    /// How many clusters there are.
    pub(super) clusters: u32,
}

impl Layout {
    /// Of a volume of so many bytes; `None` for one that is too small or too large, or that ends within a sector.
    pub(super) fn of(bytes: u64) -> Option<Self> {
        let sectors = u32::try_from(bytes / u64::from(SECTOR))
            .ok()
            .filter(|_| bytes.is_multiple_of(u64::from(SECTOR)))?;
        if sectors <= SMALL {
            // No table of the specification: as small as the type allows.
            let all = [1, 2, 4].into_iter().filter_map(|per| Self::with(Kind::Fat12, sectors, per));
            return all
                .into_iter()
                .find(|layout| layout.clusters > 0 && layout.clusters < FAT16_FROM - MARGIN);
        }
        let (kind, table) =
            if sectors <= LARGE { (Kind::Fat16, CLUSTERS_16) } else { (Kind::Fat32, CLUSTERS_32) };
        let (_, per_cluster) = table.into_iter().find(|(most, _)| sectors <= *most)?;
        let layout = Self::with(kind, sectors, per_cluster)?;
        debug_assert!(
            kind != Kind::Fat16 || (FAT16_FROM + MARGIN..FAT32_FROM - MARGIN).contains(&layout.clusters)
        );
        Some(layout)
    }

    /// Of a volume that is FAT32 although another type would do: firmware promises to read that on a disk, and the others
    /// on what can be taken out (UEFI 2.10 section 13.3). `None` for one too small for so many clusters of a sector.
    pub(super) fn wide(bytes: u64) -> Option<Self> {
        let sectors = u32::try_from(bytes / u64::from(SECTOR))
            .ok()
            .filter(|_| bytes.is_multiple_of(u64::from(SECTOR)))?;
        if sectors > LARGE {
            return Self::of(bytes);
        }
        Self::with(Kind::Fat32, sectors, 1).filter(|layout| layout.clusters >= FAT32_FROM + MARGIN)
    }

    fn with(kind: Kind, sectors: u32, per_cluster: u32) -> Option<Self> {
        let (reserved, root) = match kind {
            Kind::Fat12 | Kind::Fat16 => (1, u32::from(ROOT_ENTRIES) * 32 / SECTOR),
            Kind::Fat32 => (32, 0),
        };
        let mut table = 1;
        loop {
            let clusters = sectors.checked_sub(reserved + root + TABLES * table)? / per_cluster;
            let needed = kind.table(clusters);
            if needed <= table {
                return Some(Self { kind, sectors, per_cluster, reserved, table, root, clusters });
            }
            table = needed;
        }
    }

    /// Bytes of a cluster.
    pub(super) const fn cluster(&self) -> u32 {
        self.per_cluster * SECTOR
    }

    /// Clusters that so many bytes take.
    pub(super) fn clusters_of(&self, bytes: u64) -> u64 {
        bytes.div_ceil(u64::from(self.cluster()))
    }

    /// Sectors before the first cluster.
    pub(super) const fn before(&self) -> u32 {
        self.reserved + TABLES * self.table + self.root
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The type by the rule of the specification, which goes by clusters alone.
    fn by_rule(clusters: u32) -> Kind {
        match clusters {
            0..4085 => Kind::Fat12,
            4085..65525 => Kind::Fat16,
            _ => Kind::Fat32,
        }
    }

    #[test]
    fn the_number_of_clusters_says_the_same_as_the_type_at_every_edge() {
        let edges =
            [40, 4180, 8400, 8401, 32_680, 32_681, 262_144, 262_145, 524_288, 524_289, LARGE, LARGE + 1];
        let more = [16_777_216, 16_777_217, 33_554_433, 67_108_865, u32::MAX];
        let mut kinds = Vec::new();
        for sectors in edges.into_iter().chain(more).chain(40..9000) {
            let layout = Layout::of(u64::from(sectors) * 512).unwrap();
            assert_eq!(layout.kind, by_rule(layout.clusters), "{layout:?}");
            let used = layout.before() + layout.clusters * layout.per_cluster;
            assert!(used <= sectors && sectors - used < layout.per_cluster + 2, "{layout:?}");
            let bits = match layout.kind {
                Kind::Fat12 => 12,
                Kind::Fat16 => 16,
                Kind::Fat32 => 32_u64,
            };
            // Two entries stand before the first cluster's.
            let entries = (u64::from(layout.clusters) + 2) * bits;
            assert!(entries <= u64::from(layout.table) * 512 * 8, "{layout:?}");
            kinds.push(layout.kind);
        }
        for kind in [Kind::Fat12, Kind::Fat16, Kind::Fat32] {
            assert!(kinds.contains(&kind), "{kind:?}");
        }
    }

    #[test]
    fn a_small_volume_is_fat32_where_that_is_asked_for() {
        let layout = Layout::wide(36 << 20).unwrap();
        assert_eq!((layout.kind, by_rule(layout.clusters)), (Kind::Fat32, Kind::Fat32), "{layout:?}");
        assert_eq!(Layout::wide(32 << 20), None);
        assert_eq!(Layout::wide(1 << 30), Layout::of(1 << 30));
    }

    #[test]
    fn what_is_no_size_of_a_volume_has_no_layout() {
        for bytes in [0, 512, 35 * 512, 1 << 20 | 1, (u64::from(u32::MAX) + 1) * 512] {
            assert_eq!(Layout::of(bytes), None, "{bytes}");
        }
        assert!(Layout::of(36 * 512).is_some());
    }
}
