//! Sets that follow one another: numbers keep their names, nothing grows, bad sets change nothing.
#![allow(clippy::indexing_slicing)]

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::app::{AppId, Proto};
use crate::verdict::RuleId;

fn app(slug: &str, id: u32, rules: &str) -> SourceFile {
    SourceFile::new(
        format!("signatures/chat/{slug}.toml"),
        format!(
            "[app]\nid = {id}\nname = '{slug}'\ntitle = '{slug}'\ncategory = 'chat'\nowner = 'x'\n{rules}"
        ),
    )
}

fn protocol(slug: &str, rules: &str) -> SourceFile {
    SourceFile::new(
        format!("signatures/protocol/{slug}.toml"),
        format!("[protocol]\nname = '{slug}'\ntitle = '{slug}'\n{rules}"),
    )
}

fn domains(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("'{name}'")).collect();
    format!("[[domain]]\nsuffix = [{}]\n", names.join(", "))
}

fn first(files: &[SourceFile]) -> SignatureSet {
    SignatureSet::compile(files).unwrap_or_else(|found| panic!("{found:?}"))
}

fn after(previous: &SignatureSet, files: &[SourceFile]) -> SignatureSet {
    SignatureSet::compile_after(previous, files).unwrap_or_else(|found| panic!("{found:?}"))
}

