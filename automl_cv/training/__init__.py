"""Training in steps, so far as it needs no TensorFlow: epochs, schedules, heads of one layer."""
