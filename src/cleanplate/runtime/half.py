"""Networks in half precision, made of the files in single precision when they are loaded."""

from cleanplate.errors import DeviceError


def in_half_precision(content: bytes, *, device: str) -> bytes:
    """Return a network that computes in float16, and takes and gives what it did before.

    Operators that must not or cannot (positions and sizes, comparisons of them) stay as they are.

    Args:
        content: bytes of an ONNX file.
        device: what asked for it, for the message.

    Raises:
        DeviceError: the package `onnx` is not installed.
        Exception: whatever `onnx` says of a broken file.
    """
    try:
        import onnx
        from onnxruntime.transformers.float16 import convert_float_to_float16
    except ImportError as error:
        raise DeviceError(device, f"{error}; it needs 'pip install onnx'") from error
    halved = convert_float_to_float16(onnx.load_model_from_string(content), keep_io_types=True)
    half: bytes = halved.SerializeToString()
    return half
