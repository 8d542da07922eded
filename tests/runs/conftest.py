import sys
from pathlib import Path

# the helpers of this folder are imported by name; its scripts are not part of the package
sys.path.insert(0, str(Path(__file__).resolve().parent))
