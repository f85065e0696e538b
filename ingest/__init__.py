"""Application logs to Kafka to Parquet: every line exactly once."""

import os

__version__ = "0.1.0"

# numpy's BLAS starts a thread for each core, which spins for a tenth of a second before it finds nothing to do. It must
# hear of this before numpy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
