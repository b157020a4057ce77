"""The plug-ins in GIMP 3 and Krita themselves, without a display, and the server of this checkout.

Where the two are not installed, CLEANPLATE_TEST_ROOT may name a root file system that has them, for
chroot; docs/contributing.md says how to make one.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from cleanplate.cli import main

ROOT = os.environ.get("CLEANPLATE_TEST_ROOT", "")
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Host:
    """A folder, and how a program runs that sees it as `inside`."""

    folder: Path
    inside: str

    def run(self, *words, **environment):
        """Return what the program prints."""
        variables = [f"{name}={value}" for name, value in environment.items()]
        call = ["env", f"HOME={self.inside}", *variables, *words]
        call = ["chroot", ROOT, *call] if ROOT else call
        ran = subprocess.run(
            call, check=False, stdout=-1, stderr=subprocess.STDOUT, text=True, timeout=300
        )
        return ran.stdout


@pytest.fixture
def host():
    with tempfile.TemporaryDirectory(dir=f"{ROOT}/tmp", prefix="cleanplate-") as folder:
        yield Host(Path(folder), folder.removeprefix(ROOT))


def require(program):
    found = shutil.which(program, path=f"{ROOT}/usr/bin") if ROOT else shutil.which(program)
    if found is None:
        pytest.skip(f"no {program}; set CLEANPLATE_TEST_ROOT")


@pytest.fixture
def install(host, server):
    """Return a function that installs a plug-in for the running server."""

    def install(name, into):
        into.mkdir(parents=True, exist_ok=True)
        assert main(["plugins", "install", name, "--into", str(into)]) == 0
        path = into / "cleanplate/install.json"
        settings = json.loads(path.read_text())
        settings["state"] = f"{host.inside}/server.json"
        path.write_text(json.dumps(settings))

    return install


@pytest.fixture
def server(host):
    words = [sys.executable, "-m", "cleanplate", "serve", "--no-browser", "--port", "0"]
    environment = {**os.environ, "CLEANPLATE_HOME": str(host.folder)}
    process = subprocess.Popen(words, env=environment, stdout=-3, stderr=-3)
    end = time.monotonic() + 60
    while not (host.folder / "server.json").exists():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.1)
    yield
    process.terminate()
    process.wait(30)


@pytest.fixture
def photos(host, astronaut):
    """Write a portrait of 8 and 16 bits and with alpha; the plug-ins' results lie beside them."""
    plain = np.ascontiguousarray(astronaut[:340, 60:350, ::-1])
    deep = plain.astype(np.uint16) * 257
    deep -= np.minimum(deep, (np.arange(290) % 5).astype(np.uint16)[None, :, None])
    alpha = np.full(plain.shape[:2], 255, np.uint8)
    alpha[:60, :60] = 80
    images = {"plain": plain, "deep": deep, "alpha": np.dstack([plain, alpha])}
    for name, image in images.items():
        cv2.imwrite(str(host.folder / f"{name}.png"), image)
    return images


def check(host, photos, said):
    """Compare what a host has written with the photos."""
    for name, source in (*photos.items(), ("selection", photos["deep"])):
        path = host.folder / f"{name}-mask.png"
        assert path.exists(), said
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) > 0
        result = cv2.imread(str(host.folder / f"{name}-result.png"), cv2.IMREAD_UNCHANGED)
        assert result.dtype == source.dtype
        changed = (result[..., :3] != source[..., :3]).any(axis=2)
        assert not changed[~mask].any()
        if name == "selection":
            assert mask[20:100, 20:100].all()
            assert mask.sum() == 6400
        else:
            assert mask[100:300, 100:200].mean() > 0.95  # the person
            assert mask[:5].mean() < 0.1
        assert changed[mask].mean() > 0.8
        if source.shape[2] == 4:
            np.testing.assert_array_equal(result[..., 3], source[..., 3])
    assert "Nothing is selected." in said
    assert "unicorn" in said


