"""ComfyUI: nodes that find and remove objects; the loader calls `comfy_entrypoint`."""

from comfy_api.latest import ComfyExtension

from .nodes import NODES


class Cleanplate(ComfyExtension):
    """The nodes."""

    async def get_node_list(self):
        """Return the classes of the nodes."""
        return NODES


async def comfy_entrypoint():
    """Return the extension."""
    return Cleanplate()
