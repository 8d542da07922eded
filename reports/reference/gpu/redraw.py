"""Redraw the figures of this report from the CSV files in data/, without the results they came from.

python redraw.py                        as they are
python redraw.py --width column         at the width of one column of a journal (3.35 in)
python redraw.py --format pdf           PDF only

Colours are in data/styles.csv and may be edited there.
"""

import argparse
from pathlib import Path

from nmdl_bench.report.figures import redraw

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--width", choices=["text", "column"], default="text")
parser.add_argument("--format", choices=["pdf", "svg", "png"], nargs="+", default=["pdf", "svg", "png"])
arguments = parser.parse_args()
for path in redraw(Path(__file__).resolve().parent, arguments.width, arguments.format):
    print(path)
