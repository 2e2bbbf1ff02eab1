"""A small SAM 3 of our own: scenes, training and evaluation of the model that the package embeds."""
