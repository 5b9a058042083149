//! Fuzz targets are complete: one for each layer that reads bytes, and one for each dissector.

use std::fs;
use std::path::Path;

use ottometer::dissect::DISSECTORS;

#[test]
fn every_dissector_has_a_fuzz_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    // A published package comes without.
    let Ok(manifest) = fs::read_to_string(folder.join("Cargo.toml")) else {
        return;
    };
    for row in DISSECTORS {
        let target = format!("dissect_{}", row.name);
        let entry = format!("[[bin]]\nname = \"{target}\"\npath = \"fuzz_targets/{target}.rs\"\n");
        assert!(manifest.contains(&entry), "fuzz/Cargo.toml lacks:\n{entry}");
        let source = fs::read_to_string(folder.join(format!("fuzz_targets/{target}.rs"))).unwrap();
        let call = format!("fuzz_dissector!(\"{}\");", row.name);
        assert!(source.contains(&call), "{target}.rs lacks {call}");
    }
    let dissectors = manifest.matches("name = \"dissect_").count();
    assert_eq!(dissectors, DISSECTORS.len(), "a target without a dissector");
}
