"""The only room that imports TensorFlow and Keras.

The variables below are read when TensorFlow loads, so they are set before any module of
this room can load it. On AMD processors oneDNN is off by default; with it a head's epoch
takes 8 ms instead of 18 and a ResNet50 does 20 images/s instead of 16 (measured on 2 cores).
"""

import os

from automl_cv.loading import without_needless

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

# Threads are set before anything of this room, and so of the process, runs an operation.
with without_needless():
    from automl_cv.engine import runtime as runtime
