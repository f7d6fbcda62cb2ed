"""Delivery figures as one HTML page that loads nothing else and can be printed.

Neither numbers of recipients nor texts of messages are in it. Each chart has a table beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import IO

from ..._delivery.statistics import DeliveryStatistics
from ..figures import Country, Share, countries, facts, failures, headline, outcomes, waits

_STYLE = """
:root {
  color-scheme: light dark;
  --page: #ffffff; --text: #1c1f23; --soft: #5c636b; --line: #d9dde2; --track: #eef0f3;
  --delivered: #1f8a5f; --at_operator: #3d74d6; --pending: #9aa1aa; --unlisted: #c3c8ce;
  --undelivered: #c8501e; --expired: #b98a0b; --rejected: #8f2d6b; --invalid: #5b4a91;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #15181c; --text: #e8eaed; --soft: #a2a9b2; --line: #343a42; --track: #242930;
    --delivered: #35b584; --at_operator: #6a9bf2; --pending: #7b838d; --unlisted: #4d545d;
    --undelivered: #f07d4a; --expired: #dcb13c; --rejected: #d173ad; --invalid: #a594e0;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2rem 1.25rem 3rem; max-width: 64rem;
  background: var(--page); color: var(--text);
  font: 16px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
h1 { margin: 0; font-size: 1.6rem; line-height: 1.2; }
h2 { margin: 0 0 .8rem; font-size: 1.1rem; }
.lead { margin: .4rem 0 0; font-size: 1.1rem; }
.soft, footer { color: var(--soft); font-size: .875rem; }
section { margin-top: 2.4rem; }
dl {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: 1px;
  margin: 1.6rem 0 0; border: 1px solid var(--line); border-radius: .5rem; overflow: hidden;
  background: var(--page);
}
dl div { padding: .7rem .9rem; box-shadow: 0 0 0 1px var(--line); }
dt { color: var(--soft); font-size: .8rem; }
dd { margin: 0; font-size: 1.15rem; font-variant-numeric: tabular-nums; }
.beside { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1.1fr); gap: 1.5rem 2.5rem; }
.wide { overflow-x: auto; }
svg { display: block; width: 100%; overflow: visible; }
svg text { fill: var(--text); font-size: 13px; }
svg .count { fill: var(--soft); text-anchor: end; font-variant-numeric: tabular-nums; }
.track { fill: var(--track); }
table { width: 100%; border-collapse: collapse; font-size: .9rem; }
caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
th, td { padding: .35rem .4rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
thead th { color: var(--soft); font-weight: 500; font-size: .8rem; vertical-align: bottom; }
tbody th { font-weight: 400; overflow-wrap: anywhere; }
.n { text-align: right; font-variant-numeric: tabular-nums; }
td { white-space: nowrap; }
.swatch { display: inline-block; width: .75em; height: .75em; margin-right: .5em; border-radius: 2px; }
details { margin-top: 2.4rem; }
summary { cursor: pointer; }
code { overflow-wrap: anywhere; font-size: .85rem; }
ul { columns: 15rem; padding-left: 1.2rem; }
footer { margin-top: 2.4rem; padding-top: 1rem; border-top: 1px solid var(--line); }
@media (max-width: 44rem) { .beside { grid-template-columns: minmax(0, 1fr); } }
@media print {
  :root {
    color-scheme: light;
    --page: #ffffff; --text: #000000; --soft: #444444; --line: #bbbbbb; --track: #eeeeee;
  }
  body { padding: 0; max-width: none; font-size: 12px; }
  section { break-inside: avoid; }
  .wide { overflow: visible; }
  svg, .swatch { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""

_ROW = 44
"""Pixels of a bar with its label above it."""

_LABEL = 40
"""Most characters of a label in a chart; the table has the whole label."""


def write_page(statistics: DeliveryStatistics, messages: Sequence[str], file: IO[str]) -> None:
    """Write the page; `messages` are the ids of the messages in the statistics."""
    file.write(_page(statistics, messages, datetime.now(UTC)))


def _page(statistics: DeliveryStatistics, messages: Sequence[str], made: datetime) -> str:
    sections = "".join(_sections(statistics))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Delivery report</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>Delivery report</h1>
<p class="lead">{escape(headline(statistics))}</p>
<p class="soft">As of <time datetime="{made:%Y-%m-%dT%H:%M:%SZ}">{made:%d %B %Y, %H:%M} UTC</time>.</p>
<dl>{"".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts(statistics, messages))}</dl>
{sections}
<details><summary>Messages</summary><ul>{"".join(f"<li><code>{escape(one)}</code></li>" for one in messages)}</ul></details>
</main>
<footer>As reported by the carriers. A phone that is switched off may get its text later, or never.</footer>
</body>
</html>
"""


def _sections(statistics: DeliveryStatistics) -> Iterable[str]:
    if shares := outcomes(statistics):
        rows = [(_with_swatch(share), *_cells(share)[1:]) for share in shares]
        yield _section("Deliveries", shares, ("outcome", "recipients", "share"), rows)
    if shares := failures(statistics):
        yield _section(
            "Why deliveries failed",
            shares,
            ("reason", "recipients", "share", "retry"),
            [(*_cells(share), share.note) for share in shares],
        )
    if shares := waits(statistics.total):
        names = ("from sending to delivery", "delivered", "share")
        yield _section("Time to deliver", shares, names, list(map(_cells, shares)))
    if by_country := countries(statistics):
        yield _section(
            "Delivered by country",
            [country.delivered for country in by_country],
            (
                "calling code",
                "recipients",
                "delivered",
                "50 % within",
                "90 % within",
                "estimated EUR",
                "real EUR",
            ),
            list(map(_country_cells, by_country)),
        )


def _cells(share: Share) -> tuple[str, str, str]:
    return escape(share.label), f"{share.count:,}", escape(share.percent)


def _country_cells(country: Country) -> tuple[str, ...]:
    delivered = country.delivered
    cells = (
        country.code,
        f"{delivered.of:,}",
        delivered.percent,
        country.half_within,
        country.most_within,
        country.price,
        country.real_cost,
    )
    return tuple(map(escape, cells))


def _with_swatch(share: Share) -> str:
    swatch = f'<span class="swatch" style="background:var(--{share.kind})"></span>'
    return swatch + escape(share.label)


def _section(
    title: str, shares: Sequence[Share], names: Sequence[str], rows: Iterable[Sequence[str]]
) -> str:
    """Return a chart of the shares with a table beside it; the cells of `rows` are HTML."""
    return (
        f'<section><h2>{escape(title)}</h2><div class="beside"><div>{_bars(title, shares)}</div>'
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(title)}, table">'
        f"{_table(title, names, rows)}</div></div></section>\n"
    )


def _table(caption: str, names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(
        f'<th scope="col"{_figure(at)}>{escape(name)}</th>' for at, name in enumerate(names)
    )
    body = "".join(
        f'<tr><th scope="row">{first}</th>'
        + "".join(f"<td{_figure(1)}>{cell}</td>" for cell in others)
        + "</tr>"
        for first, *others in rows
    )
    return (
        f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )


def _figure(at: int) -> str:
    return ' class="n"' if at else ""


def _bars(title: str, shares: Sequence[Share]) -> str:
    """Return a bar for each share, under its label. Widths are in percent, to fit any page."""
    bars = "".join(map(_bar, range(len(shares)), shares))
    return (
        f'<svg role="img" aria-label="{escape(title)}, chart" height="{_ROW * len(shares)}">'
        f"{bars}</svg>"
    )


def _bar(at: int, share: Share) -> str:
    top = at * _ROW
    label = share.label if len(share.label) <= _LABEL else share.label[: _LABEL - 1] + "…"
    return (
        f'<text x="0" y="{top + 14}">{escape(label)}</text>'
        f'<text class="count" x="100%" y="{top + 14}">{escape(share.percent)}</text>'
        f'<rect class="track" x="0" y="{top + 20}" width="100%" height="12" rx="2"></rect>'
        f'<rect x="0" y="{top + 20}" width="{100 * share.share:.3f}%" height="12" rx="2" '
        f'style="fill:var(--{share.kind})"></rect>'
    )
