//! The commented file, the schema and what is said of bad settings.

use super::file::TABLES;
use super::*;
use crate::flow;
use crate::sink::file::Compression;

/// With `UPDATE_SCHEMA` set, writes the file that is else compared.
fn kept(name: &str, current: &str) {
    let path = format!("{}/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, current).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(
        kept == current,
        "{name} is not current: run the tests with UPDATE_SCHEMA=1"
    );
}

#[test]
fn the_commented_file_is_current() {
    kept("ottometer.toml", &template());
}

#[test]
fn the_schema_is_current() {
    let text = serde_json::to_string_pretty(&schema()).unwrap();
    kept("deploy/ottometer.schema.json", &format!("{text}\n"));
}

/// The table of the manual: how records are written, and where to.
#[cfg(feature = "parquet")]
fn encodings() -> String {
    use crate::encode::ENCODERS;
    use crate::sink::SINKS;
    use crate::sink::way::Named;

    let mut text =
        "| records are | in files | on standard output | sent | usual ports |\n".to_owned();
    text.push_str("| --- | --- | --- | --- | --- |\n");
    let list = |all: Vec<String>| all.join(", ");
    for (place, row) in ENCODERS.iter().enumerate() {
        let mut endings: Vec<_> = row.endings.iter().map(|one| format!("`.{one}`")).collect();
        let mut dash = vec![format!("`{}:-`", row.scheme)];
        if place == 0 {
            endings.push("no ending".to_owned());
            dash.insert(0, "`-`".to_owned());
        }
        let urls = SINKS.iter().filter_map(|way| match way.named {
            Named::Url { scheme, form } => Some(format!("`{}+{scheme}://{form}`", row.scheme)),
            Named::Dash | Named::File => None,
        });
        let ports = row
            .ports
            .iter()
            .map(|(over, port)| format!("{over} {port}"));
        let (dash, urls) = match row.framing.is_stream() {
            true => (list(dash), list(urls.collect())),
            false => Default::default(),
        };
        let (about, endings, ports) = (row.about, list(endings), list(ports.collect()));
        text.push_str(&format!(
            "| {about} | {endings} | {dash} | {urls} | {ports} |\n"
        ));
    }
    text
}

