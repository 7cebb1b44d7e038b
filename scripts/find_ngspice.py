"""Exit with 0 if libngspice loads, with 1 if not."""

import ctypes.util
import os
import sys

sys.exit(not (os.environ.get("NGSPICE_LIBRARY_PATH") or ctypes.util.find_library("ngspice")))
