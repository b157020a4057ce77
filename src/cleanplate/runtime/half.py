"""Conversion of networks to half precision at load time."""

from cleanplate.errors import DeviceError


def in_half_precision(content: bytes, *, device: str) -> bytes:
    """Return a network that computes in float16, with unchanged input and output types.

    Operators that must not or cannot be converted (positions, sizes, comparisons) stay in float32.

    Args:
        content: bytes of an ONNX file.
        device: the requested device, for messages.

    Raises:
        DeviceError: the package `onnx` is not installed.
        Exception: raised by `onnx` for a damaged file.
    """
    try:
        import onnx
        from onnxruntime.transformers.float16 import convert_float_to_float16
    except ImportError as error:
        raise DeviceError(device, f"{error}; it needs 'pip install onnx'") from error
    halved = convert_float_to_float16(onnx.load_model_from_string(content), keep_io_types=True)
    half: bytes = halved.SerializeToString()
    return half
