"""The HTTP API and the page: `cleanplate serve`. It needs the extra `serve`."""

from cleanplate.server.app import create_app
from cleanplate.server.compat import COMPAT
from cleanplate.server.serving import edit_photo, serve
from cleanplate.server.state import App, ServerConfig

__all__ = ["COMPAT", "App", "ServerConfig", "create_app", "edit_photo", "serve"]
