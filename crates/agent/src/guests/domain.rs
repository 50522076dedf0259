//! A guest as libvirt's domain XML (libvirt's `formatdomain`); pure.
//!
//! libvirt has no words for three things that this agent needs, so QEMU is given them past it (`qemu:commandline`): a
//! control socket of the agent's own, the file with the process id, and that QEMU ends when its guest does. By these a
//! run is seen to its end, with its cause, also while no libvirtd is there.

use std::fmt::Write as _;
use std::path::Path;

use model::{GuestBoot, GuestNic, GuestWish};

use super::plan::{
    Accel, CONSOLE, DISK, FIRMWARE_RETRY_MS, Kernel, OVMF_CODE, PID, QMP, SERIAL, VARS, VNC, on_end, tap_name,
};

/// Longest path of a Unix socket (`unix(7)`: 108 bytes, of which one ends it).
const SOCKET: usize = 107;

/// What is known of the hypervisor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Here<'a> {
    /// The guest's folder, absolute: libvirt starts QEMU elsewhere.
    pub(super) folder: &'a Path,
    pub(super) bridge: &'a str,
    pub(super) qemu: &'a Path,
    pub(super) accel: Accel,
}

/// The domain of a guest; `kernel` is none for one that boots over the network.
///
/// # Errors
/// What cannot be said in XML, or a socket whose path is too long.
pub(super) fn xml(wish: &GuestWish, here: Here<'_>, kernel: Option<Kernel<'_>>) -> Result<String, String> {
    let spec = &wish.spec;
    let mut out = Xml::default();
    let kind = match here.accel {
        Accel::Kvm => "kvm",
        Accel::Tcg => "qemu",
    };
    let space = ("xmlns:qemu", "http://libvirt.org/schemas/domain/qemu/1.0");
    out.open("domain", &[("type", kind), space]);
    out.text("name", &[], wish.node.as_str())?;
    out.text("uuid", &[], &wish.uuid.to_string())?;
    out.text("description", &[], "A guest of a lab: its agent defines, starts and removes it.")?;
    out.text("memory", &[("unit", "MiB")], &spec.memory.0.to_string())?;
    out.text("vcpu", &[], &spec.cpus.max(1).to_string())?;
    out.open("sysinfo", &[("type", "smbios")]).open("system", &[]);
    out.text("entry", &[("name", "manufacturer")], "Labinator")?;
    out.text("entry", &[("name", "product")], "guest")?;
    out.text("entry", &[("name", "serial")], wish.node.as_str())?;
    out.close("system").close("sysinfo");
    boot(&mut out, wish, here, kernel)?;
    out.open("features", &[]).empty("acpi", &[])?.empty("apic", &[])?;
    match here.accel {
        Accel::Kvm => out.close("features").empty("cpu", &[("mode", "host-passthrough")])?,
        Accel::Tcg => {
            out.open("tcg", &[]).text("tb-cache", &[("unit", "MiB")], "64")?.close("tcg").close("features");
            // 57-bit page tables only cost an emulated processor time.
            out.open("cpu", &[("mode", "maximum")]);
            out.empty("feature", &[("policy", "disable"), ("name", "la57")])?.close("cpu")
        }
    };
    out.empty("clock", &[("offset", "utc")])?;
    let again = if spec.boot == GuestBoot::Kernel { "destroy" } else { "restart" };
    out.text("on_poweroff", &[], "destroy")?.text("on_reboot", &[], again)?;
    out.text("on_crash", &[], "destroy")?;
    devices(&mut out, wish, here)?;
    out.open("qemu:commandline", &[]);
    for word in past_libvirt(spec.boot, here.folder)? {
        out.empty("qemu:arg", &[("value", &word)])?;
    }
    out.close("qemu:commandline").close("domain");
    Ok(out.text)
}

fn boot(out: &mut Xml, wish: &GuestWish, here: Here<'_>, kernel: Option<Kernel<'_>>) -> Result<(), String> {
    out.open("os", &[]);
    out.text("type", &[("arch", "x86_64"), ("machine", "pc")], "hvm")?;
    match wish.spec.boot {
        GuestBoot::Kernel => {
            if let Some(kernel) = kernel {
                out.text("kernel", &[], &path(kernel.kernel)?)?;
                if let Some(initrd) = kernel.initrd {
                    out.text("initrd", &[], &path(initrd)?)?;
                }
                out.text("cmdline", &[], kernel.line)?;
            }
        }
        GuestBoot::Network => {
            out.empty("bios", &[("rebootTimeout", &FIRMWARE_RETRY_MS.to_string())])?;
        }
        GuestBoot::NetworkUefi => {
            out.text("loader", &[("readonly", "yes"), ("type", "pflash")], OVMF_CODE)?;
            out.text("nvram", &[], &path(&here.folder.join(VARS))?)?;
        }
    }
    out.empty("smbios", &[("mode", "sysinfo")])?.close("os");
    Ok(())
}

