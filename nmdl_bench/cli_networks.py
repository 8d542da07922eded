"""The commands about networks: what they are made of, and textbook figures."""

from __future__ import annotations

from pathlib import Path

import click

from nmdl_bench.cli_parts import examples, plugin_option, sentences, store_option


@click.command(
    "inspect",
    epilog=examples(
        "nmdl-bench inspect spirals",
        "nmdl-bench inspect spirals -o rhs=hamiltonian -o integrator=verlet --train lbfgs --figures out/",
        "nmdl-bench inspect parabolic-cifar10",
        "nmdl-bench inspect quickstart/spirals/lbfgs --figures",
    ),
)
@click.argument("target")
@click.option("-o", "--option", "pairs", multiple=True, metavar="KEY=VALUE", help="Option of the problem.")
@click.option("--train", "solver", metavar="SOLVER", help="Train first, with this solver.")
@click.option("--iterations", type=click.IntRange(min=1), default=200, show_default=True, help="Of the training.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Draws data and weights.")
@click.option(
    "--figures",
    type=click.Path(file_okay=False, path_type=Path),
    is_flag=False,
    flag_value=Path(),
    metavar="[DIR]",
    help="Draw all pictures that apply; without DIR, to a folder beside the store.",
)
@click.option("--backend", default="numpy", show_default=True, help="Where it is computed.")
@plugin_option
@store_option
@sentences
def inspect(
    target: str,
    pairs: tuple[str, ...],
    solver: str | None,
    iterations: int,
    seed: int,
    figures: Path | None,
    backend: str,
    plugins: tuple[Path, ...],
    store: Path,
) -> None:
    """Show what a network is made of, and draw what it does.

    TARGET is a problem, a preset, or RUN/PROBLEM/SOLVER for what a solver found in a stored run. Pictures: spectra with
    the integrator's stability region, growth of perturbations, energy, decision regions, loss landscape, kernels.
    """
    from nmdl_bench.backends import get_backend
    from nmdl_bench.report import inspect as inspecting
    from nmdl_bench.runs.plugins import load_all
    from nmdl_bench.studies.inspection import find, train

    load_all(plugins)
    given = inspecting.options(pairs)
    subject = find(target, given, store, seed)
    with inspecting.progress(target) as tick:
        if solver:
            tick(f"training by {solver}", 0.0)
            subject = train(subject, solver, iterations, get_backend(backend), seed)
        click.echo(inspecting.table(subject))
        if figures is not None:
            folder = store.parent / inspecting.folder_name(target) if figures == Path() else figures
            settings = {"target": target, "options": given, "train": solver, "iterations": iterations, "seed": seed}
            lines = inspecting.draw(subject, backend, folder, settings, tick, seed)
            click.echo("\n" + "\n".join(lines))


@click.command(
    "study",
    epilog=examples(
        "nmdl-bench study reports/course/stability.toml",
        "nmdl-bench study reports/course/swiss-roll.toml --output out/",
    ),
)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--output", type=click.Path(file_okay=False, path_type=Path), help="Folder; default: its name, beside FILE."
)
@sentences
def study(file: Path, output: Path | None) -> None:
    """Compute and draw the textbook figures that a study FILE describes."""
    from nmdl_bench.report.inspect import progress
    from nmdl_bench.report.pictures import write
    from nmdl_bench.studies.load import load

    described = load(file)
    with progress(described.name) as tick:
        found = described.run(tick)
        tick("figures", 0.95)
        folder = output or file.parent / described.name
        paths = write(found, folder, described.title, described.as_dict(), described.width)
    for picture in found.pictures:
        click.echo(f"{picture.name}: {paths[f'{picture.name}.pdf']}")
    click.echo(f"Captions: {paths['page']}")
