"""Stand-ins for networks of prompters, which compute what a test can foresee."""

import numpy as np
import pytest

RADIUS = 20  # of the first mask, in cells of 4 px of what the network sees
GROWTH = 8  # by which the radius of each of the others is larger
SCORES = (0.4, 0.5, 0.9, 0.7)

# A disc around the first point, or inside the box of the first two; the other masks are larger.
_PROMPT = """
<ir_version: 8, opset_import: ["" : 18]>
stand_in ({features}, float[1, N, 2] points, int64[1, N] labels)
    => (float[1, 4, 256, 256] masks, float[1, 4] scores)
<float[1, 4, 1, 1] radius, float[1, 4] constant, float[1, 1, 1, 256] xs, float[1, 1, 256, 1] ys,
 int64[1] zero = {{0}}, int64[1] one = {{1}}, int64[1] two = {{2}}, float cell = {{4.0}},
 int64[1] axis = {{2}}>
{{
  first = Slice (points, zero, one, one)
  x_px = Slice (first, zero, one, axis)
  y_px = Slice (first, one, two, axis)
  x = Div (x_px, cell)
  y = Div (y_px, cell)
  across = Sub (xs, x)
  down = Sub (ys, y)
  across_squared = Mul (across, across)
  down_squared = Mul (down, down)
  squared = Add (across_squared, down_squared)
  distance = Sqrt (squared)
  masks = Sub (radius, distance)
  scores = Identity (constant)
}}
"""

# The mean of every 16 x 16 px, in place of features.
_IMAGE = """
<ir_version: 8, opset_import: ["" : 18]>
stand_in (float[1, 3, 1024, 1024] image) => ({features})
{{
  coarse = AveragePool <kernel_shape = [16, 16], strides = [16, 16]> (image)
  {finer}
}}
"""

_SAM_FEATURES = "float[1, 3, 64, 64] coarse"
_SAM2_FEATURES = f"{_SAM_FEATURES}, float[1, 3, 128, 128] middle, float[1, 3, 256, 256] fine"
_FINER = """
  middle = AveragePool <kernel_shape = [8, 8], strides = [8, 8]> (image)
  fine = AveragePool <kernel_shape = [4, 4], strides = [4, 4]> (image)
"""


def write_stand_ins(folder, family):
    """Write the two ONNX files of a family and return them by role."""
    onnx = pytest.importorskip("onnx")
    from onnx import numpy_helper, parser

    features = _SAM2_FEATURES if family == "sam2" else _SAM_FEATURES
    image = parser.parse_model(
        _IMAGE.format(features=features, finer=_FINER if family == "sam2" else "")
    )
    prompt = parser.parse_model(_PROMPT.format(features=features))
    cells = np.arange(256, dtype=np.float32) + 0.5
    values = {
        "radius": (RADIUS + GROWTH * np.arange(4, dtype=np.float32)).reshape(1, 4, 1, 1),
        "constant": np.array([SCORES], np.float32),
        "xs": cells.reshape(1, 1, 1, 256),
        "ys": cells.reshape(1, 1, 256, 1),
    }
    kept = [tensor for tensor in prompt.graph.initializer if tensor.name not in values]
    del prompt.graph.initializer[:]
    prompt.graph.initializer.extend(kept)
    prompt.graph.initializer.extend(
        numpy_helper.from_array(array, name) for name, array in values.items()
    )
    paths = {"image": folder / "image.onnx", "prompt": folder / "prompt.onnx"}
    onnx.save(image, paths["image"])
    onnx.save(prompt, paths["prompt"])
    return paths
