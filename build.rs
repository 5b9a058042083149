//! Embeds `signatures/*/*.toml`: writes the list of their paths and texts that
//! `src/signature/source.rs` includes.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let signatures = root.join("signatures");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", signatures.display());

    let mut list = String::from("static BUILTIN: &[(&str, &str)] = &[\n");
    for folder in sorted(&signatures)? {
        for file in sorted(&folder)? {
            if file
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                let shown = file
                    .strip_prefix(&root)?
                    .display()
                    .to_string()
                    .replace('\\', "/");
                writeln!(
                    list,
                    "    ({shown:?}, include_str!({:?})),",
                    file.display().to_string()
                )?;
            }
        }
    }
    list.push_str("];\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("signatures.rs"), list)?;
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
