//! iPXE scripts say what they must and nothing that was smuggled in; error numbers are read.

use model::MacAddr;
use proptest::prelude::*;
use wire::ipxe::{BootScript, IpxeError, ScriptError, unknown_machine_script, waiting_script};

const URL: &str = "http://10.9.0.1/boot/script?mac=52:54:00:00:00:01";

#[test]
fn a_boot_script_names_each_initramfs_where_bios_and_uefi_look() {
    let script = BootScript {
        title: "node1 of hybrid-4, boot 7",
        kernel: "http://10.9.0.1/assets/vmlinuz",
        args: "console=tty0  talos.platform=metal",
        initrds: &["http://10.9.0.1/assets/initramfs", "http://10.9.0.1/assets/extra"],
        efi: None,
    };
    assert_eq!(
        script.text().unwrap(),
        "#!ipxe\n\
         echo node1 of hybrid-4, boot 7\n\
         imgfree ||\n\
         kernel http://10.9.0.1/assets/vmlinuz initrd=initrd0 initrd=initrd1 console=tty0 talos.platform=metal\n\
         initrd --name initrd0 http://10.9.0.1/assets/initramfs\n\
         initrd --name initrd1 http://10.9.0.1/assets/extra\n\
         boot\n"
    );
}

#[test]
fn a_program_for_a_bios_alone_is_left_to_it_and_uefi_gets_the_other() {
    let (kernel, efi) = ("http://10.9.0.1/f/1/menu.lkrn", Some("http://10.9.0.1/f/2/menu.efi"));
    let script = BootScript { title: "", kernel, args: "a", initrds: &[], efi };
    assert_eq!(
        script.text().unwrap(),
        "#!ipxe\nimgfree ||\niseq ${platform} efi && goto efi ||\nkernel http://10.9.0.1/f/1/menu.lkrn a\nboot\nexit 1\n\
         :efi\nkernel http://10.9.0.1/f/2/menu.efi\nboot\n"
    );
    let named = BootScript { efi: Some("http://menu.example/menu.efi"), ..script };
    assert!(matches!(named.text(), Err(ScriptError::NotLiteral(_))));
}

#[test]
fn a_waiting_script_says_for_what_and_asks_again() {
    let script = waiting_script(&["No lab is chosen yet.", "Start one on the page."], 3, URL).unwrap();
    assert_eq!(
        script,
        format!(
            "#!ipxe\necho No lab is chosen yet.\necho Start one on the page.\n\
             :again\nsleep 3\nchain --replace --autofree {URL} || goto again\n"
        )
    );
}

#[test]
fn a_stranger_is_told_its_address_and_what_to_do() {
    let script = unknown_machine_script(MacAddr([0x52, 0x54, 0, 0, 0, 1]), 0, URL).unwrap();
    assert!(script.contains("echo This machine, 52:54:00:00:00:01, is not on the board."));
    assert!(script.contains("\nsleep 1\n"), "never a busy loop");
}

#[test]
fn only_literal_http_is_written() {
    for bad in
        ["http://boss.local/x", "https://10.0.0.1/x", "tftp://10.0.0.1/x", "", "http://", "http://1.2.3/x"]
    {
        assert!(matches!(waiting_script(&[], 1, bad), Err(ScriptError::NotLiteral(_))), "{bad}");
    }
    for bad in ["http://10.0.0.1/x y", "http://10.0.0.1/x\nshell", "http://10.0.0.1/${mac}"] {
        assert!(matches!(waiting_script(&[], 1, bad), Err(ScriptError::BadCharacter(_))), "{bad}");
    }
    assert!(waiting_script(&[], 1, "http://10.0.0.1:8080/x").is_ok());
    assert!(waiting_script(&[], 1, "http://[fd00::1]:80/x").is_ok());
}

#[test]
fn a_url_with_a_literal_ipv6_address_is_written_and_one_without_its_brackets_is_not() {
    let script = waiting_script(&[], 1, "http://[fd00::1]/boot/x.ipxe").unwrap();
    assert!(script.contains("chain --replace --autofree http://[fd00::1]/boot/x.ipxe"), "{script}");
    assert!(waiting_script(&[], 1, "http://[fd00::1]:8080/x").is_ok());
    for bad in ["http://fd00::1/x", "http://[boss]/x", "http://[10.0.0.1]/x", "http://[fd00::1/x"] {
        assert!(matches!(waiting_script(&[], 1, bad), Err(ScriptError::NotLiteral(_))), "{bad}");
    }
}

