"""`report.html`: one self-contained page, its pictures inside."""

import base64
from collections.abc import Sequence
from html import escape

from cascade.fitting.choice import SIMPLE, STANDARD_ERRORS
from cascade.report.headline import against_paper, cards, caveats, lead
from cascade.report.page_style import CSS
from cascade.report.pictures import Picture
from cascade.report.policies import PAPER, Named
from cascade.report.results import Results
from cascade.report.tables import candidates_table, figures_table, members_table
from cascade.report.wording import count, value_name
from cascade.verdict import TargetCheck


def page(results: Results, pictures: Sequence[Picture]) -> str:
    asked = results.question.asked
    title = f"Policies for {value_name(results.objective)}"
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="under">{escape(results.question.source)} &middot; objective '
        f"{escape(asked.objective)} &middot; budget {escape(asked.budget)} &middot; "
        f"{len(results.yardstick.stages)} stages</p>",
        f'<p class="lead">{escape(lead(results))}</p>',
        _cards(results),
        _section("The figures", _figures_sentence(results), figures_table(results) + _notes(results)),
        *(_picture(picture) for picture in pictures),
        _section("What was fitted, and why", "", _choices(results)),
        _section("What was asked", results.parts.note, _circumstances(results) + members_table(results)),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head>\n<body><main>\n"
        + "\n".join(body)
        + "\n</main></body></html>\n"
    )


def _section(title: str, sentence: str, content: str) -> str:
    under = f"<p>{escape(sentence)}</p>" if sentence else ""
    return f"<section><h2>{escape(title)}</h2>{under}{content}</section>"


def _cards(results: Results) -> str:
    full = results.of_kind("full")
    beside = f", and below each figure the same of {full.name}" if full and full is not results.main else ""
    items = "".join(
        f'<div class="card"><div class="name">{escape(card.name)}</div>'
        f'<div class="value">{escape(card.value)}</div><div class="beside">{escape(card.beside)}</div></div>'
        for card in cards(results)
    )
    return f'<p class="under">{escape(results.main.name + beside)}:</p><div class="cards">{items}</div>'


def _picture(picture: Picture) -> str:
    if picture.image is None:
        return _section(picture.title, picture.caption, "")
    data = base64.b64encode(picture.image).decode()
    image = f'<img alt="{escape(picture.title)}" src="data:image/png;base64,{data}">'
    return _section(picture.title, picture.caption, image)


def _figures_sentence(results: Results) -> str:
    if "risk" not in results.main.estimates:
        text = "Accuracy is of all rows; a decision is the final threshold's verdict on each row"
    else:
        text = (
            "Accuracy is of all rows; coverage is the share accepted and risk the error rate among the "
            "accepted, both at the deployed threshold"
        )
    text += (
        f". The {value_name(results.objective)} is read off the judged rows' own curve. Cost is the "
        "mean work per row. Below each figure stands its 95% interval, from a bootstrap over rows, "
        "groups of rows as wholes."
    )
    strange = " OOD rows count in no other column than those that name them."
    return text + (strange if results.parts.judge.num_ood else "")


def _notes(results: Results) -> str:
    items = [("figure", text) for text in [against_paper(results)] if text]
    main = results.main
    if main.verdict is TargetCheck.MET:
        items.append(("passed", f"‘{main.name}’ keeps its target on these rows."))
    elif main.verdict is TargetCheck.NEARLY_MET:
        items.append(("figure", f"‘{main.name}’ keeps its target here, by no more than the rows' error."))
    elif main.verdict is TargetCheck.NEARLY_MISSED:
        items.append(("warning", f"‘{main.name}’ misses its target here by no more than the rows' error."))
    elif main.verdict is TargetCheck.MISSED:
        items.append(("warning", f"‘{main.name}’ misses its target on these rows."))
    items += [("warning", text) for text in caveats(results)]
    rows = (f'<li class="{level}">{escape(text)}</li>' for level, text in items)
    return f'<ul class="notes">{"".join(rows)}</ul>'


def _choices(results: Results) -> str:
    return "".join(
        _choice(figures.judged.named) for figures in results.deciding if figures.name != PAPER
    ) or ("<p>No policy here decides anything.</p>")


def _choice(named: Named) -> str:
    evidence = named.policy.evidence
    chosen = evidence.get("chosen")
    certified = " Its risk is certified." if named.is_certified else ""
    if not isinstance(chosen, str):
        return f"<p>‘{escape(named.name)}’: {escape(_plainly(named))}.{certified}</p>"
    return (
        f"<p>‘{escape(named.name)}’: {escape(chosen)}. Each way to fit was compared with the paper's rule by "
        "cross-validation inside the rows that may choose; gains are averaged over neighbouring targets. The "
        f"best of {', '.join(option.shape for option in SIMPLE)} windows of plain structure stays, unless a "
        f"richer way gains more than {STANDARD_ERRORS:g} standard errors over it.{certified}</p>"
        f"{candidates_table(evidence)}"
    )


def _plainly(named: Named) -> str:
    if named.policy.kind == "threshold":
        return "the least sure rows are forwarded, as many as the budget allows; nothing else was chosen"
    return f"kind {named.policy.kind}; its file says nothing of how it was chosen"


def _circumstances(results: Results) -> str:
    question, judge = results.question, results.parts.judge
    asked = question.asked
    terms = [
        ("objective", asked.objective),
        ("budget", f"{asked.budget}, for the policies that decide"),
        ("score", results.objective.score(asked.score)),
        ("seed", str(asked.seed)),
        ("rows", f"{results.parts.fit.num_rows:,} to fit on, {judge.num_rows:,} to judge on"),
        ("OOD rows", _ood_text(results)),
        ("classes", count(judge.num_classes)),
        ("outputs", judge.kind),
    ]
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in terms if text)
    return f"<dl>{items}</dl><br>"


def _ood_text(results: Results) -> str:
    judge = results.parts.judge
    if not judge.num_ood:
        return "none"
    fitted = f"{results.parts.fit.num_ood:,} to fit on, " if results.objective.uses_ood else ""
    return f"{fitted}{judge.num_ood:,} to judge on ({', '.join(judge.families)})"
