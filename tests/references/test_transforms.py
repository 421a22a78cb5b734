"""Transforms of pictures against torchvision: on pictures of 8 bits to the last bit, on floats."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import v2 as theirs
from torchvision.transforms._presets import ImageClassification

from tinygrad_gm.data import read_image
from tinygrad_gm.data import transforms as ours

SIZES = [(224, 224), (300, 400), (400, 300), (60, 500), (33, 47), (256, 512)]
MODES = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("interpolation", MODES)
def test_the_preprocessing_of_a_file_is_torchvisions(tmp_path, size, interpolation):
    pixels = RNG.integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    preset = ImageClassification(crop_size=224, interpolation=MODES[interpolation])
    wanted = preset(Image.open(tmp_path / "picture.png")).numpy()
    preprocess = ours.ImageClassification(interpolation=interpolation)
    found = preprocess(read_image(tmp_path / "picture.png")[None]).numpy()[0]
    np.testing.assert_allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize("size", [20, 90, (17, 80)])
@pytest.mark.parametrize("interpolation", MODES)
def test_floats_are_resized_as_its_tensors_are(size, interpolation):
    images = RNG.random((2, 3, 45, 61), np.float32)
    resize = theirs.Resize(size, MODES[interpolation], antialias=True)
    found = ours.Resize(size, interpolation)(images).numpy()
    np.testing.assert_allclose(found, resize(torch.tensor(images)).numpy(), atol=2e-5)


@pytest.mark.parametrize("size", [3, 8, (4, 12), (9, 5), 20])
def test_centres_are_cropped_where_it_crops_them(size):
    images = RNG.random((2, 3, 8, 11), np.float32)
    wanted = theirs.CenterCrop(size)(torch.tensor(images)).numpy()
    np.testing.assert_array_equal(ours.CenterCrop(size)(images).numpy(), wanted)
