//! Which module may import which: data goes one way, so imports do.

use std::fs;
use std::path::Path;

use crate::support;
use crate::support::imports::Library;

/// Each module and those of ours it may name, in the order of `lib.rs`.
const ALLOWED: &[(&str, &[&str])] = &[
    ("time", &[]),
    ("clock", &["time"]),
    ("host", &[]),
    ("app", &[]),
    ("verdict", &["app"]),
    ("wire", &[]),
    ("capture", &["wire", "host", "clock", "time"]),
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
            "capture", "flow", "classify", "dissect", "verdict", "app", "decode", "time",
        ],
    ),
    (
        "record",
        &[
            "capture",
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
        "score",
        &[
            "capture",
            "decode",
            "flow",
            "dissect",
            "classify",
            "signature",
            "record",
            "verdict",
            "app",
            "time",
        ],
    ),
    (
        "learn",
        &[
            "decode",
            "flow",
            "dissect",
            "classify",
            "signature",
            "record",
            "verdict",
            "app",
            "time",
        ],
    ),
    ("encode", &["record", "signature", "dissect", "app", "time"]),
    (
        "sink",
        &["encode", "record", "usage", "signature", "host", "time"],
    ),
    (
        "view",
        &[
            "capture",
            "encode",
            "learn",
            "score",
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
            "view",
            "verdict",
            "clock",
            "time",
        ],
    ),
    ("serve", &["view"]),
    ("tui", &["view"]),
    ("privilege", &[]),
    (
        "config",
        &[
            "time",
            "capture",
            "decode",
            "flow",
            "classify",
            "signature",
            "usage",
            "record",
            "sink",
            "view",
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
            "score",
            "learn",
            "record",
            "encode",
            "sink",
            "view",
            "pipeline",
            "clock",
            "time",
            "app",
            "verdict",
        ],
    ),
];

#[test]
fn imports_point_down() {
    let library = Library::read(&support::root().join("src"));
    let mut wrong = Vec::new();
    for import in library.imports() {
        let (Some(module), Some(named)) = (import.importer.first(), import.imported.first()) else {
            continue;
        };
        let row = ALLOWED.iter().find(|(name, _)| name == module);
        let allowed = row.map_or(&[][..], |&(_, allowed)| allowed);
        if named != module && !allowed.contains(&named.as_str()) {
            let (file, line) = (import.from.display(), import.line);
            wrong.push(format!("{file}:{line}: {module} names {named}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Also not by way of the file of their folder: that names those in it, in its table or to hand them on, so
/// what they share stands in a file of its own.
#[test]
fn files_import_one_another_in_no_circle() {
    let library = Library::read(&support::root().join("src"));
    let circles = library.circles();
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn imports_are_seen_in_whatever_way_they_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("lib.rs", "pub mod a;\npub mod b;\n");
    write(
        "a/mod.rs",
        "mod one;\nmod two;\npub use one::{One, Other as Another};\n",
    );
    write("a/one.rs", "use super::two::Two;\npub struct One;\n");
    write(
        "a/two.rs",
        "// use crate::b::X;\nuse crate::{a::{Another, one::*}, b};\n\n#[cfg(test)]\nmod tests {\n    use crate::c;\n}\n",
    );
    write("b.rs", "fn f() { super::a::One::new(); self::g() }\n");
    // The file of a folder holds a table of those in it, and what they are made of.
    write(
        "d/mod.rs",
        "mod row;\npub trait Row {}\nstatic ROWS: &[()] = &[row::ROW];\n",
    );
    write(
        "d/row.rs",
        "pub(in super::super) struct Seen;\nuse super::Row;\n\n#[cfg(test)]\n#[allow(unused)]\nmod tests {\n    use super::super::a;\n}\n",
    );
    let library = Library::read(folder.path());
    let said: Vec<String> = library
        .imports()
        .iter()
        .map(|import| {
            let (from, to) = (import.importer.join("::"), import.imported.join("::"));
            format!("{from}:{} {to}", import.line)
        })
        .collect();
    let expected = [
        "a:3 a::one",
        "a:3 a::one",
        "a::one:1 a::two",
        "a::two:2 a::one",
        "a::two:2 a::one",
        "a::two:2 b",
        "b:1 a::one",
        "d:3 d::row",
        "d::row:2 d",
    ];
    assert_eq!(said, expected);
    let circles = library.circles();
    let names = |circle: &Vec<&Path>| -> Vec<String> {
        let names = circle
            .iter()
            .map(|path| path.strip_prefix(folder.path()).unwrap());
        names.map(|path| path.display().to_string()).collect()
    };
    let circles: Vec<_> = circles.iter().map(names).collect();
    let expected: [&[&str]; 2] = [&["a/one.rs", "a/two.rs", "b.rs"], &["d/mod.rs", "d/row.rs"]];
    assert_eq!(circles, expected);
}

#[test]
fn every_module_of_the_library_has_its_row() {
    let library = fs::read_to_string(support::root().join("src/lib.rs")).unwrap();
    let declared: Vec<&str> = library
        .lines()
        .filter_map(|line| {
            let name = line.strip_prefix("pub mod ");
            let name = name.or_else(|| line.strip_prefix("pub(crate) mod "));
            name?.strip_suffix(';')
        })
        .collect();
    let rows: Vec<&str> = ALLOWED.iter().map(|&(module, _)| module).collect();
    assert_eq!(
        declared, rows,
        "lib.rs lists the modules in the way of a packet"
    );
}
