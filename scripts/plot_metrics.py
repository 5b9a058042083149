#!/usr/bin/env python3
"""Draws panels of the dashboard (deploy/grafana/ottometer.json) from what a Prometheus has scraped.

    scripts/plot_metrics.py http://127.0.0.1:9090 OUT.png [--minutes 5] [--window 15s] [--step 2]

Asks the query API (`/api/v1/query_range`) for the last minutes, with queries like the dashboard's.
Needs matplotlib and Pillow (Debian: python3-matplotlib, python3-pil).
"""
import argparse
import io
import json
import time
import urllib.parse
import urllib.request

import matplotlib

matplotlib.use("Agg")
import matplotlib.dates as dates
import matplotlib.pyplot as plot
from matplotlib.ticker import EngFormatter, PercentFormatter
from PIL import Image

# Series drawn in a panel: the largest.
MOST = 8

WIRE = "sum(rate(ottometer_wire_bytes_total[W]))"
BATCH = "sum by (le) (rate(ottometer_batch_duration_seconds_bucket[W]))"

# Title, how it is drawn, unit, queries: each with the label or the text that names its series.
PANELS = [
    ("Applications, the largest", "lines", "bit/s", [
        ('sum by (app) (rate(ottometer_bytes_total{app!=""}[W])) * 8', "app")]),
    ("Where every byte goes", "areas", "bit/s", [
        ('sum(rate(ottometer_bytes_total{app!=""}[W])) * 8', "applications"),
        ('sum(rate(ottometer_bytes_total{app=""}[W])) * 8', "protocols alone"),
        ("sum(rate(ottometer_unknown_bytes_total[W])) * 8", "unknown"),
        ("sum(rate(ottometer_no_flow_bytes_total[W])) * 8", "no flow")]),
    ("Evidence", "areas", "bit/s", [
        ("sum by (evidence) (rate(ottometer_bytes_total[W])) * 8", "evidence")]),
    ("Unknown share of the volume, by reason", "lines", "%", [
        (f"sum by (reason) (rate(ottometer_unknown_bytes_total[W])) / ignoring (reason) "
         f"group_left () {WIRE}", "reason")]),
    ("Frames lost a second, by stage", "lines", "", [
        ("sum by (stage) (rate(ottometer_dropped_packets_total[W]))", "stage")]),
    ("Flow table: flows", "lines", "", [
        ("sum(ottometer_flow_table_flows)", "held"),
        ("sum(rate(ottometer_flows_started_total[W]))", "new a second")]),
    ("Frames a second", "lines", "", [
        ("sum by (interface) (rate(ottometer_received_packets_total[W]))", "interface"),
        ("sum(rate(ottometer_wire_packets_total[W]))", "counted")]),
    ("Time per batch", "lines", "s", [
        (f"histogram_quantile({quantile}, {BATCH})", name)
        for quantile, name in ((0.5, "median"), (0.9, "90 %"), (0.99, "99 %"))]),
]


def query(url, expression, start, end, step):
    """The series: labels, times and values."""
    words = urllib.parse.urlencode(
        {"query": expression, "start": start, "end": end, "step": step})
    with urllib.request.urlopen(f"{url}/api/v1/query_range?{words}", timeout=30) as answer:
        data = json.load(answer)
    for result in data["data"]["result"]:
        points = {float(at): float(value) for at, value in result["values"]}
        yield result["metric"], points


def series_of(url, queries, window, times):
    """Names and values at `times`; what is not there is nothing."""
    found = []
    for expression, name in queries:
        expression = expression.replace("[W]", f"[{window}]")
        step = times[1] - times[0]
        for labels, points in query(url, expression, times[0], times[-1], step):
            value = [points.get(at, float("nan")) for at in times]
            found.append((labels.get(name, name) or "none", value))
    total = lambda values: sum(value for value in values if value == value)
    return sorted(found, key=lambda series: -total(series[1]))[:MOST]


def draw(axes, title, kind, unit, found, times):
    days = [at / 86400 for at in times]
    colours = plot.get_cmap("tab10").colors
    if kind == "areas":
        values = [[0.0 if value != value else value for value in series] for _, series in found]
        axes.stackplot(days, values, labels=[name for name, _ in found], colors=colours, alpha=0.85)
    else:
        for place, (name, values) in enumerate(found):
            # Lines that are the same are seen as such.
            style = "--" if place == 1 and title.startswith("Frames a") else "-"
            axes.plot(days, values, style, label=name, color=colours[place % 10], linewidth=1.4)
    axes.set_title(title, fontsize=10, loc="left", fontweight="bold")
    axes.yaxis.set_major_formatter(PercentFormatter(1) if unit == "%" else EngFormatter(unit))
    axes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M"))
    axes.xaxis.set_major_locator(dates.MinuteLocator())
    axes.set_xlim(days[0], days[-1])
    axes.set_ylim(bottom=0)
    low, high = axes.get_ylim()
    if found and not any(value > 0 for _, values in found for value in values):
        high = 1
        axes.set_yticks([0, 1])
        axes.text(0.5, 0.5, "none in this time", transform=axes.transAxes, ha="center", color="#555")
    axes.set_ylim(low, high * 1.05)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if found:
        axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.03), frameon=False)
    else:
        axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="of Prometheus, as http://127.0.0.1:9090")
    parser.add_argument("output")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--window", default="15s", help="over which rates are taken")
    parser.add_argument("--step", type=int, default=2, help="seconds from point to point")
    arguments = parser.parse_args()

    end = int(time.time())
    times = [float(at) for at in range(end - int(arguments.minutes * 60), end, arguments.step)]
    figure, grid = plot.subplots(4, 2, figsize=(13, 11))
    for axes, (title, kind, unit, queries) in zip(grid.flat, PANELS):
        found = series_of(arguments.url.rstrip("/"), queries, arguments.window, times)
        draw(axes, title, kind, unit, found, times)
    figure.tight_layout(h_pad=1.5, w_pad=1.0)
    whole = io.BytesIO()
    figure.savefig(whole, dpi=90)
    Image.open(whole).convert("RGB").quantize(128).save(arguments.output, optimize=True)


if __name__ == "__main__":
    main()
