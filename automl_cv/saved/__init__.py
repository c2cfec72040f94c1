"""Saved classifiers as folders of files: what is in them, and what is refused. No TensorFlow.

DIR/
  bundle.json     what predicting, evaluating and exporting need to know; hashes of the files
  model.keras     one graph, from raw uint8 images of any size to probabilities
  classes.json    names of the classes, in the order of the probabilities
  trained_on.bin  hashes of the images that it was trained on
  card.md         the model card, for people; may be edited
  evaluations.json  looks at evaluated images, once there were any
"""
