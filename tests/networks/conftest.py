"""Tests of networks work on any backend of Keras, which is chosen once a process; none of them computes in process."""

import os
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "openvino")
sys.modules.setdefault("openvino_telemetry", None)

sys.path.insert(0, str(Path(__file__).parent))
