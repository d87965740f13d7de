"""The page in a real browser: on a telephone and on a wide screen, light and dark, and with hostile texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from checkniner_backups.overview.hosts import Host, host_of
from checkniner_backups.overview.needs import needs
from checkniner_backups.overview.page import page

from sandbox.chromium import Browser, NoChromiumError, browser
from tests.overview_world import COMMANDS, NOW, answer, asked, fleet, of_fleet, stored

HOSTILE = (
    """<script>document.title='owned'</script>"><img src=x onerror="document.title='owned'">'&amp;</title></style>"""
)
CONTRASTS = """
(() => {
  const channels = text => text.match(/[\\d.]+/g).map(Number);
  const light = colour => channels(colour).slice(0, 3).map(value => value / 255)
    .map(value => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, place) => sum + value * [0.2126, 0.7152, 0.0722][place], 0);
  const behind = element => {
    for (let each = element; each; each = each.parentElement) {
      const colour = getComputedStyle(each).backgroundColor;
      if ((channels(colour)[3] ?? 1) > 0) return colour;
    }
  };
  const found = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    if (!own || element.tagName === 'title') continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(element.tagName === 'text' ? style.fill : style.color), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push([element.outerHTML.slice(0, 80), ratio]);
  }
  return found;
})()
"""
ACTIVE = """
[...document.querySelectorAll('*')].flatMap(each => each.getAttributeNames())
  .filter(name => name.startsWith('on') || ['style', 'href', 'src'].includes(name))
"""
OVERLAPS = """
[...document.querySelectorAll('svg.timeline')].flatMap(chart => {
  const boxes = [...chart.querySelectorAll('text')].map(each => each.getBoundingClientRect());
  return boxes.flatMap((a, i) => boxes.slice(i + 1).filter(b =>
    a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom));
}).length
"""


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    """A browser with one page. Where none can be had, the tests are skipped, and say why."""
    try:
        with browser(seconds=300) as made:
            yield made
    except NoChromiumError as error:
        pytest.skip(str(error))


def written(folder: Path, hosts: list[Host]) -> Path:
    """Write the page of these servers and return its path."""
    path = folder / "page.html"
    path.write_text(page(hosts, needs(hosts, COMMANDS), NOW))
    return path


def hostile() -> list[Host]:
    """Return servers and a bucket whose every text would like to be markup."""
    there = stored(days=10)
    ahead = replace(there, ahead=(f"db/{HOSTILE}",)).as_dict()
    ahead["trials"] = [{"at": "2026-11-20T00:00:00Z", "kind": "drill", "verdict": HOSTILE}]
    ahead["archives"][0]["key"] = f"{HOSTILE}/{ahead['archives'][0]['name']}"
    problem = {"kind": HOSTILE, "text": HOSTILE, "subject": HOSTILE}
    changes: dict[str, Any] = {
        "notes": [HOSTILE], "last_rehearsal": {"verdict": HOSTILE}, "versions": {"engine": HOSTILE},
        "keys": [{"fingerprint": HOSTILE, "days_left": 3, "usable": True}],
    }  # fmt: skip
    return [
        host_of(asked(HOSTILE, answer(HOSTILE, problem, problem, **changes), 18) | {"stored": ahead}),
        host_of({"name": "b", "unreachable": HOSTILE, "store_failure": HOSTILE}),
        host_of(asked("c", "", 5) | {"errors": HOSTILE}),
    ]


def test_it_reads_well_on_every_screen(chrome: Browser, tmp_path: Path) -> None:
    path = written(tmp_path, fleet())
    backgrounds = set()
    for width in (320, 360, 1000):
        for dark in (False, True):
            chrome.open(path, width, dark=dark)
            assert chrome.evaluate("document.documentElement.scrollWidth") == width
            assert chrome.evaluate("innerWidth") == width
            assert chrome.evaluate(CONTRASTS) == []
            assert chrome.evaluate(OVERLAPS) == 0
            backgrounds.add(chrome.evaluate("getComputedStyle(document.body).backgroundColor"))
            smallest = "Math.min(...[...document.querySelectorAll('p,dt,dd,pre,td,text')].map(each =>"
            assert chrome.evaluate(f"{smallest} parseFloat(getComputedStyle(each).fontSize)))") >= 12
    assert len(backgrounds) == 2