#[test]
fn hostile_text_is_shown_and_not_obeyed() {
    let line = "a\nshell\r\nreboot ; poweroff && x || y ${net0/mac} # gone \u{7f} \u{e9}";
    let script = waiting_script(&[line], 1, URL).unwrap();
    let shown = "echo a shell reboot _ poweroff _ x _ y $(net0/mac} _ gone ? ?";
    assert_eq!(script.lines().nth(1), Some(shown));
    let (kernel, args) = ("http://10.0.0.1/k", "a=1\nshell && sh");
    let args = BootScript { title: "", kernel, args, initrds: &[], efi: None };
    assert_eq!(args.text().unwrap().lines().nth(2), Some("kernel http://10.0.0.1/k a=1 shell _ sh"));
}

#[test]
fn the_error_that_started_it_all_is_read() {
    let line = "Could not start download: Connection timed out (http://ipxe.org/4c116035)";
    let error = IpxeError::find(line).unwrap();
    assert_eq!(error, IpxeError(0x4c11_6035));
    assert_eq!((error.meaning(), error.source()), ("timed out", Some("net/udp/dns.c")));
    assert!(error.to_string().contains("literal addresses"));
    assert_eq!(IpxeError(0x4c0a_6035).source(), Some("net/tcp.c"));
    assert_eq!(
        IpxeError(0x2d0c_618e).to_string(),
        "2d0c618e: HTTP 404 (net/tcp/httpcore.c): the boss answered 404: the file is not published"
    );
    assert_eq!(IpxeError::find("38086193"), Some(IpxeError(0x3808_6193)));
    assert_eq!(IpxeError::find("nothing here"), None);
    assert_eq!(IpxeError::find("deadbeefcafe"), None);
}

#[test]
fn numbers_of_every_version_are_read_as_its_own_table_says() {
    // Number, errno, source file, instance, what is said of it. The first is from a failing console, the others from
    // consoles of the versions named in `error.rs` or composed of their tables.
    let table = [
        (0x4c11_6035, "ETIMEDOUT", "net/udp/dns.c", 0, "DNS look-up timed out"),
        (0x3e11_618e, "ENXIO", "net/udp/dns.c", 1, "DNS has no such name"),
        (0x3e11_628e, "ENXIO", "net/udp/dns.c", 2, "no name server is known"),
        (0x4c10_6035, "ETIMEDOUT", "net/udp/dhcp.c", 0, "no DHCP answer"),
        (0x4c0a_6035, "ETIMEDOUT", "net/tcp.c", 0, "TCP connection timed out"),
        (0x2d0c_618e, "ENOENT", "net/tcp/httpcore.c", 1, "HTTP 404"),
        (0x1d0c_6539, "EIO", "net/tcp/httpcore.c", 5, "HTTP server error (5xx)"),
        (0x2d12_603b, "ENOENT", "net/udp/tftp.c", 0, "TFTP server has no such file"),
        (0x3808_6193, "ENOTCONN", "net/netdevice.c", 1, "link is down"),
        (0x2e00_8081, "ENOEXEC", "core/image.c", 0, "no format of this build reads the image"),
        (0x2d27_2000, "ENOENT", "core/cachedhcp.c", 0, ""),
        (0x1c55_e000, "EINVAL", "interface/efi/efi_cachedhcp.c", 0, ""),
    ];
    for (number, name, file, instance, detail) in table {
        let error = IpxeError(number);
        let read = (error.name(), error.source(), error.instance(), error.detail());
        assert_eq!(read, (Some(name), Some(file), instance, detail), "{number:08x}");
    }
    assert_eq!(IpxeError(0x7f11_6035).name(), None);
    assert_eq!(IpxeError(0x4cff_e000).source(), None);
    assert_eq!(IpxeError(0x4cff_e000).to_string(), "4cffe000: timed out (file 0xffe000)");
}

proptest! {
    #[test]
    fn no_text_adds_a_command(text in "\\PC*|[ -~\\n\\r\\t|&;#${}]{0,80}") {
        let script = waiting_script(&[&text], 1, URL).unwrap();
        prop_assert_eq!(script.lines().count(), 5);
        let expanded = script.contains("${");
        prop_assert!(script.is_ascii() && !expanded);
        let said = script.lines().nth(1).unwrap();
        prop_assert!(said.starts_with("echo "));
        for word in said.split(' ').skip(1) {
            prop_assert!(!matches!(word, "||" | "&&" | ";") && !word.starts_with('#'));
        }
    }
}
