//! The Debian package: a tree of files, the control files beside it, and `dpkg-deb`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Ready, SOURCES, failed, write};
use crate::Outcome;
use crate::cargo::root;
use crate::steps::output;

/// What is made or copied, and where it lies once it is installed.
const FILES: [(&str, &str); 7] = [
    ("forebay", "usr/bin/forebay"),
    ("forebay.service", "usr/lib/systemd/system/forebay.service"),
    ("forebay.1", "usr/share/man/man1/forebay.1"),
    ("forebay.bash", "usr/share/bash-completion/completions/forebay"),
    ("_forebay", "usr/share/zsh/vendor-completions/_forebay"),
    ("forebay.fish", "usr/share/fish/vendor_completions.d/forebay.fish"),
    ("THIRD-PARTY.txt", "usr/share/doc/forebay/THIRD-PARTY.txt"),
];
/// The same of what comes from the tree.
const FROM_TREE: [(&str, &str); 4] = [
    ("packaging/forebay.toml", "etc/forebay/forebay.toml"),
    ("packaging/sysusers.conf", "usr/lib/sysusers.d/forebay.conf"),
    ("packaging/copyright", "usr/share/doc/forebay/copyright"),
    ("CHANGELOG.md", "usr/share/doc/forebay/CHANGELOG.md"),
];
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];
/// The operator's own; never written over.
const CONFFILES: &str = "/etc/forebay/forebay.toml\n";

/// Builds `forebay_VERSION_ARCH.deb` beside the files that go into it; `packing` is an option of `dpkg-deb`.
pub(super) fn build(ready: &Ready, version: &str, packing: &str) -> Result<PathBuf, String> {
    let architecture = output(Command::new("dpkg").arg("--print-architecture"))
        .map_err(|error| format!("{error}\n\nhint: the package is made on Debian or Ubuntu"))?;
    let architecture = architecture.trim();
    let tree = ready.folder.join("tree");
    for (from, to) in FILES {
        place(&ready.folder.join(from), &tree, to)?;
    }
    for (from, to) in FROM_TREE {
        place(&root().join(from), &tree, to)?;
    }
    mode(&tree.join("usr/bin/forebay"), 0o755)?;
    let long = ["man/man1/forebay.1", "doc/forebay/THIRD-PARTY.txt", "doc/forebay/CHANGELOG.md"];
    for file in long {
        // Without a name and a time in it.
        let mut gzip = Command::new("gzip");
        output(gzip.args(["-9", "-n", "-f"]).arg(tree.join("usr/share").join(file)))?;
    }
    control(ready, &tree, version, architecture)?;
    // Whatever the umask of whoever builds.
    let folders = ["-type", "d", "-exec", "chmod", "755", "{}", "+"];
    output(Command::new("find").arg(&tree).args(folders))?;
    let deb = ready.folder.join(format!("forebay_{version}_{architecture}.deb"));
    let mut pack = Command::new("dpkg-deb");
    pack.env("SOURCE_DATE_EPOCH", &ready.seconds).args(["--root-owner-group", packing, "--build"]);
    output(pack.arg(&tree).arg(&deb))?;
    fs::remove_dir_all(&tree).map_err(failed("remove", &tree))?;
    Ok(deb)
}

fn control(ready: &Ready, tree: &Path, version: &str, architecture: &str) -> Outcome {
    let folder = tree.join("DEBIAN");
    fs::create_dir_all(&folder).map_err(failed("make", &folder))?;
    let libc = libc_of(&ready.folder.join("forebay"))?;
    let size =
        output(Command::new("du").args(["-s", "-k", "--apparent-size", "usr"]).current_dir(tree))?;
    let size = size.split_whitespace().next().unwrap_or("0");
    write(
        &folder.join("control"),
        &format!(
            "Package: forebay\nVersion: {version}\nArchitecture: {architecture}\n\
             Maintainer: The Forebay authors <forebay@localhost>\nInstalled-Size: {size}\n\
             Depends: libc6 (>= {libc}), libgcc-s1, systemd | systemd-standalone-sysusers\n\
             Recommends: ca-certificates\nSection: httpd\nPriority: optional\n\
             Description: delivery layer of a web application\n \
             TLS, routing, a shared cache, compression, balancing, failover and protection\n \
             before an application, in one program.\n"
        ),
    )?;
    write(&folder.join("conffiles"), CONFFILES)?;
    for script in SCRIPTS {
        place(&root().join(SOURCES).join(script), &folder, script)?;
        mode(&folder.join(script), 0o755)?;
    }
    let mut names: Vec<String> = files_below(tree)?;
    names.retain(|name| !name.starts_with("DEBIAN/") && !name.starts_with("etc/"));
    names.sort_unstable();
    write(&folder.join("md5sums"), &output(Command::new("md5sum").args(names).current_dir(tree))?)
}

/// The oldest C library that has all symbols which the binary needs.
fn libc_of(binary: &Path) -> Result<String, String> {
    let symbols = output(Command::new("objdump").arg("-T").arg(binary))?;
    newest_glibc(&symbols).ok_or_else(|| "the binary names no symbol of glibc".to_owned())
}

fn newest_glibc(symbols: &str) -> Option<String> {
    let versions = symbols.split("GLIBC_").skip(1).filter_map(|rest| {
        let text = rest.split([')', ' ', '\n']).next()?;
        let numbers: Option<Vec<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
        Some((numbers?, text.to_owned()))
    });
    versions.max().map(|(_, text)| text)
}

fn place(from: &Path, tree: &Path, to: &str) -> Outcome {
    let to = tree.join(to);
    let folder = to.parent().ok_or("a file without a folder")?;
    fs::create_dir_all(folder).map_err(failed("make", folder))?;
    fs::copy(from, &to).map_err(failed("copy", from))?;
    mode(&to, 0o644)
}

fn mode(path: &Path, mode: u32) -> Outcome {
    let mode = fs::Permissions::from_mode(mode);
    fs::set_permissions(path, mode).map_err(failed("set the mode of", path))
}

fn files_below(tree: &Path) -> Result<Vec<String>, String> {
    let mut find = Command::new("find");
    let said = output(find.args([".", "-type", "f", "-printf", "%P\\n"]).current_dir(tree))?;
    Ok(said.lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_symbol_decides() {
        let symbols = "0 DF *UND* 0 (GLIBC_2.2.5) read\n0 DF *UND* 0 (GLIBC_2.34) a\n\
                       0 DF *UND* 0  GLIBC_2.9   b\n0 DF *UND* (GLIBC_PRIVATE) c\n";
        assert_eq!(newest_glibc(symbols).as_deref(), Some("2.34"));
        assert_eq!(newest_glibc("nothing"), None);
    }
}
