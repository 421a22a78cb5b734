"""Small configs of every model, each trained in a second or two: one per kind of data and network.

`tests/test_models.py` trains, stops, resumes, samples and draws each of them.
"""

from __future__ import annotations

from typing import Any

SMALL: dict[str, list[dict[str, Any]]] = {
    "neuron": [{"epochs": 3}],
    "lenet": [{"dataset": "digits", "images": 96, "epochs": 2}],
}
