"""The pictures that the models make of themselves, one file a model.

A model draws some of them while it is trained, and the others at the end, with `write_pictures`.
"""
