"""Whether the run can be trusted, and whether it reached what was asked of it. Pure."""

from collections.abc import Sequence
from html import escape

from loadtest.figures.assertions import Verdict
from loadtest.figures.results import Results
from loadtest.report.validity import confirmation, explanation, remedies

HOLDS, FAILED = "✓", "✗"


def verdict_line(verdict: Verdict) -> str:
    """`✓ p99<50ms: window over http 12.3`, without its mark."""
    return f"{verdict.assertion.text}: {verdict.detail}"


def banner(results: Results, verdicts: Sequence[Verdict]) -> str:
    """As HTML."""
    return _validity(results) + _verdicts(verdicts)


def _validity(results: Results) -> str:
    if results.is_valid:
        word = '<b class="word">Valid run</b>'
        return f'<div class="banner valid"><p>{word}: {escape(confirmation(results))}.</p></div>'
    items = "".join(f"<li>{escape(text)}</li>" for text in remedies(results))
    return (
        f'<div class="banner invalid" role="alert"><p><b class="word">INVALID RUN</b>: '
        f'{escape(explanation(results))}.</p><p class="fix">What helps, the likeliest first:</p>'
        f"<ol>{items}</ol></div>"
    )


def _verdicts(verdicts: Sequence[Verdict]) -> str:
    if not verdicts:
        return ""
    failed = sum(not verdict.holds for verdict in verdicts)
    word = f"{failed} of {len(verdicts)} assertions failed" if failed else "All that was asserted holds"
    items = "".join(
        f'<li class="{"holds" if v.holds else "failed"}"><code>{escape(v.assertion.text)}</code> '
        f'<span class="seen">{escape(v.detail)}</span></li>'
        for v in verdicts
    )
    kind = "invalid" if failed else "valid"
    return (
        f'<div class="banner {kind}"><p><b class="word">{word}</b></p><ul class="verdicts">{items}</ul></div>'
    )
