"""Pictures of what a network sees, drawn from plain arrays with Pillow. No TensorFlow."""
