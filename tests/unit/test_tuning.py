"""Settings of the process for long runs."""

import subprocess
import sys

SCRIPT = """
import gc, os
import ingest
from ingest.service.tuning import tune
tune()
print(gc.get_freeze_count() > 0, gc.get_threshold()[0], os.environ["OPENBLAS_NUM_THREADS"])
import numpy as np
print(int(np.ones(1 << 24).sum()))
"""


def test_the_settings_are_made_and_the_process_lives_on():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == ["True 100000 1", str(1 << 24)]
