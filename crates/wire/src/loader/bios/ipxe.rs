//! What iPXE is told on a medium of ours: ask the controller by each card in turn, and restart the machine where nobody
//! answers, so that GRUB comes again and starts the cache.

use alloc::string::String;
use core::fmt::Write as _;
use core::net::{Ipv4Addr, SocketAddrV4};

use crate::loader::StaticAddress;

/// Seconds for which iPXE tries at most: well below the ten minutes within which GRUB knows that a try was the last.
pub const LONGEST_PATIENCE: u16 = 240;
/// About as long a round takes: a card's link, and a search for DHCP in vain.
const ROUND: u16 = 20;
/// Cards that are tried.
const CARDS: usize = 8;
/// Seconds that a card and its switch take to agree, where nothing else waits for them. iPXE's search for DHCP waits by
/// itself, and Debian's build of 2019 has no `iflinkwait`.
const LINK: u16 = 4;

/// The script. A word `disk-drive` tells the controller's script which drive is the machine's own disk: the medium is the
/// BIOS's first one. `disk-told` tells this one that the machine was sent to its disk, and is not to be restarted.
#[must_use]
pub fn script(boss: SocketAddrV4, address: Option<StaticAddress>, patience: u16) -> String {
    let rounds = (patience.min(LONGEST_PATIENCE) / ROUND).max(1);
    let mut text = String::from("#!ipxe\nset disk-drive 0x81\nset round:int32 0\n:round\n");
    for card in 0..CARDS {
        let next = card + 1;
        let _infallible = write!(
            text,
            ":card{card}\n\
             isset ${{net{card}/mac}} || goto counted\n\
             echo Labinator: asks {boss} by net{card}, ${{net{card}/mac}}\n\
             ifopen net{card} || goto card{next}\n"
        );
        match address {
            None => {
                let _infallible = writeln!(text, "ifconf --configurator dhcp net{card} || goto closed{card}");
            }
            Some(fixed) => {
                set_address(&mut text, card, fixed);
                let _infallible = writeln!(text, "sleep {LINK}");
            }
        }
        let _infallible = write!(
            text,
            "chain --autofree http://{boss}/boot/${{net{card}/mac:hexhyp}}.ipxe ||\n\
             isset ${{disk-told}} && exit 1 ||\n\
             :closed{card}\n\
             ifclose net{card} ||\n"
        );
    }
    let _infallible = write!(
        text,
        ":card{CARDS}\n:counted\ninc round\niseq ${{round}} {rounds} && goto over ||\nsleep 5\ngoto round\n\
         :over\necho Labinator: no controller. The machine starts again.\n\
         sleep 3\nreboot\n"
    );
    text
}

fn set_address(text: &mut String, card: usize, fixed: StaticAddress) {
    let mask = Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - u32::from(fixed.prefix)).unwrap_or(0));
    let _infallible = write!(text, "set net{card}/ip {}\nset net{card}/netmask {mask}\n", fixed.address);
    if let Some(gateway) = fixed.gateway {
        let _infallible = writeln!(text, "set net{card}/gateway {gateway}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOSS: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 9, 0, 1), 80);

    #[test]
    fn it_asks_by_literal_addresses_and_never_waits_for_ipv6() {
        let text = script(BOSS, None, 60);
        assert!(text.starts_with("#!ipxe\n") && text.ends_with("reboot\n"), "{text}");
        assert!(text.contains("chain --autofree http://10.9.0.1:80/boot/${net7/mac:hexhyp}.ipxe ||\n"));
        assert_eq!(text.matches("ifconf").count(), text.matches("ifconf --configurator dhcp net").count());
        assert!(text.contains("iseq ${round} 3 && goto over ||"), "{text}");
        let targets = text.split_whitespace().zip(text.split_whitespace().skip(1));
        for (_, name) in targets.filter(|(word, _)| *word == "goto") {
            assert!(text.lines().any(|line| line.strip_prefix(':') == Some(name)), "{name}");
        }
    }

    #[test]
    fn with_an_address_no_dhcp_is_asked() {
        let gateway = Some(Ipv4Addr::new(10, 9, 0, 254));
        let fixed = StaticAddress { address: Ipv4Addr::new(10, 9, 0, 13), prefix: 20, gateway };
        let text = script(BOSS, Some(fixed), 5);
        assert!(!text.contains("dhcp") && text.contains("iseq ${round} 1 &&"), "{text}");
        assert!(text.contains(
            "set net1/ip 10.9.0.13\nset net1/netmask 255.255.240.0\nset net1/gateway 10.9.0.254\n"
        ));
    }

    #[test]
    fn patience_is_shorter_than_what_grub_calls_a_moment() {
        assert!(script(BOSS, None, u16::MAX).contains("iseq ${round} 12 &&"));
    }
}