fn refused(previous: &SignatureSet, files: &[SourceFile]) -> String {
    let found = SignatureSet::compile_after(previous, files)
        .map(|_| ())
        .unwrap_err();
    found
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Every number a set gives a name to, with the name.
fn numbers(set: &SignatureSet) -> HashMap<(&'static str, u32), String> {
    let catalog = set.catalog();
    let mut numbers = HashMap::new();
    for number in 0..u16::MAX {
        let Some(app) = catalog.app(AppId(number)) else {
            break;
        };
        let text = format!("{} {}", app.id, app.name);
        numbers.insert(("app", u32::from(number)), text);
    }
    for (number, place) in (0..).zip(0..catalog.protocol_count()) {
        let name = catalog.protocol_name(Proto(number)).to_owned();
        assert!(!name.is_empty(), "protocol {place}");
        numbers.insert(("protocol", u32::from(number)), name);
    }
    for number in 0.. {
        let name = set.rule_name(RuleId(number));
        if name.is_empty() {
            break;
        }
        numbers.insert(("rule", number), name.to_owned());
    }
    numbers
}

fn tag_of(set: &SignatureSet, name: &str) -> (u32, u16, String) {
    let tag = set
        .by_name(name)
        .unwrap_or_else(|| panic!("no rule for {name}"));
    let app = tag.app.unwrap();
    (tag.rule.0, app.0, set.rule_name(tag.rule).to_owned())
}

#[test]
fn the_same_files_give_the_same_numbers() {
    let files = builtin_files();
    let old = first(&files);
    let new = after(&old, &files);
    assert_eq!(numbers(&old), numbers(&new));
    assert_eq!(old.rule_count(), new.rule_count());
    assert_eq!(old.hash(), new.hash());
    for rule in (0..).map(RuleId).take(old.rule_count()) {
        assert_eq!(old.rule_tag(rule), new.rule_tag(rule));
        assert_eq!(old.rule_weight(rule), new.rule_weight(rule));
        assert_eq!(old.rule_source(rule), new.rule_source(rule));
    }
}

#[test]
fn names_that_go_stay_known_and_never_match() {
    let acme = app(
        "acme",
        1,
        "[[domain]]\nsuffix = ['acme.test']\nsource = 'seen'\n\
         [[address]]\nprefix = ['203.0.113.0/24']\n\
         [[port]]\ntransport = 'udp'\nport = [7000]\nproto = 'acme-media'\n",
    );
    let other = app("other", 2, &domains(&["other.test"]));
    let old = first(&[acme, other.clone()]);
    let tag = old.by_name("a.acme.test").unwrap();
    let media = old.catalog().protocol_named("acme-media").unwrap();

    let new = after(&old, std::slice::from_ref(&other));
    assert_eq!(new.by_name("a.acme.test"), None);
    assert_eq!(new.by_address("203.0.113.7".parse().unwrap()), None);
    assert_eq!(new.by_port(crate::flow::Transport::Udp, 7000), None);
    let catalog = new.catalog();
    assert_eq!(catalog.app_name(tag.app.unwrap()), "acme");
    assert_eq!(catalog.app(tag.app.unwrap()).map(|app| app.id), Some(1));
    assert_eq!(catalog.protocol_name(media), "acme-media");
    assert_eq!(new.rule_name(tag.rule), "acme/domain:acme.test");
    assert_eq!(new.rule_weight(tag.rule), old.rule_weight(tag.rule));
    assert_eq!(new.rule_source(tag.rule), "seen");
    assert!(new.is_retired(&tag) && !old.is_retired(&tag));
    // Neither listed nor counted.
    assert_eq!((new.rule_count(), catalog.app_count()), (1, 1));
    assert_eq!(
        catalog.apps().next().map(|(_, app)| &*app.name),
        Some("other")
    );
    assert_eq!(super::super::show(&new, "acme"), []);
    assert_eq!(tag_of(&old, "other.test"), tag_of(&new, "other.test"));
}

#[test]
fn new_names_get_new_numbers_wherever_they_stand() {
    let old = first(&[app("b", 2, &domains(&["b.test"]))]);
    let new = after(
        &old,
        &[
            app("a", 1, &domains(&["a.test"])),
            app("b", 2, &domains(&["new.b.test", "b.test"])),
            protocol("bacnet", ""),
        ],
    );
    assert_eq!(tag_of(&old, "b.test"), tag_of(&new, "b.test"));
    let (rule, number, _) = tag_of(&new, "a.test");
    assert_eq!((rule, number), (1, 1));
    assert_eq!(tag_of(&new, "new.b.test").2, "b/domain:new.b.test");
    // And back again.
    let back = after(&after(&new, &[]), &[app("b", 2, &domains(&["b.test"]))]);
    assert_eq!(tag_of(&old, "b.test"), tag_of(&back, "b.test"));
    assert_eq!(back.rule_count(), 1);
}

#[test]
fn a_renamed_application_is_a_new_one() {
    let old = first(&[app("old-name", 1, &domains(&["x.test"]))]);
    let new = after(&old, &[app("new-name", 1, &domains(&["x.test"]))]);
    let (before, now) = (tag_of(&old, "x.test"), tag_of(&new, "x.test"));
    assert_ne!((before.0, before.1), (now.0, now.1));
    assert_eq!(new.catalog().app_name(AppId(before.1)), "old-name");
    assert_eq!(new.catalog().app_name(AppId(now.1)), "new-name");
    assert_eq!(new.rule_name(RuleId(before.0)), "old-name/domain:x.test");
}

#[test]
fn an_application_becomes_a_protocol() {
    let old = first(&[app("acme", 1, &domains(&["x.test"]))]);
    let new = after(&old, &[protocol("acme", &domains(&["x.test"]))]);
    let tag = new.by_name("x.test").unwrap();
    assert_eq!(tag.app, None);
    assert_eq!(new.catalog().protocol_name(tag.proto.unwrap()), "acme");
    assert_eq!(new.catalog().app_name(AppId(0)), "acme");
    assert_eq!(new.catalog().app_count(), 0);
}

#[test]
fn a_stable_number_never_changes() {
    let old = first(&[app("acme", 1, ""), app("other", 2, "")]);
    let gone = after(&old, &[app("other", 2, "")]);
    for previous in [&old, &gone] {
        let text = refused(previous, &[app("acme", 3, "")]);
        assert_eq!(
            text,
            "signatures/chat/acme.toml:2:6: `acme` had the id 1 when it was loaded before: \
             ids never change, expected 1 or another name"
        );
    }
    after(&gone, &[app("acme", 1, "")]);
}

#[test]
fn no_numbers_are_left() {
    let mut old = SignatureSet::default();
    for number in 0..u16::MAX {
        let added = old.catalog.add_app(crate::app::App {
            id: u32::from(number),
            name: format!("a{number}").into(),
            title: "".into(),
            category: "".into(),
            owner: "".into(),
        });
        assert!(added.is_ok());
    }
    while old
        .catalog
        .intern_protocol(&format!("p{}", old.catalog.protocol_count()))
        .is_some()
    {}
    let text = refused(&old, &[app("one-more", 70_000, "")]);
    assert!(
        text.contains("chat/one-more.toml:3:8: there have been 65,535 applications"),
        "{text}"
    );
    let text = refused(&old, &[protocol("one-more", "")]);
    assert!(
        text.contains("one-more.toml: there have been 65,535 protocols"),
        "{text}"
    );
    after(
        &old,
        &[app(
            "a7",
            7,
            "[[port]]\ntransport = 'udp'\nport = [7]\nproto = 'p900'\n",
        )],
    );
}

/// Rules may share a name: those of one table with a `name`, and those named by a first key.
#[test]
fn rules_of_one_name_keep_their_numbers_apart() {
    let rules = "[[domain]]\nname = 'hosts'\nsuffix = ['a.test', 'b.test', 'c.test']\n";
    let old = first(&[app("acme", 1, rules)]);
    let place = |set: &SignatureSet, name: &str| tag_of(set, name).0;
    assert_eq!(
        ["a.test", "b.test", "c.test"].map(|name| place(&old, name)),
        [0, 1, 2]
    );
    let rules = "[[domain]]\nname = 'hosts'\nsuffix = ['c.test', 'd.test']\n";
    let new = after(&old, &[app("acme", 1, rules)]);
    assert_eq!(["c.test", "d.test"].map(|name| place(&new, name)), [0, 1]);
    assert_eq!(new.rule_name(RuleId(2)), "acme/domain:hosts");
    assert_eq!(new.rule_count(), 2);
    let rules = "[[domain]]\nname = 'hosts'\nsuffix = ['a.test', 'b.test', 'c.test', 'd.test']\n";
    let back = after(&new, &[app("acme", 1, rules)]);
    let numbers = ["a.test", "b.test", "c.test", "d.test"].map(|name| place(&back, name));
    assert_eq!(numbers, [0, 1, 2, 3]);
}

#[test]
fn a_thousand_reloads_take_no_memory() {
    let one = [
        app("acme", 1, &domains(&["a.test", "b.test"])),
        protocol("bacnet", ""),
    ];
    let other = [
        app("acme", 1, &domains(&["b.test", "c.test"])),
        app(
            "other",
            2,
            "[[tls]]\nalpn = ['x/1']\nproto = 'x'\nsource = 'its documents'\n",
        ),
    ];
    let mut set = after(&first(&one), &other);
    set = after(&set, &one);
    let sizes = |set: &SignatureSet| (numbers(set), set.memory());
    let odd = sizes(&after(&set, &other));
    let even = sizes(&set);
    for round in 0..1000 {
        set = after(&set, if round % 2 == 0 { &other } else { &one });
        if round % 100 > 97 {
            assert_eq!(
                sizes(&set),
                if round % 2 == 0 {
                    odd.clone()
                } else {
                    even.clone()
                }
            );
        }
    }
}

proptest! {
    /// Whatever sets follow one another, a number never gets another name.
    #[test]
    fn numbers_keep_their_names(
        sets in proptest::collection::vec(
            proptest::collection::vec(
                (0usize..8, any::<bool>(), proptest::collection::vec((0usize..6, any::<bool>()), 0..6)),
                0..6,
            ),
            1..12,
        ),
    ) {
        let mut set = SignatureSet::default();
        let mut known = numbers(&set);
        for files in sets {
            let mut texts = HashMap::new();
            for (slug, is_app, rules) in files {
                // Rules of one file share names now and then.
                let rules: String = rules
                    .iter()
                    .map(|&(rule, is_named)| {
                        let name = if is_named { "name = 'n'\n" } else { "" };
                        let host = format!("r{rule}.s{slug}.test");
                        format!("[[domain]]\n{name}suffix = ['{host}']\n[[port]]\ntransport = 'udp'\nport = [{}]\nproto = 'p{rule}'\n", 1000 + slug * 10 + rule)
                    })
                    .collect();
                let name = format!("s{slug}");
                let id = u32::try_from(slug).unwrap() + 1;
                texts.insert(slug, if is_app { app(&name, id, &rules) } else { protocol(&name, &rules) });
            }
            let files: Vec<_> = texts.into_values().collect();
            set = after(&set, &files);
            let now = numbers(&set);
            for (number, name) in &known {
                prop_assert_eq!(now.get(number), Some(name), "{:?}", number);
            }
            // What a fresh start would list is what is listed.
            let fresh = first(&files);
            prop_assert_eq!(fresh.rule_count(), set.rule_count());
            let names = |set: &SignatureSet| {
                let mut names: Vec<_> = set.rules.iter().map(|rule| {
                    (set.rule_name(rule.tag.rule).to_owned(), rule.weight, rule.tag.evidence)
                }).collect();
                names.sort();
                names
            };
            prop_assert_eq!(names(&fresh), names(&set));
            for slug in 0..8 {
                for rule in 0..6 {
                    let host = format!("r{rule}.s{slug}.test");
                    let name = |set: &SignatureSet| {
                        set.by_name(&host).map(|tag| {
                            let app = tag.app.map(|app| set.catalog().app_name(app).to_owned());
                            (set.rule_name(tag.rule).to_owned(), app)
                        })
                    };
                    prop_assert_eq!(name(&fresh), name(&set));
                }
            }
            known = now;
        }
    }
}

fn write(dir: &Path, file: &SourceFile) {
    let path = dir
        .join(file.folder())
        .join(format!("{}.toml", file.stem()));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, &*file.text).unwrap();
}