#[cfg(feature = "parquet")]
#[test]
fn the_manual_has_every_encoding_and_sink() {
    let name = "docs/records.md";
    let mut text =
        std::fs::read_to_string(format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let begin = "<!-- encodings -->\n";
    let start = text.find(begin).unwrap() + begin.len();
    let end = start + text[start..].find("<!-- end -->").unwrap();
    text.replace_range(start..end, &encodings());
    kept(name, &text);
    let of_encodings = crate::encode::ENCODERS.iter();
    let of_encodings = of_encodings.flat_map(|row| row.settings.iter().map(|one| one.name));
    let of_sinks = crate::sink::SINKS.iter().flat_map(|way| way.settings);
    for setting in of_encodings.chain(of_sinks.copied()) {
        let is_told = |line: &str| line.starts_with('|') && line.contains(&format!("`{setting}`"));
        assert!(text.lines().any(is_told), "{setting} is not in {name}");
    }
}

/// `--help` lists what the tables have.
#[test]
fn the_help_has_every_encoding_and_sink() {
    let places = crate::sink::places();
    for row in crate::encode::ENCODERS {
        for ending in row.endings {
            assert!(places.contains(&format!(".{ending}")), "{places}");
        }
        let dash = format!("`{}:-`", row.scheme);
        assert_eq!(places.contains(&dash), row.framing.is_stream(), "{places}");
    }
    for command in [
        options::augment(clap::Command::new("live")),
        options::augment_read(clap::Command::new("read"), "Records"),
    ] {
        let out = command
            .get_arguments()
            .find(|one| one.get_long() == Some("out"));
        let help = out.unwrap().get_help().unwrap().to_string();
        assert!(help.contains(&places) && !help.contains('{'), "{help}");
    }
}

/// The commented file with every key set.
fn uncommented() -> String {
    let lines = template();
    let lines = lines.lines().map(|line| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) => rest,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_commented_file_says_the_defaults() {
    let defaults = Settings::check(File::default()).unwrap();
    assert_eq!(
        load_text("t", &template(), File::default()).unwrap(),
        defaults
    );
    assert_eq!(
        load_text("t", &uncommented(), File::default()).unwrap(),
        defaults
    );
}

#[test]
fn the_commented_file_has_every_key_of_the_schema() {
    let text: toml::Table = toml::from_str(&uncommented()).unwrap();
    let schema = schema();
    let tables = schema["properties"].as_object().unwrap();
    assert_eq!(tables.len(), TABLES.len());
    for (table, property) in tables {
        let reference = property["$ref"].as_str().unwrap();
        let definition = schema.pointer(reference.trim_start_matches('#')).unwrap();
        let keys = definition["properties"].as_object().unwrap();
        assert_eq!(definition["additionalProperties"], false, "{table}");
        let written = text[table].as_table().unwrap();
        assert_eq!(keys.len(), written.len(), "{table}");
        for (key, property) in keys {
            assert!(property["description"].is_string(), "{table}.{key}");
            assert!(property.get("default").is_some(), "{table}.{key}");
            assert!(written.contains_key(key), "{table}.{key}");
        }
    }
}

const HEAD: &str = "| key | default | option of `live` | what |\n| --- | --- | --- | --- |\n";

#[test]
fn every_key_is_in_the_documentation() {
    let name = "docs/settings.md";
    let path = format!("{}/{name}", env!("CARGO_MANIFEST_DIR"));
    let mut text = std::fs::read_to_string(path).unwrap();
    for table in TABLES {
        let heading = format!("\n## `[{}]`\n", table.name);
        let section = text.find(&heading).expect("a section for the table") + heading.len();
        let start = section + text[section..].find("\n| ").expect("a table") + 1;
        let end = text[start..]
            .find("\n\n")
            .map_or(text.len(), |end| start + end + 1);
        let rows = table.keys.iter().map(|key| {
            let words: Vec<&str> = key.about.iter().map(|line| line.trim()).collect();
            let (words, option) = (words.join(" "), key.option);
            format!(
                "| `{}` | `{}` | `{option}` | {words} |\n",
                key.name, key.default
            )
        });
        let rows: String = std::iter::once(HEAD.to_owned()).chain(rows).collect();
        text.replace_range(start..end, &rows);
    }
    kept(name, &text);
}

/// Clap's own checks: no name twice, no default that cannot be given.
#[test]
fn options_are_in_order() {
    use clap::Args as _;
    for augment in [
        File::augment_args,
        FlowOptions::augment_args,
        AccountOptions::augment_args,
        RecordOptions::augment_args,
    ] {
        augment(clap::Command::new("live")).debug_assert();
    }
    for table in TABLES {
        for key in table.keys {
            assert!(key.long().len() > 1, "{}", key.id);
            assert_eq!(option_of(key.id), Some(key.long()));
        }
    }
    // What the options say is what the file would.
    let command = FlowOptions::augment_args(clap::Command::new("read"));
    let matches = command.get_matches_from(["read"]);
    let FlowOptions(given) = clap::FromArgMatches::from_arg_matches(&matches).unwrap();
    assert_eq!(given.flows.dns_unsolicited, None);
    assert_eq!(
        given.flows.max_flows.unwrap().get(),
        flow::Config::default().max_flows
    );
    assert_eq!(
        Settings::check(given).unwrap(),
        Settings::check(File::default()).unwrap()
    );
    let command = File::augment_args(clap::Command::new("live"));
    let words = [
        "live",
        "-i",
        "a",
        "--interface",
        "b",
        "--local",
        "10.0.0.0/8,::1",
        "--no-seccomp",
    ];
    let matches = command.get_matches_from(words);
    let given: File = clap::FromArgMatches::from_arg_matches(&matches).unwrap();
    assert_eq!(given.capture.interfaces.unwrap(), ["a", "b"]);
    assert_eq!(given.networks.local.unwrap(), ["10.0.0.0/8", "::1"]);
    assert_eq!(given.privilege.seccomp, Some(false));
    assert_eq!(given.capture.promiscuous, None);
}

#[test]
fn the_command_line_goes_on_top() {
    let file = "[records]\nflows = \"a.jsonl\"\nkeep = 3\n[metrics]\nlisten = \"9464\"";
    let command_line = File {
        records: RecordsTable {
            flows: Some("b.csv".into()),
            ..RecordsTable::default()
        },
        metrics: MetricsTable {
            listen: Some(Listen(None)),
            ..MetricsTable::default()
        },
        ..File::default()
    };
    let settings = load_text("t", file, command_line).unwrap();
    let outs = settings.records.outs.iter().map(ToString::to_string);
    assert_eq!(outs.collect::<Vec<_>>(), ["--flows b.csv"]);
    assert_eq!(settings.records.rotation.keep, Some(3));
    assert_eq!(
        settings.metrics, None,
        "an empty text takes back what the file says"
    );
}

#[test]
fn all_keys_are_read() {
    let text = r#"
        [capture]
        interfaces = ["eth1", "eth2"]
        workers = 4
        steer = "inner"
        promiscuous = false
        snap_length = 512
        ring_size = "128MiB"
        filter = "not port 22"
        by_interface = false
        [flows]
        max_flows = 1000
        tcp_idle = "1h"
        opening_bytes = 4096
        scope = "vlan"
        tunnel_depth = 2
        [signatures]
        dir = "/etc/ottometer/signatures"
        replace = true
        watch = true
        [records]
        usage = "u.csv"
        interval = "5m"
        rotate_size = 0
        rotate_every = "1day"
        keep = 30
        compress = "gzip"
        [metrics]
        listen = "0.0.0.0:9464"
        tls_certificate = "c.pem"
        tls_key = "k.pem"
        token_file = "t"
        series_limit = 5
        [privilege]
        user = "monitor"
        seccomp = false
        [log]
        level = "debug"
        format = "json"
    "#;
    let settings = load_text("t", text, File::default()).unwrap();
    let options = &settings.capture.options;
    assert_eq!(settings.capture.interfaces, ["eth1", "eth2"]);
    assert_eq!(
        (settings.capture.workers, settings.capture.steer),
        (4, Steer::Inner)
    );
    assert_eq!((options.snap_len, options.ring_bytes), (512, 128 << 20));
    assert!(!settings.capture.by_interface);
    assert_eq!(options.filter.as_deref(), Some("not port 22"));
    assert_eq!(settings.flow.max_flows, 1000);
    assert_eq!(settings.flow.tcp_idle.as_secs(), 3600);
    assert_eq!(settings.flow.opening_bytes, 4096);
    assert_eq!(settings.flow.scope, flow::Scope::Vlan);
    assert_eq!(settings.decode.max_depth, 2);
    assert!(settings.signatures.replace && settings.signatures.watch);
    let rotation = &settings.records.rotation;
    assert_eq!((rotation.max_bytes, rotation.keep), (None, Some(30)));
    assert_eq!(rotation.max_age.unwrap().as_secs(), 86_400);
    assert_eq!(rotation.compress, Compression::Gzip);
    assert_eq!(
        settings.records.interval,
        std::time::Duration::from_secs(300).into()
    );
    let metrics = settings.metrics.unwrap();
    assert_eq!((metrics.listen.port(), metrics.series_limit), (9464, 5));
    assert_eq!(settings.privilege.user.as_deref(), Some("monitor"));
    assert_eq!(settings.log.format, LogFormat::Json);
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (text, expected) in [
        ("[capture\n", &["t:1:9: "][..]),
        (
            "[capture]\nsnaplen = 1",
            &["t:2:1: capture.snaplen: unknown key `snaplen`, expected one of"],
        ),
        (
            "[networks]\nlocal = [\"10.0.0.0/8\", \"10.0.0.1/8\"]\nipv4_prefix = 33",
            &[
                "t:2:1: networks.local: `10.0.0.1/8` is no prefix: bits are set after the first 8",
                "t:3:1: networks.ipv4_prefix: 33 is more than the 32 bits of an address",
            ],
        ),
        (
            "[captures]\n",
            &["t:1:2: captures: unknown table `captures`, expected one of `[capture]`"],
        ),
        ("capture = 3", &["t:1:11: capture: invalid type: integer"]),
        (
            "[flows]\ntcp_idle = 300",
            &[
                "t:2:12: flows.tcp_idle: invalid type: integer `300`, expected a length of time with its unit",
            ],
        ),
        (
            "[flows]\n  udp_idle = \"soon\"",
            &["t:2:14: flows.udp_idle: `soon` is not a length of time"],
        ),
        (
            "[flows]\nmax_flows = 0",
            &["t:2:13: flows.max_flows: invalid value: integer `0`, expected a nonzero"],
        ),
        (
            "[capture]\nring_size = \"64M\"",
            &["t:2:13: capture.ring_size: `64M` is not a size"],
        ),
        (
            "[capture]\nring_size = \"4GiB\"",
            &["t:2:1: capture.ring_size: 4GiB is not between"],
        ),
        (
            "[capture]\nsteer = \"outer\"",
            &["t:2:9: capture.steer: unknown variant `outer`, expected `fanout` or `inner`"],
        ),
        (
            "[capture]\nworkers = 2",
            &["t:2:1: capture.workers: with steer"],
        ),
        (
            "[capture]\nsteer = \"inner\"\nthreads = 2",
            &["t:3:1: capture.threads: with steer"],
        ),
        (
            "[capture]\ninterfaces = [\"a\", \"a\"]",
            &["t:2:1: capture.interfaces: `a` is named twice"],
        ),
        (
            "[capture]\nsnap_length = 64",
            &["t:2:1: capture.snap_length: 64B is not between"],
        ),
        (
            "[signatures]\nreplace = true",
            &["t:2:1: signatures.replace: needs signatures.dir"],
        ),
        (
            "[records]\nflows = \"a\"\nusage = \"a\"",
            &["t:3:1: records.usage: --usage a is the same as --flows a"],
        ),
        (
            "[records]\nflows = \"a.cvs\"",
            &["t:2:1: records.flows: a.cvs: no records are"],
        ),
        (
            "[records]\nout = [\"flows=a\", \"flow=b\"]",
            &["t:2:7: records.out: `flow=b`: there are no records `flow`"],
        ),
        (
            "[records]\nrotate_size = 1",
            &["t:2:1: records.rotate_size: must be at least 64KiB"],
        ),
        (
            "[records]\ninterval = \"1ms\"",
            &["t:2:1: records.interval: must be at least 1s"],
        ),
        (
            "[metrics]\nlisten = \"localhost\"",
            &["t:2:10: metrics.listen: `localhost` is not an address"],
        ),
        (
            "[metrics]\nlisten = \"0.0.0.0:1\"",
            &["t:2:1: metrics.listen: 0.0.0.0:1 can be reached from elsewhere"],
        ),
        (
            "[metrics]\nlisten = 1\ntls_key = \"k\"",
            &["t:3:1: metrics.tls_key: needs metrics.tls_certificate"],
        ),
        (
            "[metrics]\ntls_certificate = \"c\"\ntls_key = \"k\"\ntoken_file = \"t\"",
            &[
                "t:2:1: metrics.tls_certificate: has no effect without metrics.listen",
                "t:3:1: metrics.tls_key: has no effect without metrics.listen",
                "t:4:1: metrics.token_file: has no effect without metrics.listen",
            ],
        ),
        (
            "[capture]\nthreads = 33",
            &["t:2:1: capture.threads: 33 threads for each interface are 33 over all, at most 32"],
        ),
        (
            "[capture]\ninterfaces = [\"a\", \"b\", \"c\"]\nthreads = 11",
            &["t:3:1: capture.threads: 11 threads for each interface are 33 over all, at most 32"],
        ),
        (
            "[capture]\nthreads = 18446744073709551615",
            &["t:2:1: capture.threads: 18446744073709551615 threads for each"],
        ),
        // More than one at a time.
        (
            "[log]\nlevel = 1\n[flows]\nscope = \"all\"",
            &["t:2:9: log.level: ", "t:4:9: flows.scope: unknown variant"],
        ),
        (
            "[capture]\ninterfces = 1\nthreads = 0\ninterfaces = [\"a\", 3]\nsteer = \"inner\"",
            &[
                "t:2:1: capture.interfces: unknown key `interfces`, expected one of `interfaces`",
                "t:3:11: capture.threads: invalid value: integer `0`, expected a nonzero",
                "t:4:20: capture.interfaces: invalid type: integer `3`, expected a string",
            ],
        ),
        (
            "[log]\nlevel = 1\nformt = 2\n[logs]\n[log.format]\nx = 1",
            &[
                "t:2:9: log.level: ",
                "t:3:1: log.formt: unknown key `formt`, expected one of `level`, `format`",
                "t:4:2: logs: unknown table",
                "t:6:1: log.format.x: unknown variant",
            ],
        ),
        (
            "[flows]\ntcp_idle = \"0s\"\nopening_packets = 0",
            &[
                "t:2:1: flows.tcp_idle: must",
                "t:3:1: flows.opening_packets: must",
            ],
        ),
    ] {
        let problems = load_text("t", text, File::default()).unwrap_err();
        let mut said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        said.sort();
        assert_eq!(said.len(), expected.len(), "{text:?}: {said:#?}");
        for (said, expected) in said.iter().zip(expected) {
            assert!(said.starts_with(expected), "{text:?}: {said}");
        }
    }
    let names: Vec<String> = (0..33).map(|number| format!("\"eth{number}\"")).collect();
    let text = |count: usize| format!("[capture]\ninterfaces = [{}]", names[..count].join(", "));
    let problems = load_text("t", &text(33), File::default()).unwrap_err();
    let said = problems[0].to_string();
    assert!(
        said.starts_with("t:2:1: capture.interfaces: 33 are named, at most 32"),
        "{said}"
    );
    for text in [
        text(32),
        "[capture]\nthreads = 32".to_owned(),
        "[capture]\ninterfaces = [\"a\", \"b\"]\nthreads = 16".to_owned(),
        // Said to be off: the rest may stay.
        "[metrics]\nlisten = \"\"\ntoken_file = \"t\"".to_owned(),
    ] {
        load_text("t", &text, File::default()).unwrap();
    }
    let command_line = File {
        signatures: SignaturesTable {
            replace: Some(true),
            ..SignaturesTable::default()
        },
        ..File::default()
    };
    let problems = load_text("t", "", command_line).unwrap_err();
    assert!(
        problems[0]
            .to_string()
            .starts_with("settings: signatures.replace: ")
    );
    let missing = load(Some(Path::new("/nonexistent/o.toml")), File::default()).unwrap_err();
    assert!(
        missing[0]
            .to_string()
            .starts_with("/nonexistent/o.toml: cannot be read")
    );
}
