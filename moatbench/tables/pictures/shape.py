"""What stands in an array of pictures: bytes, in the order channels, height, width."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from moatbench.knobs import check_choice

LAYOUTS = ("auto", "nhw", "nhwc", "nchw")
CHANNELS = (1, 3, 4)  # grey, colour, colour with transparency

BLACK, DARK = 16, 64  # up to which, or below which, the brightest pixel of all makes one wonder

Pixels = NDArray[np.uint8]


def as_pixels(values: NDArray[Any], layout: str, where: str) -> Pixels:
    """(n, channels, height, width) bytes of an array of pictures.

    Numbers that are no bytes must be whole ones from 0 to 255, or lie from 0 to 1.

    Args:
        values: of any type and layout.
        layout: nhw, nhwc or nchw; auto finds the axis that can only be the channels.
        where: the array stands, for messages.

    Raises:
        ValueError: the layout is not told, or the numbers are no pixels.
    """
    check_choice("data.layout", layout, LAYOUTS)
    found = _layout(values.shape, where) if layout == "auto" else layout
    if values.ndim != len(found):
        raise ValueError(
            f"{where} must have {len(found)} axes for data.layout={found}, got shape {values.shape}"
        )
    pixels = as_bytes(values, where)
    if found == "nhw":
        return pixels[:, None]
    return pixels if found == "nchw" else np.moveaxis(pixels, -1, 1)


def as_bytes(values: NDArray[Any], where: str) -> Pixels:
    """Return bytes: as they are, whole numbers from 0 to 255, or 255 times those from 0 to 1.

    Whole numbers that are all 0 and 1 may be either, and are refused.
    """
    if values.dtype.kind in "iu" and values.size and values.min() == 0 and values.max() == 1:
        raise ValueError(
            f"{where} must tell its brightest pixel, got whole numbers of 0 and 1 alone; where 1 "
            "is white, save them as booleans, or times 255"
        )
    if values.dtype == np.uint8:
        return np.asarray(values, dtype=np.uint8)
    if values.dtype == np.bool_:
        lit = np.zeros(values.shape, np.uint8)
        lit[values] = 255
        return lit
    if values.dtype.kind not in "iuf" or not values.size:
        raise ValueError(f"{where} must hold numbers, got {values.dtype} of shape {values.shape}")
    low, high = float(values.min()), float(values.max())
    if np.isnan(low):
        raise ValueError(f"{where} must hold pixels, got NaN in some; leave those pictures out")
    if not (low >= 0 and high <= 255):
        raise ValueError(
            f"{where} must hold pixels from 0 to 255, or from 0 to 1, got {low:g} to {high:g}; "
            "undo the normalisation, or shift and scale them"
        )
    if values.dtype.kind == "f" and high <= 1:
        values = values * 255
    whole = np.rint(values)
    if np.abs(values - whole).max() > 1e-3:
        raise ValueError(
            f"{where} must hold 8-bit pixels (whole numbers from 0 to 255, or their 255th parts), "
            f"got {values.ravel()[np.abs(values - whole).argmax()]:g}"
        )
    return np.asarray(whole, dtype=np.uint8)


def darkness(pixels: Pixels, where: str) -> str:
    """Say that pictures are dark, in a line; '' where they are not.

    Those of 0 to 16, as scikit-learn's digits are, or of 0 to 15 are no 8-bit pixels: a network
    would be trained on what is nearly black.

    Args:
        pixels: of all parts.
        where: they stand, for messages.

    Raises:
        ValueError: they are so dark that they must have another white.
    """
    brightest = int(pixels.max(initial=0))
    told = f"the brightest pixel of {where} is {brightest} of 255"
    if not brightest:
        raise ValueError(f"pictures must show something, and all pixels of {where} are 0")
    if brightest <= BLACK:
        raise ValueError(
            f"pictures must use the shades from 0 to 255, and {told}; where that is white, take "
            f"them times {255 / max(brightest, 1):.4g}, and round"
        )
    if brightest >= DARK:
        return ""
    return f"{told}: where that is meant to be white, take all pixels times {255 / brightest:.4g}"


def _layout(shape: tuple[int, ...], where: str) -> str:
    if len(shape) == 3:
        return "nhw"
    if len(shape) == 4:
        first, last = shape[1] in CHANNELS, shape[3] in CHANNELS
        if first != last:
            return "nchw" if first else "nhwc"
        if last and shape[1] == shape[2]:
            return "nhwc"
        if first and shape[2] == shape[3]:
            return "nchw"
    if len(shape) < 3:
        raise ValueError(
            f"{where} must hold pictures, (n, height, width) or with channels, got shape {shape}; "
            "a table goes into CSV or Parquet, data=csv"
        )
    raise ValueError(
        f"{where} has shape {shape}, which does not tell the channels; say data.layout=nhwc, nchw "
        "or nhw"
    )
