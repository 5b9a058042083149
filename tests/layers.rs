//! Which module may import which: data goes one way, so imports do.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support;

/// Each module and those of ours it may name, in the order of `lib.rs`.
const ALLOWED: &[(&str, &[&str])] = &[
    ("time", &[]),
    ("app", &[]),
    ("verdict", &["app"]),
    ("capture", &["time"]),
    ("wire", &[]),
    ("decode", &["wire", "capture", "time"]),
    ("flow", &["decode", "time"]),
    ("dissect", &["flow", "wire", "app"]),
    ("signature", &["app", "verdict", "dissect", "flow"]),
    (
        "classify",
        &[
            "flow",
            "dissect",
            "signature",
            "verdict",
            "app",
            "decode",
            "time",
        ],
    ),
    (
        "usage",
        &[
            "flow", "classify", "dissect", "verdict", "app", "decode", "time",
        ],
    ),
    (
        "record",
        &[
            "usage",
            "classify",
            "dissect",
            "signature",
            "flow",
            "decode",
            "verdict",
            "app",
            "time",
        ],
    ),
    ("encode", &["record", "signature", "dissect", "app", "time"]),
    ("sink", &["encode", "time"]),
    (
        "export",
        &[
            "sink",
            "encode",
            "record",
            "usage",
            "classify",
            "dissect",
            "signature",
            "flow",
            "decode",
            "verdict",
            "app",
            "time",
        ],
    ),
    (
        "pipeline",
        &[
            "capture",
            "decode",
            "flow",
            "dissect",
            "classify",
            "signature",
            "usage",
            "record",
            "encode",
            "sink",
            "export",
            "verdict",
            "time",
        ],
    ),
    (
        "serve",
        &[
            "export",
            "usage",
            "classify",
            "signature",
            "flow",
            "decode",
            "verdict",
            "app",
            "time",
        ],
    ),
    (
        "tui",
        &[
            "export",
            "usage",
            "record",
            "classify",
            "signature",
            "dissect",
            "flow",
            "decode",
            "verdict",
            "app",
            "time",
        ],
    ),
    ("privilege", &[]),
    (
        "config",
        &[
            "capture",
            "decode",
            "flow",
            "classify",
            "signature",
            "usage",
            "record",
            "sink",
            "export",
            "pipeline",
            "serve",
        ],
    ),
    (
        "cli",
        &[
            "serve",
            "tui",
            "privilege",
            "config",
            "capture",
            "decode",
            "flow",
            "dissect",
            "classify",
            "signature",
            "usage",
            "record",
            "encode",
            "sink",
            "export",
            "pipeline",
            "time",
            "app",
            "verdict",
        ],
    ),
];

#[test]
fn imports_point_down() {
    let mut wrong = Vec::new();
    for &(module, allowed) in ALLOWED {
        for file in files_of(module) {
            let text = fs::read_to_string(&file).unwrap();
            for (number, line) in (1..).zip(text.lines()) {
                let code = line.split("//").next().unwrap_or_default();
                for named in code.split("crate::").skip(1) {
                    let name: String = named
                        .chars()
                        .take_while(|c| c.is_alphanumeric() || *c == '_')
                        .collect();
                    let known = ALLOWED.iter().any(|&(module, _)| module == name);
                    if known && name != module && !allowed.contains(&name.as_str()) {
                        wrong.push(format!(
                            "{}:{number}: {module} names {name}",
                            file.display()
                        ));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_of_the_library_has_its_row() {
    let library = fs::read_to_string(support::root().join("src/lib.rs")).unwrap();
    let declared: Vec<&str> = library
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    let rows: Vec<&str> = ALLOWED.iter().map(|&(module, _)| module).collect();
    assert_eq!(
        declared, rows,
        "lib.rs lists the modules in the way of a packet"
    );
}

fn files_of(module: &str) -> Vec<PathBuf> {
    let source = support::root().join("src");
    let single = source.join(format!("{module}.rs"));
    if single.exists() {
        return vec![single];
    }
    let mut files = Vec::new();
    walk(&source.join(module), &mut files);
    assert!(!files.is_empty(), "src has no module {module}");
    files
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
