"""The figure: boxes, texts and frames, ready for any layout."""
