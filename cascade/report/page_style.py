"""The style sheet of the report. It stands in the page, which needs nothing from anywhere else."""

CSS = """
:root { --ink: #1f2933; --soft: #52606d; --line: #e4e7eb; --tint: #f7f9fb; --accent: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--tint); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 40px 32px 64px; }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -0.01em; }
h2 { font-size: 20px; margin: 0 0 4px; letter-spacing: -0.005em; }
p { margin: 0 0 12px; }
.under { color: var(--soft); margin-bottom: 24px; }
.lead + .under { font-size: 14px; margin-bottom: 8px; }
.lead { font-size: 18px; max-width: 62em; margin-bottom: 16px; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 14px;
  margin: 0 0 28px; }
.card, section { background: #fff; border: 1px solid var(--line); border-radius: 10px; }
.card { padding: 13px 16px; }
.card .name { color: var(--soft); font-size: 13px; }
.card .value { font-size: 25px; font-weight: 650; line-height: 1.25; font-variant-numeric: tabular-nums; }
.card .beside { color: var(--soft); font-size: 13px; }
section { padding: 22px 26px; margin: 0 0 22px; }
section > p { color: var(--soft); max-width: 72em; }
section img { display: block; width: 100%; height: auto; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
th { text-align: right; font-weight: 600; color: var(--soft); font-size: 12.5px; vertical-align: bottom;
  padding: 6px 7px; border-bottom: 2px solid var(--line); }
td { text-align: right; padding: 6px 7px; white-space: nowrap; }
tr.begins td { border-top: 1px solid var(--line); }
th.text, td.text { text-align: left; }
td.name { white-space: normal; overflow-wrap: anywhere; min-width: 108px; }
td .interval { display: block; color: var(--soft); font-size: 12px; line-height: 1.3; }
.dot { display: inline-block; width: 10px; height: 10px; border-radius: 50%; margin-right: 8px; }
ul.notes { list-style: none; margin: 14px 0 0; padding: 0; font-size: 14.5px; }
ul.notes li { padding: 3px 0 3px 24px; position: relative; }
ul.notes li::before { content: "\\2713"; color: #2f855a; position: absolute; left: 4px; font-weight: 700; }
ul.notes li.figure::before { content: "\\00b7"; color: #52606d; left: 7px; }
ul.notes li.warning::before { content: "!"; color: #c05621; left: 7px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 22px; margin: 8px 0 0;
  font-size: 14.5px; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
code { font: 13.5px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
@media print { body { background: #fff; } section, .card { break-inside: avoid; } }
"""
