"""The final table in the terminal, in LaTeX, Markdown and CSV."""

from __future__ import annotations

from itertools import groupby
from typing import Literal

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from nmdl_bench.report.cells import Cell, ProblemTable, legend
from nmdl_bench.report.summary import Column, Summary

_FAILED_STYLE = "yellow"
_DROP_ORDER = ("compile_time", "passes", "time", "memory_device", "memory_host", "iterations")
"""Columns that a narrow terminal does without, first to go first."""


# -------------------------------------------------------------------------------------------------------- terminal
def terminal(tables: list[ProblemTable], summary: Summary, console: Console) -> Group:
    """The final table for ``console``: as many columns as its width holds, the others named below it."""
    marks = _terminal_marks(console)
    columns, dropped = list(range(len(summary.columns))), []
    built = [_rich_table(t, summary.columns, columns, marks) for t in tables]
    for name in _DROP_ORDER:
        if all(_width(table) <= console.width for table in built):
            break
        for i in [i for i in columns if summary.columns[i].name == name]:
            columns.remove(i)
            dropped.append(heading(summary.columns[i]).lower())
            built = [_rich_table(t, summary.columns, columns, marks) for t in tables]
    lines = [*legend(summary, **marks)]
    if dropped:
        lines.append(f"not shown for lack of width: {', '.join(dropped)}")
    spare = all(_width(table) + len(table.columns) <= console.width for table in built)
    parts: list[Text | Table] = []
    for problem, table in zip(tables, built):
        table.padding = (0, 1, 0, 0) if spare else (0, 0)
        parts += [Text.assemble((problem.problem, "bold"), ("  " + problem.note, "dim")), table]
    return Group(*parts, Text("\n".join(lines), style="dim"))


def _terminal_marks(console: Console) -> dict[str, str]:
    rich_text = (console.encoding or "").lower().startswith("utf")
    return {"best": "*", "peer": "†" if rich_text else "+", "interpolated": "~", "excluded": "!"}


def _width(table: Table) -> int:
    """Width that a table needs: its columns' least widths and one space between them."""
    return sum((column.min_width or 0) + 1 for column in table.columns) - 1


def _rich_table(table: ProblemTable, columns: tuple[Column, ...], shown: list[int], marks: dict[str, str]) -> Table:
    out = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    rows = []
    for row in table.rows:
        name = Text(f"{row.solver}{marks['peer'] if row.peer else ''}" if row.first else "")
        status = Text(row.status.replace("max iterations", "max iter"))
        status.stylize("" if row.status.startswith(("converged", "max")) else _FAILED_STYLE)
        rows.append([name, Text(row.backend), status, *(_rich_cell(row.cells[i], marks) for i in shown)])
    heads = ["Solver", "Backend", "Status", *(heading(columns[i]).replace("Iterations", "Iter.") for i in shown)]
    for i, head in enumerate(heads):
        width = max([*(len(word) for word in head.split()), *(len(s) for r in rows for s in r[i].plain.split("\n"))])
        justify: Literal["left", "right"] = "left" if i < 3 else "right"
        out.add_column(head, justify=justify, vertical="top", min_width=width)
    for cells in rows:
        out.add_row(*cells)
    return out


def _rich_cell(cell: Cell, marks: dict[str, str]) -> Text:
    before = (marks["excluded"] if cell.excluded else "") + (marks["interpolated"] if cell.interpolated else "")
    after = marks["best"] if cell.best else " "  # the digits of a column stay aligned
    text = Text(
        f"{before}{cell.text}{after}" if cell.text else "", style="bold green" if cell.best else "", no_wrap=True
    )
    if cell.spread:
        text.append(f"\n{cell.spread} ", style="dim")
    return text


def heading(column: Column) -> str:
    """One-line heading with the unit: ``Time to target (s)``."""
    if column.group:
        name = f"{column.name.removeprefix('target_').capitalize()} {column.group.lower()}"
    else:
        name = column.header
    return f"{name} ({column.unit})" if column.unit else name


# -------------------------------------------------------------------------------------------------------- markdown
def markdown(tables: list[ProblemTable], summary: Summary) -> str:
    """The final table in GitHub's Markdown: one section a problem, best values in bold."""
    marks = {"best": "**bold**:", "peer": "†", "interpolated": "~", "excluded": "!"}
    heads = ["Solver", "Backend", "Status", *(heading(c) for c in summary.columns)]
    rules = ["---"] * 3 + ["--:"] * len(summary.columns)
    parts = []
    for table in tables:
        lines = [f"### {escape_markdown(table.problem)}", "", table.note, "", pipe(heads), pipe(rules)]
        for row in table.rows:
            name = escape_markdown(row.solver) + ("†" if row.peer else "")
            cells = [_markdown_cell(c, marks) for c in row.cells]
            lines.append(pipe([name, escape_markdown(row.backend), row.status, *cells]))
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, "\n".join(f"- {line}" for line in legend(summary, **marks))]).rstrip() + "\n"


