"""The numbers of docs/demo-model.md: what the model answers through the Node library, against what is true of held-out scenes."""
