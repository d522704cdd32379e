"""What the load test's pages need beyond the house's style sheet."""

MORE = """
h3 { font-size: 15px; margin: 20px 0 4px; }
.banner { border: 1px solid; border-left-width: 6px; border-radius: 10px; padding: 13px 18px;
  margin: 0 0 18px; font-size: 15px; }
.banner p { margin: 0; overflow-wrap: anywhere; }
.banner b.word { letter-spacing: 0.03em; }
.banner ol { margin: 2px 0 0; padding-left: 22px; }
.banner p.fix { margin-top: 7px; font-weight: 600; }
.banner.valid { background: #f0faf4; border-color: #9ed5b3; border-left-color: #2f855a; }
.banner.invalid { background: #fff5f5; border-color: #f3b4b4; border-left-color: #c53030; }
.banner.invalid b.word { color: #c53030; }
ul.verdicts { list-style: none; margin: 6px 0 0; padding: 0; }
ul.verdicts li { padding: 2px 0 2px 24px; position: relative; overflow-wrap: anywhere; }
ul.verdicts li::before { content: "\\2713"; color: #2f855a; position: absolute; left: 2px; font-weight: 700; }
ul.verdicts li.failed::before { content: "\\2717"; color: #c53030; }
ul.verdicts .seen { color: var(--soft); }
th.group { text-align: center; border-bottom: 1px solid var(--line); color: var(--ink); padding-bottom: 3px; }
th.group.text { text-align: left; }
td, th { padding-left: 5px; padding-right: 5px; }
td.edge, th.edge { padding-left: 15px; }
td.name { white-space: nowrap; min-width: 0; }
details { margin-top: 16px; } summary { cursor: pointer; color: var(--accent); font-weight: 600; }
tr.baseline td { background: var(--tint); }
td.better, td.worse { font-weight: 650; }
td.better { color: #276749; } td.worse { color: #b7351f; }
td.same { color: var(--soft); }
td .interval { font-weight: 400; }
section svg { display: block; width: 100%; height: auto; }
section img + h3, section svg + h3 { margin-top: 26px; }
section .scroll + h3, section ul + h3 { margin-top: 24px; }
section img + .scroll { margin-top: 14px; }
section > h3 + p { color: var(--soft); max-width: 72em; }
@page { size: A4 landscape; margin: 10mm; }
@media print { body { font-size: 13px; } main { padding: 0; max-width: none; }
  h1 { font-size: 24px; } h2 { font-size: 16px; } .lead { font-size: 15px; } .card .value { font-size: 20px; }
  section { padding: 12px 16px; margin-bottom: 12px; } section img { max-height: 165mm; object-fit: contain; }
  .scroll { overflow: visible; } table { font-size: 11px; } th { font-size: 10.5px; }
  td, th { padding: 3px 4px; } td .interval { font-size: 9.5px; } tr { break-inside: avoid; }
  h2, h3 { break-after: avoid; } * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""