def pipe(cells: list[str]) -> str:
    """One line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def _markdown_cell(cell: Cell, marks: dict[str, str]) -> str:
    before = (marks["excluded"] if cell.excluded else "") + ("\\~" if cell.interpolated else "")
    text = f"{before}{cell.text}"
    text = f"**{text}**" if cell.best else text
    return f"{text} ({cell.spread})" if cell.spread else text


def escape_markdown(text: str) -> str:
    """``text`` with every character that Markdown reads as markup made literal."""
    for character in "\\|*_`<>[]":
        text = text.replace(character, "\\" + character)
    return text


# ----------------------------------------------------------------------------------------------------------- latex
def latex(tables: list[ProblemTable], summary: Summary) -> str:
    """The final table in LaTeX with booktabs: one ``table*`` a problem, at most 6.9 in wide, best values in bold."""
    marks = {"best": "Bold:", "peer": r"$^\dagger$", "interpolated": r"$\sim$", "excluded": r"$^\ddagger$"}
    notes = [f"{line}." for line in legend(summary, **marks)]
    parts = ["% needs \\usepackage{booktabs}"]
    parts += [_latex_table(table, summary.columns, notes) for table in tables]
    return "\n\n".join(parts) + "\n"


def _latex_table(table: ProblemTable, columns: tuple[Column, ...], notes: list[str]) -> str:
    caption = f"Solvers on {escape_latex(table.problem)}. {escape_latex(table.note)} {' '.join(notes)}".rstrip()
    lines = [
        r"\begin{table*}[t]",
        r"  \centering\scriptsize\setlength{\tabcolsep}{3pt}",
        rf"  \caption{{{caption}}}",
        rf"  \label{{tab:{_label(table.problem)}}}",
        rf"  \begin{{tabular}}{{@{{}}lll{'r' * len(columns)}@{{}}}}",
        r"    \toprule",
        *(f"    {line}" for line in _latex_head(columns)),
        r"    \midrule",
    ]
    for i, row in enumerate(table.rows):
        name = (escape_latex(row.solver) + (r"$^\dagger$" if row.peer else "")) if row.first else ""
        cells = [
            name,
            escape_latex(row.backend),
            escape_latex(row.status.replace("iterations", "iter.")),
            *(_latex_cell(c) for c in row.cells),
        ]
        if row.first and i:
            lines.append(r"    \addlinespace[2pt]")
        lines.append("    " + " & ".join(cells) + r" \\")
    return "\n".join([*lines, r"    \bottomrule", r"  \end{tabular}", r"\end{table*}"])


def _latex_head(columns: tuple[Column, ...]) -> list[str]:
    """Headings over groups of columns with the rules below them, names of the columns, and their units."""
    top, rules, at = ["", "", ""], [], 4
    for name, members in groupby(columns, key=lambda c: c.group):
        width = len(list(members))
        if name:
            top.append(rf"\multicolumn{{{width}}}{{c}}{{{escape_latex(name)}}}")
            rules.append(rf"\cmidrule(lr){{{at}-{at + width - 1}}}")
        else:
            top += [""] * width
        at += width
    names = ["Solver", "Backend", "Status", *(escape_latex(c.header) for c in columns)]
    units = ["", "", "", *(escape_latex(f"({c.unit})") if c.unit else "" for c in columns)]
    rows = [top, names, units] if rules else [names, units]
    lines = [" & ".join(row) + r" \\" for row in rows if any(row)]
    return [lines[0], "".join(rules), *lines[1:]] if rules else lines


def _latex_cell(cell: Cell) -> str:
    text = _latex_number(cell.text)
    if cell.best:
        text = rf"\textbf{{{text}}}" if "$" not in text else rf"$\mathbf{{{text.strip('$')}}}$"
    text = (r"$\sim$" if cell.interpolated else "") + text + (r"$^\ddagger$" if cell.excluded else "")
    return f"{text} ({cell.spread.replace(' to ', '--')})" if cell.spread else text


def _latex_number(text: str) -> str:
    """``1.23e-05`` as a power of ten."""
    mantissa, e, exponent = text.partition("e")
    return rf"${mantissa}{{\cdot}}10^{{{int(exponent)}}}$" if e and mantissa else text


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    **{c: "\\" + c for c in "&%$#_{}"},
}


def escape_latex(text: str) -> str:
    """``text`` with every character that LaTeX reads as a command made literal."""
    return "".join(_LATEX.get(character, character) for character in text)


def _label(problem: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in problem).strip("-").lower()


# ------------------------------------------------------------------------------------------------------------- csv
def csv(summary: Summary) -> str:
    """Every number of the final table with its spread over seeds, unrounded; times in s, memory in bytes."""
    names = ["problem", "solver", "kind", "library", "device", "dtype", "backend", "status", "reason", "seeds"]
    names += ["repeats", "target", "solved", "comparable", "interpolated"]
    for column in summary.columns:
        names += [column.name, f"{column.name}_low", f"{column.name}_high", f"best_{column.name}"]
    return summary.frame[names].to_csv(index=False, lineterminator="\n")
