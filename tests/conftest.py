"""What every test shares: one thread each, and nothing of the developer's own.

Set before torch is imported, which reads the thread settings once.  The tests run beside each
other (``pytest -n 2``), where threads that spin while they wait make each other collapse.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
os.environ.pop("TAPETUM_DATA", None)