fn devices(out: &mut Xml, wish: &GuestWish, here: Here<'_>) -> Result<(), String> {
    let spec = &wish.spec;
    out.open("devices", &[]);
    out.text("emulator", &[], &path(here.qemu)?)?;
    out.empty("controller", &[("type", "usb"), ("model", "none")])?;
    if spec.disk.is_some() {
        out.open("disk", &[("type", "file"), ("device", "disk")]);
        // A full disk stops the guest instead of giving it errors to eat.
        let full = ("error_policy", "enospace");
        out.empty("driver", &[("name", "qemu"), ("type", "raw"), full, ("discard", "unmap")])?;
        out.empty("source", &[("file", &path(&here.folder.join(DISK))?)])?;
        out.empty("target", &[("dev", "vda"), ("bus", "virtio")])?;
        out.text("serial", &[], wish.node.as_str())?.empty("boot", &[("order", "2")])?;
        out.close("disk");
    }
    out.open("interface", &[("type", "bridge")]);
    out.empty("mac", &[("address", &wish.mac.to_string())])?;
    out.empty("source", &[("bridge", here.bridge)])?;
    out.empty("target", &[("dev", &tap_name(wish.mac))])?;
    let card = match spec.nic {
        GuestNic::Virtio => "virtio",
        GuestNic::E1000e => "e1000e",
    };
    out.empty("model", &[("type", card)])?.empty("boot", &[("order", "1")])?;
    if spec.boot != GuestBoot::Network {
        // Only SeaBIOS needs the card's own; without one, OVMF uses its own clients and a kernel starts sooner.
        out.empty("rom", &[("enabled", "no")])?;
    }
    out.close("interface");
    out.open("serial", &[("type", "unix")]);
    out.empty("source", &[("mode", "bind"), ("path", &socket(here.folder, SERIAL)?)])?;
    out.empty("log", &[("file", &path(&here.folder.join(CONSOLE))?), ("append", "on")])?;
    out.empty("target", &[("port", "0")])?.close("serial");
    out.empty("graphics", &[("type", "vnc"), ("socket", &socket(here.folder, VNC)?)])?;
    out.open("video", &[]).empty("model", &[("type", "vga")])?.close("video");
    if spec.watchdog {
        out.empty("watchdog", &[("model", "i6300esb"), ("action", "poweroff")])?;
    }
    out.empty("memballoon", &[("model", "none")])?;
    out.open("rng", &[("model", "virtio")]);
    out.text("backend", &[("model", "random")], "/dev/urandom")?.close("rng");
    out.empty("panic", &[("model", "isa")])?.close("devices");
    Ok(())
}

fn past_libvirt(boot: GuestBoot, folder: &Path) -> Result<[String; 10], String> {
    // A comma ends a value of QEMU's; two stand for one.
    let control = socket(folder, QMP)?.replace(',', ",,");
    Ok([
        "-machine".to_owned(),
        "graphics=off".to_owned(),
        "-pidfile".to_owned(),
        path(&folder.join(PID))?,
        "-chardev".to_owned(),
        format!("socket,id=labinator,path={control},server=on,wait=off"),
        "-mon".to_owned(),
        "chardev=labinator,mode=control".to_owned(),
        "-action".to_owned(),
        on_end(boot),
    ])
}

fn path(path: &Path) -> Result<String, String> {
    path.to_str().map(str::to_owned).ok_or_else(|| format!("{}: libvirt takes UTF-8 only", path.display()))
}

fn socket(folder: &Path, name: &str) -> Result<String, String> {
    let path = path(&folder.join(name))?;
    if path.len() > SOCKET {
        return Err(format!("{path}: a socket's path may have {SOCKET} bytes, and this has {}", path.len()));
    }
    Ok(path)
}

/// Elements one below the other, indented by depth.
#[derive(Debug, Default)]
struct Xml {
    text: String,
    depth: usize,
}

type Attributes<'a> = &'a [(&'a str, &'a str)];

impl Xml {
    fn indent(&mut self) {
        self.text.extend(std::iter::repeat_n("  ", self.depth));
    }

    /// Attributes of elements that have something inside are words of this file, and need no escape.
    fn open(&mut self, name: &str, attributes: Attributes<'_>) -> &mut Self {
        self.indent();
        self.text.push('<');
        self.text.push_str(name);
        for (key, value) in attributes {
            let _infallible = write!(self.text, " {key}='{value}'");
        }
        self.text.push_str(">\n");
        self.depth += 1;
        self
    }

    fn close(&mut self, name: &str) -> &mut Self {
        self.depth = self.depth.saturating_sub(1);
        self.indent();
        let _infallible = writeln!(self.text, "</{name}>");
        self
    }

    fn head(&mut self, name: &str, attributes: Attributes<'_>) -> Result<(), String> {
        self.indent();
        self.text.push('<');
        self.text.push_str(name);
        for (key, value) in attributes {
            let value = escape(value)?;
            let _infallible = write!(self.text, " {key}='{value}'");
        }
        Ok(())
    }

    fn empty(&mut self, name: &str, attributes: Attributes<'_>) -> Result<&mut Self, String> {
        self.head(name, attributes)?;
        self.text.push_str("/>\n");
        Ok(self)
    }

    fn text(&mut self, name: &str, attributes: Attributes<'_>, inside: &str) -> Result<&mut Self, String> {
        self.head(name, attributes)?;
        let inside = escape(inside)?;
        let _infallible = writeln!(self.text, ">{inside}</{name}>");
        Ok(self)
    }
}

/// Text as it may stand in an element or an attribute (XML 1.0, 2.2 and 2.4). White space that a reader would change
/// is written by number.
fn escape(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&apos;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => {
                let _infallible = write!(out, "&#{};", u32::from(c));
            }
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {
                return Err(format!("{text:?}: libvirt cannot be told the character U+{:04X}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests;