#[test]
fn a_folder_is_loaded_again_when_it_has_changed() {
    let dir = tempfile::tempdir().unwrap();
    let loader = Loader {
        dir: Some(dir.path().to_owned()),
        replace: true,
    };
    let text = |found: Vec<Diagnostic>| found.iter().map(ToString::to_string).collect::<String>();
    let empty = text(loader.load_first().unwrap_err());
    assert!(empty.ends_with("there are none"), "{empty}");

    write(dir.path(), &app("acme", 1, &domains(&["a.test"])));
    let old = loader.load_first().unwrap();
    assert!(
        Arc::ptr_eq(&old, &loader.load_after(&old).unwrap()),
        "nothing has changed"
    );

    write(dir.path(), &app("other", 2, &domains(&["b.test"])));
    let new = loader.load_after(&old).unwrap();
    assert!(!Arc::ptr_eq(&old, &new) && old.hash() != new.hash());
    assert_eq!(tag_of(&old, "a.test"), tag_of(&new, "a.test"));

    // What the compiler finds, what `signatures check` finds, and what cannot be read.
    for (file, expected) in [
        (
            app("bad", 3, "[[domain]]\nsuffix = ['*.x']\n"),
            "bad.toml:8:",
        ),
        (app("bad", 3, &domains(&["a.test"])), "is claimed by"),
        (app("bad", 2, ""), "2 is the id of `bad` already"),
        (app("bad", 3, "[[payload"), "bad.toml:7:"),
    ] {
        write(dir.path(), &file);
        let found = text(loader.load_after(&new).unwrap_err());
        assert!(found.contains(expected), "{found}");
        assert!(!found.contains("warning"), "{found}");
        // It makes no difference whether it stands there from the beginning.
        assert!(loader.load_first().is_err());
    }
    // Warnings refuse nothing: a payload rule without tests.
    let untested = "[[payload]]\nname = 'x'\ntransport = 'tcp'\nsource = 'x'\nat = [{ offset = 0, text = 'ACME-HELLO' }]\n";
    write(dir.path(), &app("bad", 3, untested));
    assert!(loader.load_after(&new).is_ok());
    fs::remove_dir_all(dir.path()).unwrap();
    let found = text(loader.load_after(&new).unwrap_err());
    assert!(found.contains("cannot be read"), "{found}");
}

#[test]
fn a_folder_adds_to_the_built_in_files() {
    let none = Loader::default();
    let built_in = none.load_first().unwrap();
    assert!(Arc::ptr_eq(&built_in, &none.load_after(&built_in).unwrap()));
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        &app(
            "acme-of-a-test",
            4_000_000_000,
            &domains(&["acme-of-a.test"]),
        ),
    );
    let both = Loader {
        dir: Some(dir.path().to_owned()),
        replace: false,
    };
    let set = both.load_after(&built_in).unwrap();
    assert_eq!(
        set.catalog().app_count(),
        built_in.catalog().app_count() + 1
    );
    assert_eq!(set.rule_count(), built_in.rule_count() + 1);
}
