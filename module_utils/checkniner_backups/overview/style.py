"""The style of the page: one column on a telephone, light or dark as the reader's system is."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #f6f7f9; --card: #ffffff; --ink: #1c2128; --muted: #5b6672; --line: #d9dee4;
  --good: #1a7f45; --bad: #b3261e; --doubt: #8a5a00; --bar: #3b6ea8; --gap: #f3e3bf;
  --bad-paper: #fdeceb; --good-paper: #e8f5ec; --code: #eef1f4;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14181d; --card: #1d232a; --ink: #e6e9ed; --muted: #9aa6b2; --line: #333c46;
    --good: #5fcf8d; --bad: #ff8a80; --doubt: #e5b35a; --bar: #7aaee8; --gap: #4a3d1d;
    --bad-paper: #3a2222; --good-paper: #1b3226; --code: #262e37;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif;
  overflow-wrap: anywhere; }
main { max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.15rem; margin: 0; }
h2 { font-size: 1.1rem; margin: 0; }
h2 + ol { margin-top: .75rem; }
p { margin: .4rem 0; }
.muted { color: var(--muted); font-size: .875rem; }
header { display: flex; flex-wrap: wrap; gap: 0 1rem; justify-content: space-between; align-items: baseline; }
section { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: 1rem; margin: 1rem 0; }
.first { font-size: 1.15rem; border-left: .35rem solid var(--good); background: var(--good-paper); }
.first.bad { border-left-color: var(--bad); background: var(--bad-paper); }
.first p { margin: 0; }
pre { margin: .5rem 0 0; padding: .6rem .75rem; background: var(--code); border-radius: .35rem; white-space: pre-wrap;
  font: .875rem/1.45 ui-monospace, monospace; }
pre span { display: inline-block; max-width: 100%; }
.first pre { background: var(--card); }
ol { margin: 0; padding-left: 1.4rem; }
li { margin: .8rem 0; }
li:first-child { margin-top: 0; }
li:last-child { margin-bottom: 0; }
.word { font-weight: 600; }
.good { color: var(--good); }
.bad > .word, .word.bad { color: var(--bad); }
.name { display: flex; flex-wrap: wrap; gap: 0 .75rem; align-items: baseline; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(8rem, 1fr)); gap: .75rem 1rem; margin: .9rem 0; }
@media (min-width: 40rem) { dl { grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); } }
dt { color: var(--muted); font-size: .8125rem; }
dd { margin: 0; }
figure { margin: 1rem 0 .5rem; }
figcaption { margin-bottom: .25rem; }
.chart { padding: 0 7px; }
svg.timeline { display: block; width: 100%; height: 138px; overflow: visible; }
.timeline text { fill: var(--muted); font: 12px system-ui, sans-serif; }
.timeline .bar { fill: var(--bar); }
.timeline .gap { fill: var(--gap); }
.timeline .axis { stroke: var(--line); stroke-width: 1; }
.mark { fill: none; stroke-width: 2; }
.mark.good { fill: var(--good); stroke: var(--good); }
.mark.bad { stroke: var(--bad); }
.mark.doubt { stroke: var(--doubt); }
.legend { display: flex; flex-wrap: wrap; gap: .15rem 1rem; margin-top: .25rem; }
.legend span { white-space: nowrap; }
.legend svg { width: 14px; height: 14px; vertical-align: -2px; overflow: visible; }
.legend i { display: inline-block; width: .8rem; height: .8rem; vertical-align: -1px; border-radius: 2px; }
.legend .bar { background: var(--bar); }
.legend .gap { background: var(--gap); outline: 1px solid var(--line); }
details { margin-top: .6rem; }
summary { cursor: pointer; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; margin-top: .4rem; }
th, td { text-align: left; padding: .25rem .5rem .25rem 0; vertical-align: top; border-bottom: 1px solid var(--line); }
th { color: var(--muted); font-weight: 400; }
td.size { white-space: nowrap; text-align: right; }
th.size { text-align: right; }
"""
