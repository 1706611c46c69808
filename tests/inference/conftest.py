"""Tests of inference share the small networks from elsewhere with those of networks."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "networks"))
