import sys
from pathlib import Path

# the helpers of this folder and the one above are imported by name
sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1])]
