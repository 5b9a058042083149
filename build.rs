//! Packs `signatures/*/*.toml` for optimised builds: `src/signature/builtin.rs` includes the result,
//! `src/signature/packed` reads it. A development build reads the folder when it runs, so that a
//! changed file makes no new build, unless [`EMBED`] is set.

#[path = "src/signature/packed/tag.rs"]
mod tag;
#[path = "src/signature/packed/write.rs"]
mod write;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// In the environment: a development build is to have the files in it too. Tests start it thousands of
/// times, and reading the folder takes each start a tenth of a second.
const EMBED: &str = "OTTOMETER_EMBED_SIGNATURES";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/signature/packed");
    println!("cargo::rustc-check-cfg=cfg(embedded_signatures)");
    println!("cargo::rerun-if-env-changed={EMBED}");
    if env::var("PROFILE")? != "release" && env::var_os(EMBED).is_none() {
        return Ok(());
    }
    println!("cargo::rustc-cfg=embedded_signatures");
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let signatures = root.join("signatures");
    println!("cargo::rerun-if-changed={}", signatures.display());
    let mut files = Vec::new();
    for folder in sorted(&signatures)? {
        for file in sorted(&folder)? {
            let is_toml = file.extension().is_some_and(|ending| ending == "toml");
            if is_toml {
                let path = file.strip_prefix(&root)?.display().to_string();
                files.push((path.replace('\\', "/"), fs::read_to_string(&file)?));
            }
        }
    }
    let packed = write::pack(&files)?;
    fs::write(
        Path::new(&env::var("OUT_DIR")?).join("signatures.packed"),
        packed,
    )?;
    Ok(())
}

/// What a folder holds, in order of name: nothing if it is a file or does not exist.
fn sorted(dir: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir)? {
        paths.push(entry?.path());
    }
    paths.sort();
    Ok(paths)
}
