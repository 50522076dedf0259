//! Scripts: boot this, wait, or "I do not know you".

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use model::{DiskBoot, MacAddr};

const FIRST_LINE: &str = "#!ipxe\n";

/// Why a script cannot be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScriptError {
    /// Not `http://` and a literal address: a name would need a resolver, and a foreign router's may
    /// not answer (iPXE error 4c116035).
    NotLiteral(String),
    /// A character that would end the word or be expanded.
    BadCharacter(String),
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLiteral(url) => write!(f, "`{url}` is not http:// with a literal address"),
            Self::BadCharacter(url) => write!(f, "`{url}` holds a character a script cannot carry"),
        }
    }
}

impl core::error::Error for ScriptError {}

/// What to boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootScript<'a> {
    /// Shown on the console before anything is loaded; may be empty.
    pub title: &'a str,
    /// The kernel, or a UKI.
    pub kernel: &'a str,
    /// Kernel arguments.
    pub args: &'a str,
    /// Initramfs files in order.
    pub initrds: &'a [&'a str],
    /// An EFI program that a machine with UEFI boots instead, where the kernel is for a BIOS alone.
    pub efi: Option<&'a str>,
}

impl BootScript<'_> {
    /// The script. Each initramfs is named on the kernel's line as well, because a kernel started by
    /// UEFI finds it by name there; BIOS ignores that. Every image that is there
    /// already is freed first, above all a script that iPXE found by itself (`autoexec.ipxe`): it would be passed on
    /// as one more initramfs. None is named, because one that is not there would be complained about.
    ///
    /// # Errors
    /// [`ScriptError`] when a URL is not literal HTTP.
    pub fn text(&self) -> Result<String, ScriptError> {
        let mut script = String::from(FIRST_LINE);
        if !self.title.is_empty() {
            echo(&mut script, self.title);
        }
        script.push_str("imgfree ||\n");
        if self.efi.is_some() {
            script.push_str("iseq ${platform} efi && goto efi ||\n");
        }
        let _infallible = write!(script, "kernel {}", literal_url(self.kernel)?);
        for index in 0..self.initrds.len() {
            let _infallible = write!(script, " initrd=initrd{index}");
        }
        let args = words(self.args);
        if !args.is_empty() {
            let _infallible = write!(script, " {args}");
        }
        script.push('\n');
        for (index, url) in self.initrds.iter().enumerate() {
            let _infallible = writeln!(script, "initrd --name initrd{index} {}", literal_url(url)?);
        }
        script.push_str("boot\n");
        if let Some(efi) = self.efi {
            // A kernel that failed on a BIOS does not fall through to a program of UEFI.
            let _infallible = write!(script, "exit 1\n:efi\nkernel {}\nboot\n", literal_url(efi)?);
        }
        Ok(script)
    }
}

/// A script that says what is waited for, waits and asks again, for ever: a machine switched on before
/// a lab was chosen must not die at its prompt. `again` is asked every `seconds`.
///
/// # Errors
/// [`ScriptError`] when the URL is not literal HTTP.
pub fn waiting_script(lines: &[&str], seconds: u16, again: &str) -> Result<String, ScriptError> {
    let mut script = String::from(FIRST_LINE);
    for line in lines {
        echo(&mut script, line);
    }
    ask_again(&mut script, seconds, again)?;
    Ok(script)
}

/// A script for a machine that is not on the board: who it is, what to do, and ask again, so that
/// adding it to the lab file is enough.
///
/// # Errors
/// [`ScriptError`] when the URL is not literal HTTP.
pub fn unknown_machine_script(mac: MacAddr, seconds: u16, again: &str) -> Result<String, ScriptError> {
    let mut script = String::from(FIRST_LINE);
    let who = alloc::format!("This machine, {mac}, is not on the board.");
    echo(&mut script, &who);
    echo(&mut script, "To use it, add its address to the lab file; nothing was changed on it.");
    echo(&mut script, "To boot it from its own disk, leave the network boot in its firmware menu.");
    ask_again(&mut script, seconds, again)?;
    Ok(script)
}

/// A script that hands the machine to its own disk. Under UEFI iPXE ends with an error, because firmware whose boot
/// entry ends well stops there and shows its menu (UEFI specification 2.10, section 3.1.1). A BIOS's disk is started
/// from here; where that fails, iPXE ends and the BIOS goes on. It is the BIOS's first drive, unless iPXE came from a
/// medium of ours, whose script says another (`disk-drive`), and hears that the machine was sent to it (`disk-told`).
#[must_use]
pub fn disk_script(lines: &[&str], how: DiskBoot) -> String {
    let mut script = String::from(FIRST_LINE);
    for line in lines {
        echo(&mut script, line);
    }
    script.push_str("imgfree autoexec.ipxe ||\nset disk-told yes\n");
    script.push_str(match how {
        DiskBoot::Auto => {
            "iseq ${platform} efi && exit 1 ||\nisset ${disk-drive} || set disk-drive 0x80\n\
             sanboot --no-describe --drive ${disk-drive} ||\nexit 1\n"
        }
        DiskBoot::Exit => "exit 1\n",
        DiskBoot::Sanboot => {
            "isset ${disk-drive} || set disk-drive 0x80\n\
             sanboot --no-describe --drive ${disk-drive} ||\nexit 1\n"
        }
    });
    script
}

/// `--replace` keeps a night of waiting from nesting scripts until memory runs out; a failed request
/// (the boss restarts) leads back to the wait.
fn ask_again(script: &mut String, seconds: u16, again: &str) -> Result<(), ScriptError> {
    let url = literal_url(again)?;
    let seconds = seconds.max(1);
    let _infallible =
        write!(script, ":again\nsleep {seconds}\nchain --replace --autofree {url} || goto again\n");
    Ok(())
}

fn echo(script: &mut String, text: &str) {
    let _infallible = writeln!(script, "echo {}", words(text));
}

/// Text as words iPXE repeats and does not obey: one line of printable ASCII, no `${` it would expand,
/// no word it takes for an operator (`||`, `&&`, `;`) or a comment (`#`).
fn words(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|c| match c {
            ' '..='~' => c,
            c if c.is_whitespace() => ' ',
            _ => '?',
        })
        .collect();
    let plain = plain.replace("${", "$(");
    let kept: Vec<String> = plain.split(' ').filter(|word| !word.is_empty()).map(word).collect();
    kept.join(" ")
}

fn word(word: &str) -> String {
    match word {
        "||" | "&&" | ";" => String::from("_"),
        // A comment starts with its first character only.
        word => word.strip_prefix('#').map_or_else(|| String::from(word), |rest| alloc::format!("_{rest}")),
    }
}

/// Checks a URL: plain HTTP, a literal host, no character that means something to the script.
fn literal_url(url: &str) -> Result<&str, ScriptError> {
    let rest = url.strip_prefix("http://").ok_or_else(|| ScriptError::NotLiteral(String::from(url)))?;
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let six = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let bare = match six {
        Some(six) => six.parse::<Ipv6Addr>().is_ok(),
        None => host.parse::<Ipv4Addr>().is_ok(),
    };
    if !bare && host.parse::<SocketAddr>().is_err() {
        return Err(ScriptError::NotLiteral(String::from(url)));
    }
    if url.bytes().any(|b| !matches!(b, b'!'..=b'~')) || url.contains("${") {
        return Err(ScriptError::BadCharacter(String::from(url)));
    }
    Ok(url)
}
