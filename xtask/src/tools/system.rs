//! What comes from the operating system: the browser and its driver, through apt where they may.

use super::Found;
use crate::failure::{Failure, Outcome};
use crate::{paths, run, ui};
use std::path::PathBuf;
use std::sync::OnceLock;

const MAC_CHROME: &str = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome";

fn find(variable: &str, names: &[&str]) -> Option<Found> {
    let set = std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_file());
    let path = set.or_else(|| names.iter().find_map(|name| run::which(name)))?;
    Some(Found {
        note: path.display().to_string(),
        path,
    })
}

pub(crate) fn find_chromium() -> Option<Found> {
    let names = [
        "chromium",
        "chromium-browser",
        "google-chrome",
        "google-chrome-stable",
    ];
    let mac = || Some(PathBuf::from(MAC_CHROME)).filter(|path| path.is_file());
    find("CHROMIUM", &names).or_else(|| {
        mac().map(|path| Found {
            note: MAC_CHROME.to_owned(),
            path,
        })
    })
}

pub(crate) fn find_chromedriver() -> Option<Found> {
    find("CHROMEDRIVER", &["chromedriver"])
}

pub(crate) fn install_chromium() -> Outcome<()> {
    apt_install(&["chromium"]).map_err(|failure| {
        or_else(
            failure,
            "install Chromium or Chrome, or set CHROMIUM to its path",
        )
    })
}

pub(crate) fn install_chromedriver() -> Outcome<()> {
    apt_install(&["chromium-driver"]).map_err(|failure| {
        or_else(
            failure,
            "install the chromedriver of your browser's version, or set CHROMEDRIVER",
        )
    })
}

fn or_else(failure: Failure, remedy: &str) -> Failure {
    if failure.remedy.is_some() {
        failure
    } else {
        failure.with_remedy(remedy)
    }
}

/// How apt-get may be called here: as it is for root, through a password-less sudo, or not at all.
fn apt() -> Option<Vec<&'static str>> {
    let root = run::capture(run::program("id", &paths::root()).arg("-u"))? == "0";
    if root {
        return Some(vec!["apt-get"]);
    }
    run::which("sudo")?;
    run::capture(run::program("sudo", &paths::root()).args(["-n", "true"]))?;
    Some(vec!["sudo", "-n", "apt-get"])
}

/// Installs Debian packages.
pub(crate) fn apt_install(packages: &[&str]) -> Outcome<()> {
    let typed = format!("sudo apt-get install -y {}", packages.join(" "));
    if run::which("apt-get").is_none() {
        return Err(Failure::new(format!(
            "no apt-get here to install {}",
            packages.join(", ")
        )));
    }
    let Some(apt) = apt() else {
        let what = "installing system packages needs root or a sudo without password";
        return Err(Failure::new(what).with_remedy(typed));
    };
    let call = |args: &[&str]| {
        let mut command = run::program(apt[0], &paths::root());
        command
            .args(&apt[1..])
            .args(args)
            .env("DEBIAN_FRONTEND", "noninteractive");
        run::show(&mut command)
    };
    // Fresh images come without package lists; once a run is enough.
    static UPDATED: OnceLock<()> = OnceLock::new();
    UPDATED.get_or_init(|| {
        if let Err(failure) = call(&["update", "-qq"]) {
            ui::remark(&format!("{failure}; trying with the lists that are there"));
        }
    });
    let mut install = vec!["install", "-y", "-qq", "--no-install-recommends"];
    install.extend(packages);
    call(&install).map_err(|failure| failure.with_remedy(typed))
}
