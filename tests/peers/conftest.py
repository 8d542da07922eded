import sys
from pathlib import Path

# the helpers of this folder are imported by name
sys.path.insert(0, str(Path(__file__).resolve().parent))
