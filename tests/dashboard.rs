//! The dashboard of `deploy/`: against Grafana's own types, and each of its queries asked of a real Prometheus.
//! (Grafana itself is in no registry of packages that tests could install it from.)

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::metrics::{answer, prometheus, run, scrapes, serve};
use crate::support;

fn dashboard() -> Value {
    let path = support::root().join("deploy/grafana/ottometer.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn the_dashboard_is_one_grafana_can_take() {
    let dashboard = dashboard();
    let variables: BTreeSet<&str> = dashboard["templating"]["list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|variable| variable["name"].as_str().unwrap())
        .collect();
    assert_eq!(variables, BTreeSet::from(["datasource", "instance", "top"]));
    let mut ids = BTreeSet::new();
    let mut cells = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}");
        let [x, y, w, h] =
            ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(x + w <= 24, "{title}");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(cells.insert(cell), "{title} covers another panel");
        }
        if panel["type"] == "row" {
            continue;
        }
        assert!(!panel["description"].as_str().unwrap().is_empty());
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
        }
    }
}

/// Every query of a panel, with its title, and what the dashboard marks events with.
fn queries() -> Vec<(String, String)> {
    let dashboard = dashboard();
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            queries.push((&panel["title"], &target["expr"]));
        }
    }
    for annotation in dashboard["annotations"]["list"].as_array().unwrap() {
        queries.push((&annotation["name"], &annotation["expr"]));
    }
    let queries = queries.into_iter().map(|(title, query)| {
        let query = query.as_str().unwrap();
        // As Grafana puts them in for a short time and all probes.
        let query = query
            .replace("$__rate_interval", "10s")
            .replace("$__interval", "10s")
            .replace("$__range", "60s")
            .replace("$instance", ".*")
            .replace("$top", "10");
        assert!(!query.contains('$'), "{query}");
        (title.as_str().unwrap().to_owned(), query)
    });
    queries.collect()
}

#[test]
fn promtool_can_read_the_queries_of_the_dashboard() {
    let mut rules = String::from("groups:\n  - name: dashboard\n    rules:\n");
    for (number, (_, query)) in queries().into_iter().enumerate() {
        let query = Value::from(query);
        rules += &format!("      - record: query:{number}\n        expr: {query}\n");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.yml");
    fs::write(&path, rules).unwrap();
    run("promtool", &["check", "rules", path.to_str().unwrap()], "");
}

#[test]
fn prometheus_has_an_answer_to_every_query_of_the_dashboard() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path());
    let scrapes = scrapes(folder.path(), &server);
    let Some((mut prometheus, port)) = prometheus(folder.path(), &scrapes) else {
        return;
    };
    let mut open: Vec<(String, String, Value)> = queries()
        .into_iter()
        .map(|(title, query)| (title, query, Value::Null))
        .collect();
    assert!(open.len() > 25);
    // Rates want two samples, and series by name stand at 0 first.
    for _ in 0..300 {
        open.retain_mut(|(_, query, said)| {
            let encoded: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
            *said = answer(port, &encoded).unwrap_or_default();
            let results = said["data"]["result"].as_array();
            // Where nothing has happened there is nothing to mark or to divide by.
            let may_be_empty = query.ends_with(" > 0");
            let is_answered = said["status"] == "success"
                && results.is_some_and(|results| may_be_empty || !results.is_empty());
            !is_answered
        });
        if open.is_empty() {
            break;
        }
        thread::sleep(Duration::from_millis(200));
    }
    prometheus.kill().unwrap();
    prometheus.wait().unwrap();
    assert!(open.is_empty(), "{open:#?}");
}

/// `target/grafana` has Grafana's types and the compiler for them (`scripts/setup-tests.sh`).
#[test]
fn the_dashboard_is_of_the_types_of_grafana() {
    let modules = support::root().join("target/grafana/node_modules");
    if !modules.join("@grafana/schema").exists() || !modules.join("grafana-schema-10").exists() {
        support::skipped("target/grafana has no types of Grafana");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let types = |path: &str| json!([modules.join(path)]);
    let newest = |path: &str| types(&format!("@grafana/schema/dist/types/{path}.d.ts"));
    let panel = |kind: &str| newest(&format!("raw/composable/{kind}/panelcfg/x/types.gen"));
    let settings = json!({
        "compilerOptions": {
            "strict": true,
            "noEmit": true,
            "skipLibCheck": true,
            "module": "esnext",
            "moduleResolution": "bundler",
            "types": [],
            "paths": {
                "@grafana/schema": newest("index"),
                "schema/dashboard": newest("raw/dashboard/x/types.gen"),
                "schema/heatmap": panel("heatmap"),
                "schema/stat": panel("stat"),
                "schema/table": panel("table"),
                "schema/timeseries": panel("timeseries"),
                // Later versions leave it to the data source.
                "schema/prometheus": types(
                    "grafana-schema-10/dist/esm/raw/composable/prometheus/dataquery/x/PrometheusDataQuery_types.gen.d.ts"
                ),
            },
        },
        "files": ["dashboard.ts"],
    });
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let shape = fs::read_to_string(support::root().join("tests/grafana/shape.ts")).unwrap();
    write("shape.ts", &shape);
    write("tsconfig.json", &settings.to_string());
    let check = |dashboard: &Value| {
        let text = format!(
            "import type {{ Shape }} from './shape';\nexport const dashboard: Shape = {dashboard:#};\n"
        );
        write("dashboard.ts", &text);
        let output = Command::new(modules.join(".bin/tsc"))
            .current_dir(folder.path())
            .output()
            .unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let good = dashboard();
    let (passes, said) = check(&good);
    assert!(passes, "{said}");

    // And it is not one that takes anything.
    let place = |kind: &str| {
        let panels = good["panels"].as_array().unwrap();
        let place = panels.iter().position(|panel| panel["type"] == kind);
        format!("/panels/{}", place.unwrap())
    };
    let lines = place("timeseries");
    for (at, key, value) in [
        (String::new(), "colour", json!("dark")),
        (lines.clone(), "type", json!("lines")),
        (
            format!("{lines}/options/legend"),
            "placement",
            json!("left"),
        ),
        (
            format!("{lines}/fieldConfig/defaults/custom"),
            "fill",
            json!(1),
        ),
        (format!("{lines}/targets/0"), "query", json!("up")),
        (
            format!("{}/options/tooltip", place("heatmap")),
            "show",
            json!(true),
        ),
        ("/templating/list/1".to_owned(), "refresh", json!(7)),
    ] {
        let mut bad = good.clone();
        bad.pointer_mut(&at).unwrap()[key] = value;
        let (passes, said) = check(&bad);
        assert!(!passes, "{at}: {key}: {said}");
    }
}
