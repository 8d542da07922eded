"""The command line. Each command imports what it needs when it is called, so that ``--help`` is instant.

Exit codes: 0 done (cases that failed are rows of the result, not failures of the command); 1 something stopped it,
such as a full disk; 2 a mistake in what was asked, such as an unknown name; 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nmdl_bench.cli_networks import inspect, study
from nmdl_bench.cli_parts import DEFAULT_STORE, examples, plugin_option, sentences, store_option

if TYPE_CHECKING:
    from nmdl_bench.runs.run import Sweep
    from nmdl_bench.runs.store import Store


def _complete_run(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names of experiments in the store, for shell completion."""
    from nmdl_bench.contracts import NmdlError
    from nmdl_bench.runs.store import Store

    try:
        with Store.open(context.params.get("store") or os.environ.get("NMDL_STORE") or DEFAULT_STORE) as store:
            names = {run.experiment for run in store.runs()}
    except NmdlError:
        return []
    return sorted(name for name in names if name.startswith(incomplete))


_output_option = click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the report; default: one named after the experiment, beside the store.",
)
_run_argument = click.argument("run_name", metavar="RUN", shell_complete=_complete_run)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "nmdl-bench list                           what there is to compare",
        "nmdl-bench run reports/quickstart.toml    measure, then write table and figures",
        "nmdl-bench report quickstart              write them again",
        "nmdl-bench inspect spirals                what a network is made of, and what it does",
        "nmdl-bench doctor                         which array libraries work here",
    ),
)
@click.version_option(package_name="nmdl-bench", prog_name="nmdl-bench")
def main() -> None:
    """Compare solvers on residual networks across array libraries."""


main.add_command(inspect)
main.add_command(study)


@main.command(
    "list",
    epilog=examples(
        "nmdl-bench list",
        "nmdl-bench list solvers --json",
        "nmdl-bench list capabilities --format markdown    who can minimise what, and where",
        "nmdl-bench list problems --plugin my_problem.py",
        "nmdl-bench list runs",
    ),
)
@click.argument("what", type=click.Choice(["problems", "solvers", "backends", "capabilities", "runs"]), required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "json"]),
    default="text",
    show_default=True,
    help="How to print; Markdown has a column for each structure and array library.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@plugin_option
@store_option
@sentences
def list_(what: str | None, form: str, as_json: bool, plugins: tuple[Path, ...], store: Path) -> None:
    """List problems, solvers and backends, or the runs in the store.

    A solver can minimise a problem that provides the structure that the solver needs; `capabilities` shows both.
    """
    from nmdl_bench.runs import listing
    from nmdl_bench.runs.plugins import load_all

    load_all(plugins)
    wanted = listing.TABLES.get(what or "", [what or ""])
    tables = {name: listing.rows(name, store) for name in wanted}
    if as_json or form == "json":
        import json

        click.echo(json.dumps(tables if len(wanted) > 1 else tables[wanted[0]], indent=2))
        return
    if form == "markdown":
        click.echo("\n\n".join(f"## {name.capitalize()}\n\n{listing.markdown(rows)}" for name, rows in tables.items()))
        return
    for i, (name, rows) in enumerate(tables.items()):
        click.echo(("\n" if i else "") + click.style(name.capitalize(), bold=True))
        click.echo(listing.table(rows))


@main.command(
    "run",
    epilog=examples(
        "nmdl-bench run reports/quickstart.toml",
        "nmdl-bench run reports/quickstart.toml --only torch --no-report",
        "nmdl-bench run mine.toml --plugin my_solver.py --output out/mine",
    ),
)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@store_option
@plugin_option
@_output_option
@click.option("--no-report", is_flag=True, help="Measure only.")
@click.option("--only", default="", metavar="TEXT", help="Measure only cases whose title contains TEXT.")
@click.option("--retry", is_flag=True, help="Measure again what ended as error, timeout, out_of_memory or unavailable.")
@click.option("--events", is_flag=True, envvar="NMDL_EVENTS", help="Print 'committed KEY REPEAT' after each commit.")
@sentences
def run(
    file: Path,
    store: Path,
    plugins: tuple[Path, ...],
    output: Path | None,
    no_report: bool,
    only: str,
    retry: bool,
    events: bool,
) -> None:
    """Measure what an experiment FILE asks for, and report it.

    What the store has already is not measured again: the same command resumes an interrupted run. A case that fails is
    recorded with its status and reason, and the run goes on.
    """
    from nmdl_bench.runs.cases import left_out
    from nmdl_bench.runs.progress import make_progress
    from nmdl_bench.runs.run import plan
    from nmdl_bench.runs.run import run as measure
    from nmdl_bench.runs.store import Store

    def committed(key: str, repeat: int) -> None:
        print(f"committed {key} {repeat}", flush=True)

    planned = plan(file, plugins)
    for line in left_out(planned.file.spec):
        click.echo(f"Not run: {line}.", err=True)
    if not no_report:
        _check_figures(planned.file.spec.report.figures or (), str(file))
    with Store.open(store, create=True) as opened:
        try:
            sweep = measure(
                planned,
                opened,
                progress=make_progress(),
                only=only,
                retry=retry,
                committed=committed if events else None,
            )
        except KeyboardInterrupt:
            click.echo("\nInterrupted; every finished repeat is stored. The same command resumes the run.", err=True)
            sys.exit(130)
        _summary(sweep)
        if not no_report:
            _report(opened, sweep.run_id, output or store.parent / sweep.experiment)


