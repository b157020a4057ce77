"""Small ONNX files with the inputs and outputs of published models, and contents easy to check.

They stand in for weights that are not here: what the adapters hand over and make of the answer is
tested with them.
"""

from pathlib import Path

from cleanplate.hub.registry import get_model
from cleanplate.hub.store import install

HOLE_LEVEL, KNOWN_LEVEL = 200, 17  # what the stand-in for MI-GAN paints


def install_standin(name: str, folder: Path) -> None:
    """Install a stand-in under a registered name; CLEANPLATE_HOME must be the test's own."""
    model = get_model(name)
    files = {}
    for file in model.files:
        files[file.role] = folder / f"{name}-{file.role}.onnx"
        files[file.role].write_bytes(standin_file(name, file.role))
    install(model, files, origin="own")


def standin_file(name: str, role: str) -> bytes:
    """Return the content of an ONNX file that can be installed for a role of a model."""
    makers = {
        "edgeconnect_published": _edgeconnect,
        "lama": _lama,
        "lama_onnx": _lama_onnx,
        "migan": _migan,
    }
    return makers[get_model(name).family](role)


def _edgeconnect(role: str) -> bytes:
    """Edges: the planes' mean. Fill: half the colours, and a third of the edges."""
    from onnx.helper import make_node

    wide = 3 if role == "edges" else 4
    if role == "edges":
        nodes = [make_node("ReduceMean", ["planes", "axes"], ["edges"], keepdims=1)]
        return _model(nodes, {"planes": ("float", wide)}, {"edges": ("float", 1)}, axes=[1])
    nodes = [
        make_node("Split", ["planes", "parts"], ["rgb_in", "edges"], axis=1),
        make_node("Mul", ["rgb_in", "half"], ["dim"]),
        make_node("Mul", ["edges", "third"], ["lines"]),
        make_node("Add", ["dim", "lines"], ["rgb"]),
    ]
    return _model(
        nodes, {"planes": ("float", wide)}, {"rgb": ("float", 3)}, parts=[3, 1], half=0.5,
        third=1 / 3,
    )  # fmt: skip


def _mean_of_known(level: float) -> list[object]:
    """Return nodes that paint all of the picture in the mean colour of what is known."""
    from onnx.helper import make_node

    return [
        make_node("Sub", ["one", "mask"], ["known"]),
        make_node("Mul", ["image", "known"], ["seen"]),
        make_node("ReduceSum", ["seen", "axes"], ["total"]),
        make_node("ReduceSum", ["known", "axes"], ["count"]),
        make_node("Max", ["count", "one"], ["enough"]),
        make_node("Div", ["total", "enough"], ["mean"]),
        make_node("Mul", ["image", "zero"], ["black"]),
        make_node("Add", ["black", "mean"], ["flat"]),
        make_node("Mul", ["flat", "level"], ["rgb"]),
    ]


def _lama(_: str, size: int | None = None, level: float = 1.0) -> bytes:
    return _model(
        _mean_of_known(level),
        {"image": ("float", 3), "mask": ("float", 1)},
        {"rgb": ("float", 3)},
        size=size, one=1.0, zero=0.0, level=level, axes=[2, 3],
    )  # fmt: skip


def _lama_onnx(role: str) -> bytes:
    return _lama(role, 512, 255.0)


def _migan(_: str) -> bytes:
    """Paint the hole and what is known in two greys; only 255 is known."""
    from onnx.helper import make_node

    nodes = [
        make_node("Cast", ["mask"], ["wide_mask"], to=6),
        make_node("Equal", ["wide_mask", "full"], ["known"]),
        make_node("Where", ["known", "known_level", "hole_level"], ["grey"]),
        make_node("Cast", ["grey"], ["levels"], to=2),
        make_node("Concat", ["levels", "levels", "levels"], ["result"], axis=1),
    ]
    return _model(
        nodes,
        {"image": ("uint8", 3), "mask": ("uint8", 1)},
        {"result": ("uint8", 3)},
        full=255, known_level=KNOWN_LEVEL, hole_level=HOLE_LEVEL,
    )  # fmt: skip


def _model(
    nodes: list[object],
    inputs: dict[str, tuple[str, int]],
    outputs: dict[str, tuple[str, int]],
    size: int | None = None,
    **constants: float | list[int],
) -> bytes:
    from onnx import TensorProto, helper

    types = {"float": TensorProto.FLOAT, "uint8": TensorProto.UINT8}

    def ports(named: dict[str, tuple[str, int]]) -> list[object]:
        return [
            helper.make_tensor_value_info(
                name, types[kind], ["n", channels, size or "h", size or "w"]
            )
            for name, (kind, channels) in named.items()
        ]

    values = [
        helper.make_tensor(name, TensorProto.INT64, [len(value)], value)
        if isinstance(value, list)
        else helper.make_tensor(
            name, TensorProto.FLOAT if isinstance(value, float) else TensorProto.INT32, [], [value]
        )
        for name, value in constants.items()
    ]
    graph = helper.make_graph(nodes, "standin", ports(inputs), ports(outputs), values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return bytes(model.SerializeToString())
