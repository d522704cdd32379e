"""Images out of distribution that are made here."""

import numpy as np

from benchmarks.study import strange
from benchmarks.study.strange import FAR, strange_images


def test_far_images_are_pixels_and_the_same_each_time(monkeypatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    near = np.zeros((5, 32, 32, 3), np.uint8)
    monkeypatch.setattr(strange, "_cifar100", lambda root, rows: near[:rows])
    found, again = strange_images(tmp_path, 12), strange_images(tmp_path, 12)
    for name in FAR:
        assert found[name].shape == (12, 32, 32, 3)
        assert found[name].dtype == np.uint8
        assert np.array_equal(found[name], again[name])
        assert found[name].std(axis=(1, 2, 3)).min() > 0
    # Grey digits; two colours of a texture; noise that differs from pixel to pixel.
    assert np.array_equal(found["digits"][..., 0], found["digits"][..., 2])
    checks = found["textures"][1].reshape(-1, 3)
    assert len(np.unique(checks, axis=0)) == 2
    rows = found["noise"][0].astype(int)
    assert abs(np.corrcoef(rows[:-1].ravel(), rows[1:].ravel())[0, 1]) < 0.1
