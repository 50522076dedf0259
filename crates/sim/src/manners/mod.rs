//! Bad manners: what real machines did to other people's labs, on request.
//!
//! Each has a test named after its issue in `crates/labinator/tests/manners.rs`, against the real counter.

mod asked;

use std::net::Ipv4Addr;

use model::MacAddr;

pub(crate) use asked::Manners;

/// One way to misbehave: where it was reported, what the machine does on the wire, and what a server must do to
/// live with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    // The cable and the card.
    /// So many frames in a thousand are lost, both ways (a bad cable; tinkerbell/tinkerbell#728). Whoever sends
    /// must send again.
    LosesFrames(u16),
    /// So many sent frames in a thousand arrive twice (a bridge that just learnt its ports). A second copy of an ACK
    /// must not double the transfer (RFC 1123 section 4.2.3.1).
    DuplicatesFrames(u16),
    /// So many sent frames in a thousand are late by up to so many milliseconds, and so overtaken. What comes out of
    /// order must change nothing.
    DelaysFrames {
        /// How many in a thousand.
        per_mille: u16,
        /// Latest, in milliseconds.
        up_to_ms: u64,
    },
    /// Nothing passes either way for so many milliseconds after the firmware takes the card: spanning tree listens
    /// and learns for 30 s (crowbar/barclamp-provisioner#2), a LAG negotiates for 10 s or more
    /// (TritonDataCenter/sdcboot#2). Answer late DISCOVERs like first ones, and let nothing after the firmware ask for
    /// an address in vain.
    LinkRests(u64),
    /// The loader's own driver resets the card, and nothing passes for so many milliseconds (netboot.md 2.1 row 7:
    /// 1000BASE-T retrains; ipxe/ipxe#1097). Serve a loader that keeps the firmware's driver.
    LoaderRetrains(u64),
    /// IP packets larger than so many bytes are lost on the way, both ways (a tunnel, a VLAN on a switch without room
    /// for its tag). Never insist on large blocks with a client that took none of them: offer its next request smaller ones.
    PathMtu(u16),
    /// Each frame takes so many milliseconds to be read, and the card keeps only so many that wait (ipxe/ipxe#145:
    /// 2.1 ms a block through one driver, 0.14 through another; ipxe/ipxe#299, #389, #1691). Do not send again what
    /// is merely slow, and no more at once than was asked for.
    SlowDriver {
        /// Time a frame takes.
        per_frame_ms: u64,
        /// Frames that wait.
        ring: u8,
    },
    /// Its frames arrive and nothing comes back (siderolabs/sidero#1286: replies stay inside a container's bridge).
    /// Nobody can serve it; say that it asks and never takes an offer.
    Deaf,

    // Power and boot order.
    /// POST takes so many milliseconds longer (warewulf/warewulf#210: POST is what hurts). Never restart a machine
    /// to have it ask again.
    SlowFirmware(u64),
    /// Powered, but never asks: no link, or its boot order ends at a disk (siderolabs/sidero#1205). Limit the wait
    /// and say so.
    NeverAsks,
    /// Tries its IPv6 entries before those of IPv4, 60 s each without an answer (metal-stack/mini-lab#196,
    /// tianocore/edk2#8466, dsx-ai-factory/infra-controller#3574). Have patience for two minutes.
    StartsWithIpv6,
    /// Resets so many milliseconds after each power-on, whatever it is doing (siderolabs/sidero#988,
    /// dsx-ai-factory/infra-controller#1834). Each boot is a boot; nothing may pile up.
    RebootsForEver(u64),
    /// Loses power once, in the middle of its first download, and is back at once. A half-told transfer must not
    /// stand in the way of the next.
    ResetsInDownload,
    /// A second card of the machine asks at the same time, under this address, and never takes an offer. What it was
    /// offered must not keep the first from booting.
    AsksOnTwoPorts(MacAddr),
    /// From the loader on, it speaks under this address: the firmware used the one of the board, the driver the one of
    /// the dongle. It must be told who it is not, and wait.
    ChangesMac(MacAddr),
    /// Has the UUID that a board maker never filled in, as many a cheap board has: two machines share one identity.
    /// Know machines by their Ethernet address.
    SharesUuid,

    // DHCP.
    /// Firmware that takes one complete offer and never merges two; it asks on at 0, 4, 12 and 28 s and then gives up
    /// (garybowers/bootimus#77). One offer must hold everything.
    RefusesMergedOffer,
    /// Firmware that throws away every offer without an address, a proxy's included (danderson/netboot#43: HP Gen9). As
    /// above.
    IgnoresProxyOffers,
    /// EDK2 before April 2017: of offers without an address it keeps those alone that leave option 43 out, and then asks
    /// port 4011 (tianocore/edk2#6944: Dell T130 and T430). Leave it out beside another server, and answer there.
    DropsDiscoveryOffers,
    /// After an offer that calls itself `PXEClient`, it asks port 4011 unless option 43.6 has bit 3 set, and
    /// without an answer gives up with PXE-E55 (siderolabs/booter#4, siderolabs/sidero#1212; danderson/netboot#38 asks
    /// for ever). Set 43.6 to 8, and answer at 4011 all the same.
    AsksPort4011,
    /// Firmware and loader leave option 97 out (danderson/pixiecore#21). Do without.
    NoOption97,
    /// Drops replies that carry options in `file` and `sname` (option 52), as ROMs do that read
    /// the fields as names only (garybowers/bootimus#51 is of this family). Leave the fields to names.
    IgnoresOverload,
    /// Takes its TFTP server from option 66 and nothing else (tinkerbell/smee#23: Raspberry Pi). Write both.
    WantsOption66,
    /// Firmware that says architecture 9 where the RFC's text has 7 (both are x86-64; netboot.md appendix A). Treat
    /// both alike.
    SaysArchitecture9,
    /// Firmware under a client identifier made of its UUID; the loader has another, the system none (ipxe/ipxe#188,
    /// #144, #395: why a second exchange at all). The address must stay.
    ChangesClientId,
    /// Sits behind a relay at this address, which adds option 82 and passes on only what comes back to it by unicast
    /// with that option in it (tinkerbell/smee#382). Answer the relay, and give its option back.
    BehindRelay(Ipv4Addr),
    /// Waits 12 s for a proxy's offer, as iPXE does with the timers of the specification (Red Hat's build; in
    /// crowbar/barclamp-provisioner#2 the proxy was a phantom). Say in the offer that there is none.
    WaitsForProxy,
    /// Gives up when its first DISCOVER is not answered within so many milliseconds (danderson/netboot#32: a
    /// backend that thinks for 10 s loses the boot). Never think.
    Hasty(u64),
    /// Sends broken messages before each honest DHCP one: cut short, options that overrun, a
    /// hardware address longer than its field, options that repeat without end. Read what is honest.
    SendsGarbage,
    /// Writes another machine's address into its DHCP messages, under its own Ethernet address.
    LiesAboutMac(MacAddr),

    // DHCPv6.
    /// Its identifier is of this type (RFC 8415 section 11), from the firmware to the system: 1 and 3 with the
    /// Ethernet address of another card of the board, 2 with an enterprise number, 4 with a UUID that nobody filled
    /// in, any other with bytes of its own. Know it by its frames; compare identifiers whole and never read them.
    OddDuid(u16),
    /// The first answer to each of its questions over DHCPv6 is lost, so that it asks again with the same transaction
    /// number. Answer the second like the first, with the same address.
    LosesFirstAnswers6,
    /// No REPLY over DHCPv6 reaches it, while ADVERTISEs do. Nobody can serve it; say that it asks and never has an
    /// address, and keep one address for it however often it asks.
    NeverHearsReply,

    // TFTP and HTTP.
    /// The first request for a file is lost on its way, and the firmware waits 4 s before the next
    /// (tinkerbell/tinkerbell#728: iDRAC 8 across subnets). Answer the second like a first.
    LosesFirstTftp,
    /// Leaves the session of its size probe without a word and opens another (capture in MAAS LP#1437353). Keep no
    /// seat for the first.
    AbandonsProbe,
    /// Writes option names in capitals (RFC 2347 section 2: case does not matter). Read them.
    ShoutsOptions,
    /// Asks for blocks of 65464 bytes, the most RFC 2348 has. Offer what fits a frame.
    AsksHugeBlocks,
    /// Its connection breaks once in the middle of an HTTP download, and it resumes with `Range` and `If-Match`
    /// (netboot.md 2.1 row 6'; unix.SE 748395 is one that was cut short). Name versions and serve ranges.
    BreaksOffHttp,

    // iPXE.
    /// Stays at "iPXE initialising devices..." (ipxe/ipxe#541, siderolabs/sidero#447). Limit the wait, try again, say
    /// where it stopped.
    HangsInLoader,
    /// iPXE with drivers of its own never sees a link on this card; one that keeps the firmware's does
    /// (ipxe/ipxe#1097: works with undionly). Serve `undionly.kpxe` and `snponly.efi`.
    NativeDriverFails,
    /// iPXE that stops for good when `autoexec.ipxe` is refused (tinkerbell/tinkerbell#424). Answer it.
    StopsWithoutAutoexec,
    /// A kernel that panics when `autoexec.ipxe` is passed on to it as one more initramfs (ipxe/ipxe#1723). Have the
    /// script free it.
    ChokesOnStrayInitrd,
    /// Burnt-in iPXE without HTTP, as option 175 says (siderolabs/sidero#1123). Hand it a newer one over TFTP.
    IpxeLacksHttp,
    /// Burnt-in iPXE of before 2011 that knows no `sleep`, no `goto`, no `isset` and no `--name`
    /// (siderolabs/sidero#1123, warewulf/warewulf#689). As above.
    IpxeLacksCommands,

    // The system.
    /// The kernel starts and is never heard of (ipxe/ipxe#1397 at its worst). Limit the wait and say so.
    HangsInKernel,
    /// The kernel takes so many milliseconds longer to start (ipxe/ipxe#1397: 5 to 10 minutes at the hand-over of the
    /// initramfs). The limit must be the lab's to set.
    SlowHandOver(u64),
    /// The agent says nothing more so many milliseconds after its first hello; the machine runs on.
    AgentFallsSilentAfter(u64),
    /// Resets once, so many milliseconds after the agent's first hello (tinkerbell/roadmap#29: a reboot that races its
    /// own report; tinkerbell/tink#116: boots again after success). The next boot is answered like the first.
    RebootsAfter(u64),
    /// The agent is told to switch off and does not.
    IgnoresPowerOff,
    /// The agent can wait in memory and start the next image by kexec.
    Kexecs,
    /// What it starts by kexec is never heard of: a card or disk does not survive that. Start it cold by itself, and
    /// remember it.
    KexecHangs,
    /// The agent is of a release before keys, wipes and guests: it seals nothing, names no disk, and passes over what it
    /// does not know (docs/agents.md, "Older and newer"). Take its word, show how surely it is its own, and say what it
    /// cannot do.
    AgentIsOlder,
    /// A hypervisor: what it fetches for guests finds no room before this moment of the lab, in milliseconds. Say so, and go
    /// on when there is some.
    NoRoomUntil(u64),
    /// A hypervisor: so many contents in its life read otherwise than they were sent (bad memory, a cache between). Nothing
    /// of them may be started, and both digests must be named.
    DamagesContents(u8),
}
