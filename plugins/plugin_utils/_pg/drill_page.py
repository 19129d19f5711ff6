# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a drill's report: one HTML file without anything from elsewhere, to be read on a screen or on paper. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from .drill_report import loss, size

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2126; --soft: #5b6570; --paper: #fff; --line: #d8dde2; --good: #1a7f4b; --bad:
#b3261e;
  --dim: #8a949e; --bar: #3b6ea8; --gap: #c3cad1; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --soft: #a3adb7; --paper: #15191d; --line: #333b43; --good: #5bc98c;
  --bad: #ff8a80; --dim: #7c8791; --bar: #79a9e0; --gap: #454f59; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.3rem; font-weight: 600; margin: 0; } h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; break-after: avoid; }
.verdict { font-size: 2.4rem; font-weight: 700; line-height: 1.2; } .passed { color: var(--good); } .failed { color: var(--bad); }
.told, .skipped, .soft { color: var(--soft); } .lead { font-size: 1.1rem; max-width: 46rem; }
.figures { display: flex; flex-wrap: wrap; gap: 1rem 3rem; margin: 1.5rem 0; } .figures b { display: block; font-size: 1.6rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 500; } tr { break-inside: avoid; } td { overflow-wrap: anywhere; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
code { font: .88em ui-monospace, monospace; }
svg { width: 100%; height: auto; } svg text { fill: var(--ink); font: 13px
system-ui, sans-serif; } svg .soft { fill: var(--soft); } svg .bar { fill: var(--bar); } svg .axis { stroke: var(--line); }
@media print { :root { --ink: #000; --paper: #fff; --soft: #444; --line: #bbb; --good: #135c36; --bad: #8c1d18; --bar: #3b6ea8; }
  body { margin: 0; max-width: none; font-size: 11pt; } }
"""


def render(report: Mapping[str, Any]) -> str:
    """Return the page.

    Args:
        report: what ``drill_report.build`` returned.
    """
    verdict, cluster = str(report["verdict"]), escape(str(report["cluster"]))
    parts = [
        f'<h1>Restore drill of the cluster {cluster}</h1>',
        f'<p class="verdict {verdict}">{verdict.capitalize()}</p>',
        f'<p class="lead">{escape(report["summary"])}</p>',
        _figures(report), _complaints(report["complaints"]), _timeline(report["rto"]), _loss(report["rpo"]),
        _checks(report["checks"]), _tables(report["tables"]),
        _section("Target", _facts(report["target"])), _section("Reached", _facts(report["reached"])),
        _section("Backup", _facts(report["backup"])),
        _section("Scratch instance", _facts({**report["scratch"], "primary": report["primary"]})),
        _section("Versions", _facts(report["versions"])),
        f'<p class="soft">{escape(report["schema"])}, version {report["version"]}; {escape(report["started"])} to '
        f'{escape(report["ended"])}. The same in numbers is in drill-report.json.</p>',
    ]
    return ('<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width">\n'
            f'<title>{verdict.capitalize()}: restore drill of {cluster}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n'
            + "\n".join(part for part in parts if part) + "\n</body>\n</html>\n")


def _section(title: str, content: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n{content}\n</section>" if content else ""


def _figures(report: Mapping[str, Any]) -> str:
    rto, rpo, backup = report["rto"], report["rpo"], report["backup"]
    passed = sum(one["status"] == "passed" for one in [*report["checks"], *report["tables"]])
    asked = sum(one["status"] in ("passed", "failed") for one in [*report["checks"], *report["tables"]])
    known = rpo and rpo["seconds"] is not None
    figures = [
        ("Time to the first answer (RTO)", f"{rto['seconds']:.1f} s" if rto else "not reached"),
        ("Would have been lost (RPO)", f"{rpo['seconds']:.1f} s, {size(rpo['bytes'])}" if known else "not known"),
        ("Comparisons passed", f"{passed} of {asked}"),
        ("Backup", f"{size(backup['size_bytes'])}, {backup['type']}" if backup else "none"),
    ]
    return '<div class="figures">' + "".join(
        f'<div><b>{escape(value)}</b><span class="soft">{escape(title)}</span></div>' for title, value in figures) + "</div>"


def _complaints(complaints: Sequence[str]) -> str:
    listed = "".join(f'<li class="failed">{escape(text)}</li>' for text in complaints)
    return _section("What went wrong", f"<ul>{listed}</ul>" if listed else "")


def _timeline(rto: Mapping[str, Any] | None) -> str:
    """Return the picture of the phases: one bar each, where on the way it was and how long it took."""
    if not rto:
        return ""
    left, width, row = 190, 520, 28
    scale = width / max(rto["seconds"], 0.001)
    height = row * len(rto["phases"]) + 34
    drawn = [f'<line class="axis" x1="{left}" y1="0" x2="{left}" y2="{height - 28}"/>']
    for index, phase in enumerate(rto["phases"]):
        x, long = left + phase["offset_seconds"] * scale, max(phase["seconds"] * scale, 1.5)
        y = index * row
        drawn.append(f'<text x="{left - 10}" y="{y + 18}" text-anchor="end">{escape(phase["title"])}</text>'
                     f'<rect class="bar" x="{x:.1f}" y="{y + 5}" width="{long:.1f}" height="18" rx="2"/>'
                     f'<text class="soft" x="{x + long + 6:.1f}" y="{y + 18}">{phase["seconds"]:.2f} s</text>')
    drawn.append(f'<text class="soft" x="{left}" y="{height - 8}">0 s</text>'
                 f'<text class="soft" x="{left + width}" y="{height - 8}" text-anchor="end">{rto["seconds"]:.1f} s</text>')
    picture = (f'<svg viewBox="0 0 {left + width + 80} {height}" role="img" aria-label="The phases of the restore in time">'
               + "".join(drawn) + "</svg>")
    between = f'<p class="soft">{rto["between_seconds"]:.1f} s of these passed between the phases.</p>'
    return _section("How long it took", f"{picture}\n{between}")


def _loss(rpo: Mapping[str, Any] | None) -> str:
    if not rpo:
        return ""
    primary = rpo["primary"] or {"lsn": "not known", "time": "not known"}
    rows = [("On the primary", primary["lsn"], primary["time"]), ("In the repository", rpo["kept"]["lsn"], rpo["kept"]["time"])]
    table = _table(("When the drill began", "position", "last commit"), [[escape(str(cell)) for cell in row] for row in rows])
    words = loss(rpo)
    return _section("What would have been lost", f"<p>{escape(words[0].upper() + words[1:])}. {escape(rpo['note'])}</p>\n{table}")


def _checks(checks: Sequence[Mapping[str, Any]]) -> str:
    rows = [[_status(one["status"]), escape(one["name"]), escape(one["expected"]), escape(one["found"])] for one in checks]
    return _section("Checks", _table(("", "check", "expected", "found"), rows) if rows else "")


def _tables(tables: Sequence[Mapping[str, Any]]) -> str:
    rows = [[_status(one["status"]), escape(one["database"]), f"<code>{escape(one['table'])}</code>", _content(one["expected"]),
             _content(one["found"])] for one in tables]
    return _section("Tables", _table(("", "database", "table", "on the primary", "restored"), rows) if rows else "")


def _content(one: Mapping[str, Any] | None) -> str:
    return _soft("-") if one is None else f"{one['rows']} rows <code>{escape(str(one['hash']))}</code>"


def _status(status: str) -> str:
    return f'<span class="{escape(status)}">{escape(status)}</span>'


def _facts(facts: Mapping[str, Any] | None) -> str:
    if not facts:
        return ""
    return _table((), [[_soft(str(name).replace("_", " ")), f"<code>{escape(_told(value))}</code>"]
                       for name, value in facts.items()])


def _soft(text: str) -> str:
    return f'<span class="soft">{escape(text)}</span>'


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_told(one)}" for name, one in value.items()) or "none"
    if value is None or value == "":
        return "none"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table of cells that are HTML already."""
    named = "".join(f"<th>{escape(one)}</th>" for one in heads)
    head = f"<thead><tr>{named}</tr></thead>" if named else ""
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table>{head}\n<tbody>\n{body}\n</tbody></table></div>'
