//! `labinator service`: the systemd unit of a boss, with the weights that keep boots going beside a busy program.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::cli::{Failure, ServiceVerb, out};

/// Where a unit of this machine belongs.
pub const UNIT: &str = "/etc/systemd/system/labinator.service";

/// Prints the unit, or writes it to its place.
///
/// # Errors
/// The unit is there already and another, or cannot be written.
pub fn run(verb: ServiceVerb) -> Result<(), Failure> {
    let program = std::env::current_exe().map_err(|why| Failure::failed(why.to_string()))?;
    match verb {
        ServiceVerb::Print { lab } => out::print(&unit(&program, &lab)?),
        ServiceVerb::Install { lab, to, force } => {
            let lab = fs::canonicalize(&lab).map_err(|why| {
                Failure::with_advice(format!("{}: {why}", lab.display()), "write one with `labinator init`")
            })?;
            let to = to.unwrap_or_else(|| PathBuf::from(UNIT));
            install(&to, &unit(&program, &lab)?, force)?;
            out::line(&format!(
                "wrote {}\nthen: systemctl daemon-reload && systemctl enable --now labinator",
                to.display()
            ))
        }
    }
}

/// The text of the unit.
fn unit(program: &Path, lab: &Path) -> Result<String, Failure> {
    let word = |path: &Path| -> Result<String, Failure> {
        let text = path.to_str().ok_or_else(|| Failure::failed(format!("{} is no text", path.display())))?;
        let absolute = if path.is_absolute() { text.to_owned() } else { format!("/etc/labinator/{text}") };
        // systemd.service(5), command lines: what is in quotes is one word, `%` and `$` are doubled.
        let escaped =
            absolute.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
        Ok(format!("\"{escaped}\""))
    };
    let (program, lab) = (word(program)?, word(lab)?);
    Ok(format!(
        "# Written by `labinator service`. Why each number stands here: docs/operating/service.md\n\
         [Unit]\n\
         Description=Labinator: boots and runs the lab\n\
         After=network.target\n\
         \n\
         [Service]\n\
         ExecStart={program} serve --lab {lab}\n\
         StateDirectory=labinator\n\
         Restart=always\n\
         RestartSec=1\n\
         # Ten times the share of any other service when the processor or the disk is short.\n\
         CPUWeight=1000\n\
         IOWeight=1000\n\
         Nice=-5\n\
         # The last to go when memory runs out; virtual machines of the lab go first.\n\
         OOMScoreAdjust=-500\n\
         LimitNOFILE=65536\n\
         # Virtual machines outlive the controller and are found again.\n\
         KillMode=process\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n"
    ))
}

fn install(to: &Path, unit: &str, force: bool) -> Result<(), Failure> {
    let fault = |why: std::io::Error| match why.kind() {
        std::io::ErrorKind::PermissionDenied => Failure::with_advice(
            format!("{}: {why}", to.display()),
            "run it as root, or `labinator service print`",
        ),
        _ => Failure::failed(format!("{}: {why}", to.display())),
    };
    match fs::read_to_string(to) {
        Ok(there) if there == unit => return Ok(()),
        Ok(_) if !force => {
            let why = format!("{} is there already, and another", to.display());
            return Err(Failure::with_advice(why, "compare it with `labinator service print`, or --force"));
        }
        _ => {}
    }
    let fresh = to.with_extension("service.new");
    let mut file = fs::File::create(&fresh).map_err(fault)?;
    file.write_all(unit.as_bytes()).and_then(|()| file.sync_all()).map_err(fault)?;
    fs::rename(&fresh, to).map_err(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_quotes_what_systemd_would_read_otherwise() {
        let text = unit(Path::new("/usr/bin/labinator"), Path::new("/srv/my lab/100%.yaml")).unwrap();
        assert!(
            text.contains("ExecStart=\"/usr/bin/labinator\" serve --lab \"/srv/my lab/100%%.yaml\"\n"),
            "{text}"
        );
        for line in ["CPUWeight=1000", "IOWeight=1000", "Nice=-5", "OOMScoreAdjust=-500"] {
            assert!(text.lines().any(|this| this == line), "{line}");
        }
        assert!(
            text.lines().all(|line| line.is_empty() || line.starts_with(['#', '[']) || line.contains('='))
        );
    }
}