GIMP = """
from gi.repository import Gimp, Gio
FOLDER = {folder!r}
QUIET = Gimp.RunMode.NONINTERACTIVE

def file(name):
    return Gio.File.new_for_path(f"{{FOLDER}}/{{name}}.png")

def remove(image, layer, what, names=""):
    procedure = Gimp.get_pdb().lookup_procedure("plug-in-cleanplate-remove")
    config = procedure.create_config()
    config.set_property("run-mode", QUIET)
    config.set_property("image", image)
    config.set_core_object_array("drawables", [layer])
    config.set_property("what", what)
    config.set_property("names", names)
    return procedure.run(config).index(0)

def write(image, name):
    result, before = image.get_layers()
    alone = Gimp.Image.new_with_precision(290, 340, Gimp.ImageBaseType.GRAY, image.get_precision())
    copy = Gimp.Layer.new_from_drawable(result.get_mask(), alone)
    alone.insert_layer(copy, None, 0)
    Gimp.file_save(QUIET, alone, file(name + "-mask"), None)
    image.merge_down(result, Gimp.MergeType.EXPAND_AS_NECESSARY)
    Gimp.file_save(QUIET, image, file(name + "-result"), None)

for name in ("plain", "deep", "alpha"):
    image = Gimp.file_load(QUIET, file(name))
    assert remove(image, image.get_layers()[0], "objects", "person") == Gimp.PDBStatusType.SUCCESS
    write(image, name)
image = Gimp.file_load(QUIET, file("deep"))
(layer,) = image.get_layers()
for what, names in (("selection", ""), ("objects", "unicorn")):
    assert remove(image, layer, what, names) == Gimp.PDBStatusType.EXECUTION_ERROR
    assert len(image.get_layers()) == 1
image.select_rectangle(Gimp.ChannelOps.REPLACE, 20, 20, 80, 80)
assert remove(image, layer, "selection") == Gimp.PDBStatusType.SUCCESS
write(image, "selection")
"""


def test_gimp(host, install, photos):
    require("gimp-console-3.0")
    install("gimp", host.folder / ".config/GIMP/3.0/plug-ins")
    (host.folder / "script.py").write_text(GIMP.format(folder=host.inside))
    said = host.run(
        "gimp-console-3.0", "-i", "-d", "-f", "--batch-interpreter=python-fu-eval",
        "-b", f"exec(open('{host.inside}/script.py').read())", "--quit",
    )  # fmt: skip
    check(host, photos, said)


KRITA = """
import traceback
from krita import InfoObject, Krita, Selection
FOLDER = {folder!r}
krita = Krita.instance()
krita.setBatchmode(True)

def save(document, name):
    options = InfoObject()
    options.setProperty("alpha", True)
    options.setProperty("compression", 1)
    assert document.exportImage(f"{{FOLDER}}/{{name}}.png", options)

def opened(name):
    document = krita.openDocument(f"{{FOLDER}}/{{name}}.png")
    document.setBatchmode(True)
    document.waitForDone()
    return document, document.topLevelNodes()[0]

def write(document, node, name):
    save(document, name + "-result")
    (mask,) = node.childNodes()
    values = bytes(mask.pixelData(0, 0, 290, 340))
    with open(f"{{FOLDER}}/{{name}}-mask.png", "wb") as stream:
        stream.write(cleanplate.grey_png(290, 340, values))
    document.close()

def main(*_):
    try:
        work()
    except BaseException:
        traceback.print_exc()

def work():
    global cleanplate
    import cleanplate
    for name in ("plain", "deep", "alpha"):
        document, layer = opened(name)
        write(document, cleanplate.remove(document, layer, "person"), name)
    document, layer = opened("deep")
    for names in (None, "unicorn"):
        try:
            cleanplate.remove(document, layer, names)
        except cleanplate.CleanplateError as error:
            print(error, flush=True)
        assert len(document.topLevelNodes()) == 1
    selection = Selection()
    selection.select(20, 20, 80, 80, 255)
    document.setSelection(selection)
    document.waitForDone()
    write(document, cleanplate.remove(document, layer), "selection")
"""


def test_krita(host, install, photos):
    require("kritarunner")
    install("krita", host.folder)
    (host.folder / "script.py").write_text(KRITA.format(folder=host.inside))
    said = host.run(
        "kritarunner", "-s", "script", "-f", "main",
        QT_QPA_PLATFORM="offscreen", PYTHONPATH=host.inside,
    )  # fmt: skip
    check(host, photos, said)
