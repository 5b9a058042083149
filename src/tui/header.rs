//! The lines on top: how much comes, what is lost, where from.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::layout::{pack, sparkline};
use super::state::View;
use super::text::clean;
use crate::view::history::SAMPLES;
use crate::view::live::Signatures;
use crate::view::number::{
    bits_per_second, brief_percent, clock, grouped, packets_per_second, per_second, short,
};

type Segments = Vec<(String, Style)>;

/// The header in a terminal of this size.
pub(super) fn lines(view: &View, cells: usize, height: usize) -> Vec<Line<'static>> {
    // Narrow terminals need more lines for the same, low ones can't give them.
    let each = match (cells, height) {
        (_, ..14) => 1,
        (..60, _) => 3,
        (..100, _) => 2,
        _ => 1,
    };
    let mut lines = pack(volume(view), cells, 1, &view.theme);
    if let Some(line) = lines.first_mut() {
        let room = cells.saturating_sub(line.width() + 2).min(SAMPLES);
        if room >= 10 {
            let bars = sparkline(&view.live.trend, None, room, &view.theme);
            line.push_span(Span::styled(format!("  {bars}"), view.theme.accent()));
        }
    }
    lines.extend(pack(losses(view), cells, each, &view.theme));
    if height >= 14 {
        lines.extend(pack(origin(view), cells, each, &view.theme));
    }
    lines
}

fn volume(view: &View) -> Segments {
    let (live, theme) = (&view.live, &view.theme);
    let strong = theme.strong();
    let mut segments = Vec::new();
    if let Some(span) = live.span {
        segments.push((bits_per_second(live.recent.bytes, span), strong));
        segments.push((packets_per_second(live.recent.packets, span), strong));
    } else {
        segments.push(("- bit/s".to_owned(), strong));
    }
    let (held, limit) = (live.flows_held, live.flows_limit);
    let style = if limit > 0 && held >= limit {
        theme.alarm()
    } else {
        Style::new()
    };
    let held = format!("flows {}/{}", grouped(held), grouped(limit));
    segments.push((held, style));
    if let Some(span) = live.span {
        segments.push((
            format!("{:.0} new/s", per_second(live.recent_flows, span)),
            Style::new(),
        ));
    }
    // Of what came lately: after weeks, the whole would not tell of a change.
    let unknown = brief_percent(live.recent_unknown, live.recent.bytes);
    segments.push((format!("unknown {unknown}"), Style::new()));
    segments
}

fn losses(view: &View) -> Segments {
    let (live, theme) = (&view.live, &view.theme);
    let mut segments = Vec::new();
    if let Some(seconds) = view.stale {
        let text = format!("NO NEWS for {seconds} s");
        segments.push((text, theme.alarm()));
    }
    if live.overloaded {
        segments.push(("OVERLOAD".to_owned(), theme.alarm()));
    }
    for link in &live.links {
        if link.state != "up" {
            let name = clean(&link.interface, theme);
            let state = link.state.to_uppercase();
            segments.push((format!("{name} {state}"), theme.alarm()));
        }
    }
    if !live.ledger.closes {
        segments.push(("LEDGER DOES NOT CLOSE".to_owned(), theme.alarm()));
    }
    let (all, recent) = (live.losses, live.recent_losses);
    for (place, name, all, recent) in [
        (0, "ring", all.ring, recent.ring),
        (1, "interface", all.interface, recent.interface),
        (2, "channel", all.channel, recent.channel),
    ] {
        let style = match all {
            0 => Style::new(),
            _ if live.is_losing && recent > 0 => theme.alarm(),
            _ => theme.warning(),
        };
        let mut text = format!("{name} {}", grouped(all));
        if place == 0 {
            text.insert_str(0, "drops: ");
        }
        if recent > 0 {
            text.push_str(&format!(" (+{})", grouped(recent)));
        }
        segments.push((text, style));
    }
    if all.records > 0 {
        let style = if recent.records > 0 {
            theme.alarm()
        } else {
            theme.warning()
        };
        segments.push((format!("records lost {}", grouped(all.records)), style));
    }
    segments
}

fn origin(view: &View) -> Segments {
    let (live, theme) = (&view.live, &view.theme);
    let mut segments: Segments = live
        .links
        .iter()
        .filter(|link| link.state == "up")
        .map(|link| {
            (
                format!("{} up", clean(&link.interface, theme)),
                theme.good(),
            )
        })
        .collect();
    let uptime = live.at.since(live.started);
    segments.push((format!("running {}", clock(uptime)), Style::new()));
    segments.push((signatures(&live.signatures), Style::new()));
    let refused = live.signatures.refused;
    if refused > 0 {
        segments.push((format!("{} refused", short(refused)), theme.warning()));
    }
    segments
}

fn signatures(signatures: &Signatures) -> String {
    let hash = &signatures.hash;
    let mut text = format!("signatures {}", hash.get(..8).unwrap_or(hash));
    if signatures.accepted > 0 {
        text.push_str(&format!(", {} reloads", grouped(signatures.accepted)));
    }
    text
}
