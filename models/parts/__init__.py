"""Parts of the models: their data sets, layers, training, decoding and measures."""
