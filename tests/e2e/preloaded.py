"""What the process imports from which commands are forked: all but Ray.

Ray starts threads, and reads when it is imported how clusters authenticate.
"""

import gc
import importlib
import pkgutil

import xnas_tf.cli

for module in pkgutil.walk_packages(xnas_tf.__path__, "xnas_tf."):
    if not module.name.endswith("__main__") and ".ray" not in module.name:
        importlib.import_module(module.name)

for name in ("tf_explain", "tensorboard.summary", "sklearn.linear_model", "rich.progress"):
    importlib.import_module(name)

gc.collect()
gc.freeze()  # as in tests/conftest.py; and collections then copy no pages of the processes forked
