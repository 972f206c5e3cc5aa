"""What the launcher of Flex templates starts: the program that the image is for, as a module.

Its functions are then known to workers by name; those of a file that is started itself would be sent to them.
"""

from __future__ import annotations

import importlib
import os

if __name__ == "__main__":
    importlib.import_module(os.environ["BEAM_OBS_PROGRAM"]).main()
