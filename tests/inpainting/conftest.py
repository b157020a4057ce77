"""Stand-ins for inpainters whose weights are not here."""

from collections.abc import Callable

import pytest

from cleanplate.inpainting import create_inpainter
from cleanplate.inpainting.base import Inpainter


@pytest.fixture(scope="session")
def standin(tmp_path_factory) -> Callable[[str], Inpainter]:
    """Return what creates an inpainter by its registered name, with a stand-in for its networks."""
    pytest.importorskip("onnx")
    from inpainters_standins import install_standin

    home = tmp_path_factory.mktemp("standins")

    def create(name: str) -> Inpainter:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CLEANPLATE_HOME", str(home))
            install_standin(name, home)
            return create_inpainter(name, device="cpu")

    return create
