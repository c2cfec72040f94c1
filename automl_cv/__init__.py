"""automl-cv: stage-wise Optuna studies for image classification on frozen ResNet features."""

__version__ = "0.1.0"
