//! The view as a whole: what is on the screen at which size, keys, and hostile texts.

use std::sync::Arc;

use proptest::prelude::*;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{Picture, Theme, View};
use crate::view::samples;
use crate::view::snapshot::Snapshot;

/// A view that saw the second and the twelfth second of `of`.
fn view_of(theme: Theme, of: impl Fn(u64) -> Snapshot) -> View {
    let mut view = View::new(theme);
    for seconds in [2, 12] {
        assert!(view.take(&Arc::new(of(seconds))));
    }
    view
}

fn press(view: &mut View, keys: &str) -> bool {
    keys.chars().fold(false, |_, letter| {
        let code = match letter {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            '\u{1b}' => KeyCode::Esc,
            letter => KeyCode::Char(letter),
        };
        view.key(KeyEvent::new(code, KeyModifiers::NONE))
    })
}

#[test]
fn every_pane_shows_what_it_is_for() {
    let unicode = Theme::plain(false);
    let losing: fn(u64) -> Snapshot = |seconds| {
        let mut snapshot = samples::usual(seconds);
        samples::drop_in_ring(&mut snapshot, seconds * 10);
        snapshot.sources[0].interface = "eth9".to_owned();
        snapshot.sources[0].state = "gone";
        snapshot.overloaded = true;
        snapshot.ledger.wire.count(1, 1);
        snapshot.reloads.refused = 1;
        snapshot.reloads.last_refusal = Some("video/x.toml:3:7: no such key".into());
        snapshot
    };
    let usual: fn(u64) -> Snapshot = samples::usual;
    type Row<'a> = (
        fn(u64) -> Snapshot,
        &'a str,
        (u16, u16),
        &'a [&'a str],
        &'a [&'a str],
    );
    let rows: &[Row<'_>] = &[
        (
            usual,
            "",
            (80, 24),
            &[
                "584 Mbit/s",
                "flows 81,233/1,048,576",
                "1200 new/s",
                "unknown 4.1 %",
                "drops: ring 0  interface 0  channel 0",
                "eth0 up",
                "running 00:00:12",
                "signatures ",
                "2 reloads",
                "1 Apps ",
                "youtube",
                "352 Mbit/s",
                "60.3 %",
                "wechat",
                "unknown (no-match)",
                "youtube, YouTube, video",
                "evidence: server-name 90.9 %, dns 9.1 %",
                "q quit",
            ],
            &["PAUSED", "OVERLOAD", "CLOSE", "DOWN"],
        ),
        (usual, "2", (80, 24), &["youtube/video", "wechat/chat"], &[]),
        (
            usual,
            "3",
            (80, 24),
            &["messaging", "(protocol only)"],
            &["youtube"],
        ),
        (
            usual,
            "4",
            (80, 24),
            &[
                "10.0.0.7",
                "336 Mbit/s",
                "youtube 71.4 %, netflix",
                "applications: youtube 71.4 %, netflix 28.6 %",
            ],
            &["evidence"],
        ),
        (
            usual,
            "4",
            (200, 60),
            &["flows", "up, ", "down; applications:", "2001:db8::/56"],
            &["to server"],
        ),
        (
            |seconds| Snapshot {
                subjects: None,
                accounts: None,
                ..samples::usual(seconds)
            },
            "4",
            (80, 24),
            &["start it with --by subject"],
            &["10.0.0.7"],
        ),
        (
            usual,
            "5",
            (80, 24),
            &[
                "The ledger closes",
                "applications",
                "unknown: no-match",
                "no flow: non-ip",
                "unsettled",
            ],
            &["no flow: malformed"],
        ),
        (
            usual,
            "6",
            (80, 24),
            &[
                "10.0.0.1:50001",
                "youtube/video",
                "decided    by youtube/domain:",
                "(server-name) at packet 4",
                "seen       server name: r1.youtube.example",
                "ja4: t13d",
            ],
            &[],
        ),
        (
            usual,
            "6\n",
            (80, 24),
            &[
                "volume     10 packets",
                "ended: fin",
                "time       first 2026-",
            ],
            &["evidence  "],
        ),
        (
            usual,
            "6/r7.you\n",
            (80, 24),
            &["10.0.0.7:50007", "search: r7.you"],
            &["10.0.0.8:"],
        ),
        (
            usual,
            "6/:443 mid-s",
            (80, 24),
            &["search: :443 mid-s_", "unknown: mid-stream"],
            &["youtube"],
        ),
        (usual, "/netf\n", (80, 24), &["netflix"], &["youtube"]),
        (
            usual,
            "/zzz",
            (80, 24),
            &["no name fits the search"],
            &["youtube"],
        ),
        (usual, "/zzz\u{1b}", (80, 24), &["youtube"], &["zzz"]),
        (usual, "p", (80, 24), &["PAUSED"], &[]),
        (usual, "s", (80, 24), &["by total"], &["by rate"]),
        (usual, "?", (80, 24), &["Ctrl-C     leave"], &["youtube"]),
        (
            usual,
            "",
            (40, 10),
            &["584 Mbit/s", "drops: ring 0", "youtube", "q quit"],
            &[],
        ),
        (
            usual,
            "5",
            (40, 10),
            &["The ledger closes", "applications"],
            &[],
        ),
        (usual, "6", (40, 10), &["youtube/video"], &[]),
        (
            usual,
            "",
            (200, 60),
            &["trend", "WeChat 微信", "to client; evidence:", "90.9 %"],
            &[],
        ),
        (
            usual,
            "5",
            (200, 60),
            &["eth0", "2026-01-01 12:00:00", "loaded 2026-01-01"],
            &[],
        ),
        (
            usual,
            "6",
            (200, 60),
            &["r29.youtube.example", "server-name"],
            &[],
        ),
        (
            usual,
            "",
            (29, 24),
            &["The terminal has 29x24"],
            &["youtube"],
        ),
        (usual, "", (80, 7), &["the view needs 30x8"], &["youtube"]),
        (usual, "", (1, 1), &["T"], &[]),
        (
            losing,
            "",
            (80, 24),
            &[
                "OVERLOAD",
                "eth9 GONE",
                "LEDGER DOES NOT CLOSE",
                "ring 120 (+100)",
                "1 refused",
            ],
            &[],
        ),
        (
            losing,
            "5GG",
            (80, 24),
            &["refused: video/x.toml:3:7: no such key"],
            &[],
        ),
        (
            losing,
            "5",
            (200, 60),
            &["THE LEDGER DOES NOT CLOSE: ", "OVERLOAD: new flows"],
            &[],
        ),
    ];
    let mut wrong = Vec::new();
    for (of, keys, (width, height), shown, hidden) in rows {
        let mut view = view_of(unicode, of);
        press(&mut view, keys);
        let text = view.render_once(*width, *height, Picture::Text);
        assert_eq!(text.lines().count(), usize::from(*height));
        let missing = shown.iter().filter(|part| !text.contains(**part));
        let stray = hidden.iter().filter(|part| text.contains(**part));
        let (missing, stray): (Vec<_>, Vec<_>) = (missing.collect(), stray.collect());
        if !missing.is_empty() || !stray.is_empty() {
            wrong.push(format!(
                "{keys:?} at {width}x{height}: no {missing:?}, but {stray:?} in\n{text}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Each pane in full, as the files in `golden` have it; with `OTTOMETER_BLESS=1` they are written.
#[test]
fn panes_in_full() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tui/golden");
    let mut wrong = Vec::new();
    for (keys, name) in [
        ("1", "apps"),
        ("4", "subjects"),
        ("5", "health"),
        ("6", "flows"),
    ] {
        let mut view = view_of(Theme::plain(false), samples::usual);
        press(&mut view, keys);
        let text = view.render_once(80, 24, Picture::Text);
        // The hash hangs on how signature files are written, not on the view.
        let hash = view.live.signatures.hash.clone();
        let text = text
            .replace(&hash[..16], "0123456789abcdef")
            .replace(&hash[..8], "01234567");
        let file = folder.join(name).with_extension("txt");
        if std::env::var_os("OTTOMETER_BLESS").is_some() {
            std::fs::write(&file, &text).unwrap();
        }
        let golden = std::fs::read_to_string(file);
        if golden.is_err() || golden.is_ok_and(|golden| golden != text) {
            wrong.push(format!("{name} is now:\n{text}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_is_shown_before_the_first_snapshot() {
    let mut view = View::new(Theme::plain(false));
    let text = view.render_once(80, 24, Picture::Text);
    assert!(text.contains("nothing has settled yet"), "{text}");
    assert!(!view.take(&Arc::default()), "no snapshot has the number 0");
}

#[test]
fn a_pause_holds_what_is_shown() {
    let mut view = view_of(Theme::plain(false), samples::usual);
    press(&mut view, "p");
    assert!(!view.take(&Arc::new(samples::usual(13))));
    press(&mut view, "p");
    assert!(view.take(&Arc::new(samples::usual(13))));
    assert!(!view.take(&Arc::new(samples::usual(13))), "once");
}

#[test]
fn silence_is_told() {
    let mut view = view_of(Theme::plain(false), samples::usual);
    let seconds = std::time::Duration::from_secs;
    assert!(!view.note_silence(seconds(4)));
    assert!(view.note_silence(seconds(7)));
    let text = view.render_once(80, 24, Picture::Text);
    assert!(text.contains("NO NEWS for 7 s"), "{text}");
    assert!(view.note_silence(seconds(0)));
}

#[test]
fn quitting_and_letters_that_do_not() {
    for (keys, quits) in [
        ("q", true),
        ("/q", false),
        ("/q\nq", true),
        ("?q", true),
        ("x", false),
    ] {
        let mut view = view_of(Theme::plain(false), samples::usual);
        assert_eq!(press(&mut view, keys), quits, "{keys:?}");
    }
    let mut view = View::default();
    press(&mut view, "/ab");
    let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert!(view.key(control_c));
}

#[test]
fn the_selection_moves_and_opens() {
    let mut view = view_of(Theme::plain(false), samples::usual);
    press(&mut view, "6jj");
    let text = view.render_once(80, 24, Picture::Text);
    // The newest is flow 1, told again; then 29, 28.
    assert!(text.contains("flow 28 TCP"), "{text}");
    press(&mut view, "\n");
    assert!(view.opened);
    press(&mut view, "\u{1b}");
    assert!(!view.opened);
    press(&mut view, "s");
    let text = view.render_once(80, 24, Picture::Text);
    assert!(
        text.contains("by bytes") && text.contains("flow 28 TCP"),
        "{text}"
    );
}

#[test]
fn hostile_names_stay_in_their_cells() {
    let hostile = "a\u{1b}[2J\u{9b}31m\u{202e}b\r\n\u{200b}c\u{7}";
    let mut view = view_of(Theme::plain(false), |seconds| {
        let mut snapshot = samples::usual(seconds);
        let record = samples::flow(&snapshot.set, 99, seconds, hostile);
        snapshot.recent.push(Arc::new(record));
        snapshot.sources[0].interface = hostile.to_owned();
        snapshot.reloads.last_refusal = Some(hostile.into());
        snapshot
    });
    for keys in ["1", "4", "5", "6", "6\n"] {
        press(&mut view, keys);
        for (width, height) in [(40, 10), (80, 24), (200, 60)] {
            let text = view.render_once(width, height, Picture::Text);
            let bad = |letter: char| letter != '\n' && letter.is_control();
            assert!(!text.contains(bad), "{text:?}");
            assert!(!text.contains(['\u{202e}', '\u{200b}']), "{text:?}");
        }
    }
    assert!(
        view.render_once(200, 60, Picture::Text)
            .contains("a\\u{1b}[2J\\u{9b}31m")
    );
}

#[test]
fn ascii_is_ascii_and_no_color_is_none() {
    for keys in ["1", "2", "3", "4", "5", "6", "?"] {
        let mut view = view_of(Theme::plain(true), samples::usual);
        press(&mut view, keys);
        let text = view.render_once(200, 60, Picture::Ansi);
        assert!(text.is_ascii(), "{text}");
        assert!(!text.contains(";3") && !text.contains("[3"), "{text}");
    }
    let color = Theme {
        ascii: false,
        color: true,
    };
    let text = view_of(color, samples::usual).render_once(80, 24, Picture::Ansi);
    assert!(text.contains("\u{1b}[0;32meth0 up\u{1b}[0m"), "{text}");
}

/// Keys by number, so that shrinking finds the shortest way to a failure.
fn any_key() -> impl Strategy<Value = KeyEvent> {
    let codes = prop_oneof![
        prop::sample::select(vec![
            KeyCode::Up,
            KeyCode::Down,
            KeyCode::PageUp,
            KeyCode::PageDown,
            KeyCode::Home,
            KeyCode::End,
            KeyCode::Tab,
            KeyCode::BackTab,
            KeyCode::Enter,
            KeyCode::Esc,
            KeyCode::Backspace,
            KeyCode::F(1),
        ]),
        prop::sample::select("123456jkgG/sp?h ".chars().collect::<Vec<_>>())
            .prop_map(KeyCode::Char),
        any::<char>().prop_map(KeyCode::Char),
    ];
    (codes, any::<bool>()).prop_map(|(code, control)| {
        let modifiers = if control {
            KeyModifiers::CONTROL
        } else {
            KeyModifiers::NONE
        };
        KeyEvent::new(code, modifiers)
    })
}

/// Snapshots whose numbers go where they should not.
fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    let number = || prop_oneof![0..1000_u64, any::<u64>()];
    (
        (0..60_u64, any::<bool>(), 0..6_usize, ".{0,40}"),
        (number(), number(), number(), number()),
        (0..2_u64 << 30, any::<bool>()),
    )
        .prop_map(
            |((seconds, usual, apps, text), (held, limit, lost, flows), (sequence, up))| {
                let mut snapshot = if usual {
                    samples::usual(seconds)
                } else {
                    samples::many(seconds, apps)
                };
                snapshot.sequence = sequence;
                snapshot.flows_held = held;
                snapshot.flows_limit = limit;
                snapshot.flows = flows;
                snapshot.records_lost = lost;
                snapshot.dropped_channel.count(lost / 2, lost);
                samples::drop_in_ring(&mut snapshot, lost);
                if let Some(source) = snapshot.sources.last_mut() {
                    source.interface.clone_from(&text);
                    source.received = lost;
                    source.dropped_interface = lost;
                    source.state = if up { "up" } else { "gone" };
                }
                let record = samples::flow(&snapshot.set, flows, seconds, &text);
                snapshot.recent.push(Arc::new(record));
                snapshot.reloads.last_refusal = Some(text.into());
                snapshot
            },
        )
}

#[derive(Clone, Debug)]
enum Happening {
    Key(KeyEvent),
    News(Box<Snapshot>),
    Paint(u16, u16),
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_panics(
        happenings in prop::collection::vec(
            prop_oneof![
                6 => any_key().prop_map(Happening::Key),
                1 => any_snapshot().prop_map(|snapshot| Happening::News(Box::new(snapshot))),
                2 => (0..160_u16, 0..60_u16).prop_map(|(w, h)| Happening::Paint(w, h)),
            ],
            0..60,
        ),
        ascii: bool,
    ) {
        let mut view = View::new(Theme::plain(ascii));
        for happening in happenings {
            match happening {
                Happening::Key(key) => {
                    view.key(key);
                }
                Happening::News(snapshot) => {
                    view.take(&Arc::new(*snapshot));
                }
                Happening::Paint(width, height) => {
                    let text = view.render_once(width, height, Picture::Text);
                    let control = |letter: char| letter != '\n' && letter.is_control();
                    prop_assert!(!text.contains(control));
                }
            }
        }
    }
}
