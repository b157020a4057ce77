"""Registered prompters with stand-ins for their networks."""

import pytest
from prompters_builders import write_stand_ins

from cleanplate.hub.registry import get_model
from cleanplate.hub.store import install
from cleanplate.segmentation.interactive import create_prompter


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory):
    """Return what creates a registered prompter whose networks are stand-ins."""
    created = {}

    def create(name):
        if name not in created:
            folder = tmp_path_factory.mktemp("stand_in")
            model = get_model(name, "prompter")
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("CLEANPLATE_HOME", str(folder / "home"))
                install(model, write_stand_ins(folder, model.family), origin="own")
                created[name] = create_prompter(name, device="cpu", threads=1)
        return created[name]

    return create