def _check_figures(names: Iterable[str], source: str) -> None:
    """A figure that there is not is a mistake to hear of before the sweep, not after it."""
    if names:
        from nmdl_bench.contracts import unknown
        from nmdl_bench.report.figures import KINDS

        for name in names:
            if name not in KINDS:
                raise unknown(f"figure in {source}, report, figures:", name, KINDS)


def _summary(sweep: Sweep) -> None:
    statuses = ", ".join(f"{count} {status}" for status, count in sweep.statuses.most_common())
    click.echo(
        f"Run {sweep.run_id} ({sweep.experiment}): measured {sweep.measured} repeats, {sweep.stored} were stored."
    )
    click.echo(f"Cases: {statuses or 'none'}.")
    if sweep.left:
        click.echo(f"{sweep.left} repeats are left; run without --only to measure them.")
    unavailable = sweep.statuses["unavailable"]
    if sweep.failed or unavailable:
        parts = [f"{sweep.failed} failed"] * bool(sweep.failed) + [f"{unavailable} cannot run here"] * bool(unavailable)
        click.echo(f"{' and '.join(parts)}: the report's page has the reasons, --retry measures again.")


def _report(store: Store, run_id: str, output: Path) -> None:
    from nmdl_bench import report as reporting

    paths = reporting.write_report(store, run_id, output)  # first, so that a closed pipe costs no report
    reporting.print_table(store, run_id)
    click.echo(f"Report: {paths['html']}")


@main.command(
    "report",
    epilog=examples(
        "nmdl-bench report quickstart",
        "nmdl-bench report 3f2a --output out/",
    ),
)
@_run_argument
@store_option
@_output_option
@sentences
def report(run_name: str, store: Path, output: Path | None) -> None:
    """Write table, figures and page of a stored RUN.

    RUN is an experiment's name, for its latest run, or the start of a run's id; see `nmdl-bench list runs`.
    """
    from nmdl_bench.runs.store import Store

    with Store.open(store) as opened:
        found = opened.find_run(run_name)
        _report(opened, found.run_id, output or store.parent / found.experiment)


@main.command(
    "export",
    epilog=examples(
        "nmdl-bench export quickstart --to results.parquet",
        "nmdl-bench export quickstart --to results.csv",
    ),
)
@_run_argument
@click.option(
    "--to",
    "target",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="A .parquet, .csv or .json file.",
)
@store_option
@sentences
def export(run_name: str, target: Path, store: Path) -> None:
    """Write the results of a stored RUN as one table.

    It has a row for each measured repeat. RUN is an experiment's name or the start of a run's id.
    """
    from nmdl_bench.contracts import ConfigurationError, UnavailableError

    if target.suffix not in (".parquet", ".csv", ".json"):
        raise ConfigurationError(f"cannot export to {str(target)!r}; its name has to end in .parquet, .csv or .json")

    from nmdl_bench.report.frames import results_frame
    from nmdl_bench.runs.store import Store

    with Store.open(store) as opened:
        frame = results_frame(opened, opened.find_run(run_name).run_id)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.suffix == ".csv":
        frame.to_csv(target, index=False)
    elif target.suffix == ".json":
        frame.to_json(target, orient="records", indent=2)
    else:
        try:
            frame.to_parquet(target, index=False)
        except ImportError:
            raise UnavailableError("Parquet needs pyarrow; pip install 'nmdl-bench[export]'") from None
    click.echo(f"{len(frame)} rows: {target}")


@main.command(
    "doctor",
    epilog=examples(
        "nmdl-bench doctor",
        "nmdl-bench doctor --json",
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@sentences
def doctor(as_json: bool) -> None:
    """Say which array libraries work here."""
    from nmdl_bench.backends import backend_rows

    rows = backend_rows()
    if as_json:
        import json

        click.echo(json.dumps(rows, indent=2))
        return
    from nmdl_bench.runs import listing

    click.echo(listing.table(listing.doctor(rows)))


@main.command(
    "completion",
    epilog=examples(
        'eval "$(nmdl-bench completion bash)"              in ~/.bashrc',
        'eval "$(nmdl-bench completion zsh)"               in ~/.zshrc',
        "nmdl-bench completion fish > ~/.config/fish/completions/nmdl-bench.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    complete = found(main, {}, "nmdl-bench", "_NMDL_BENCH_COMPLETE")
    # not .source(): for bash it starts the system's bash to ask for its version
    click.echo(complete.source_template % complete.source_vars())


if __name__ == "__main__":
    main()