def test_it_says_first_what_needs_a_human_with_the_command(chrome: Browser, tmp_path: Path) -> None:
    chrome.open(written(tmp_path, fleet()), 360)
    first = chrome.evaluate("document.querySelector('main > section').innerText")
    assert first.startswith("NOT WELL: club.example.org: ticks have failed for 3 h")
    assert chrome.evaluate("document.querySelector('main > section pre').textContent") == of_fleet()[0].commands[0]
    assert chrome.evaluate("document.querySelector('main > section pre').getBoundingClientRect().bottom") < 800
    assert chrome.evaluate("document.title") == first.split("\n")[0]
    texts = chrome.evaluate("[...document.querySelectorAll('pre')].map(each => each.textContent)")
    assert texts == ["\n".join(need.commands) for need in of_fleet()]


def test_the_timeline_shows_archives_gaps_drills_and_rehearsals(chrome: Browser, tmp_path: Path) -> None:
    chrome.open(written(tmp_path, fleet()[:1]))
    count = "document.querySelectorAll('.timeline {}').length"
    assert 40 < chrome.evaluate(count.format("rect.bar")) <= 240
    assert chrome.evaluate(count.format("rect.gap")) == 1
    assert chrome.evaluate(count.format(".mark.good")) == 6
    assert chrome.evaluate(count.format(".mark.bad")) == 2
    assert "no archive for 11 days" in chrome.evaluate("document.querySelector('.timeline rect.gap').textContent")
    edges = chrome.evaluate("""(() => {
      const chart = document.querySelector('.timeline').getBoundingClientRect();
      const bars = [...document.querySelectorAll('.timeline .bar')].map(each => each.getBoundingClientRect());
      return [chart.left - bars[0].left, bars.at(-1).right - chart.right];
    })()""")
    assert all(each < 1 for each in edges), edges
    assert chrome.evaluate("document.querySelectorAll('details tr').length") == 101


def test_no_text_becomes_markup(chrome: Browser, tmp_path: Path) -> None:
    path = written(tmp_path, hostile())
    chrome.open(path, 360)
    assert chrome.evaluate("document.querySelectorAll('script, img, iframe, object, embed, link, form, a').length") == 0
    assert (
        chrome.evaluate("document.querySelectorAll('title').length - document.querySelectorAll('svg title').length")
        == 1
    )
    assert chrome.evaluate(ACTIVE) == []
    assert chrome.evaluate("document.title").startswith("NOT WELL: ")
    assert chrome.evaluate("document.body.innerText").count("<script>") >= 6
    assert chrome.evaluate("document.documentElement.scrollWidth") == 360
    assert chrome.evaluate("document.querySelectorAll('style').length") == 1
    assert chrome.requests == [path.as_uri()]
    assert chrome.said == []


def test_it_asks_for_nothing_and_the_browser_would_refuse_it(chrome: Browser, tmp_path: Path) -> None:
    path = written(tmp_path, fleet())
    chrome.open(path)
    assert chrome.requests == [path.as_uri()]
    assert chrome.said == []
    text = path.read_text()
    injected = "<script>document.title='owned'</script><img src='http://127.0.0.1:9/x'><style>p{color:red}</style>"
    path.write_text(text.replace("<main>", f"{injected}<main>"))
    chrome.open(path)
    assert chrome.evaluate("document.title") != "owned"
    assert chrome.evaluate("getComputedStyle(document.querySelector('p')).color") != "rgb(255, 0, 0)"
    assert len(chrome.said) >= 3
    assert all("Content Security Policy" in each for each in chrome.said), chrome.said


def test_servers_of_which_little_is_known(chrome: Browser, tmp_path: Path) -> None:
    there = stored(days=1)
    one = replace(there, archives=there.archives[:1], gap=None, trials=()).as_dict()
    for hosts in ([], [host_of({"name": "a"})], [host_of({"name": "a", "stored": one})]):
        chrome.open(written(tmp_path, hosts), 360)
        assert chrome.evaluate("document.documentElement.scrollWidth") == 360
        assert "no server was asked" in chrome.evaluate("document.title")
        assert chrome.said == []
