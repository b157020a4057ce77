"""Krita: Tools > Scripts > Remove objects. The result is a new layer with a transparency mask."""

import tempfile
from pathlib import Path

from krita import Extension, InfoObject, Krita
from PyQt5.QtCore import QByteArray, QCoreApplication, QEventLoop, Qt, QThread
from PyQt5.QtGui import QImage
from PyQt5.QtWidgets import QInputDialog, QMessageBox, QProgressDialog

from .cleanplate_client import Background, CleanplateError, Client, grey_png

_ANY = bytes([0]) + bytes([255]) * 255  # translates a selection into a mask of all it touches
_DEPTHS = ("U8", "U16")


def remove(document, layer, names=None, wait=lambda work: work(lambda text: None)):
    """Insert a layer with the filled hole above another; its mask shows the hole.

    Args:
        document: as Krita gives it.
        layer: a paint layer of it, RGB of 8 or 16 bits.
        names: objects, such as "person,car"; None: the selection.
        wait: calls `work(tell)` and returns its result.
    """
    if layer is None or layer.type() != "paintlayer":
        raise CleanplateError("Choose one paint layer.")
    if layer.colorModel() != "RGBA" or layer.colorDepth() not in _DEPTHS:
        raise CleanplateError("Convert the layer to RGB of 8 or 16 bits first.")
    width, height = document.width(), document.height()
    if names is None:
        if document.selection() is None:
            raise CleanplateError("Nothing is selected.")
        shown = bytes(document.selection().pixelData(0, 0, width, height))
    with tempfile.TemporaryDirectory(prefix="cleanplate-") as made:
        photo = Path(made, "photo.png")
        _save(layer, document, photo)
        content = photo.read_bytes()
        if names is None:
            mask = grey_png(width, height, shown.translate(_ANY))
            filled = wait(lambda tell: Client(tell).fill(content, mask))
        else:
            found = wait(lambda tell: Client(tell).remove(content, names))
            if found is None:
                raise CleanplateError(f"No {names.replace(',', ' or ')} was found.")
            filled, mask = found
            shown = _grey_values(mask).translate(_ANY)
        result = Path(made, "result.png")
        result.write_bytes(filled)
        pixels = _pixels(result, layer, width, height)
    return _insert(document, layer, pixels, shown)


def _save(layer, document, path):
    """Save a layer as a PNG of its depth and profile, as large as the document."""
    options = InfoObject()
    options.setProperty("alpha", True)
    options.setProperty("compression", 1)
    alone = _document(layer, document.width(), document.height(), layer.colorProfile())
    try:
        node = alone.topLevelNodes()[0]
        area = (0, 0, document.width(), document.height())
        node.setPixelData(layer.pixelData(*area), *area)
        alone.refreshProjection()
        alone.waitForDone()
        if not alone.exportImage(str(path), options):
            raise CleanplateError("Krita cannot save this layer as PNG.")
    finally:
        alone.close()


def _document(layer, width, height, profile):
    document = Krita.instance().createDocument(
        width, height, "cleanplate", layer.colorModel(), layer.colorDepth(), profile, 300.0
    )
    document.setBatchmode(True)
    return document


def _pixels(path, layer, width, height):
    """Return the file's pixels in the layer's colour space."""
    opened = Krita.instance().openDocument(str(path))
    opened.setBatchmode(True)
    try:
        opened.setColorSpace(layer.colorModel(), layer.colorDepth(), layer.colorProfile())
        opened.waitForDone()
        return opened.topLevelNodes()[0].pixelData(0, 0, width, height)
    finally:
        opened.close()


def _grey_values(png):
    image = QImage.fromData(png).convertToFormat(QImage.Format_Grayscale8)
    values = bytes(image.constBits().asarray(image.sizeInBytes()))
    row, width = image.bytesPerLine(), image.width()
    return b"".join(values[row * at : row * at + width] for at in range(image.height()))


def _insert(document, layer, pixels, shown):
    """Insert the result above `layer`."""
    area = (0, 0, document.width(), document.height())
    node = document.createNode("Objects removed", "paintlayer")
    node.setPixelData(pixels, *area)
    mask = document.createTransparencyMask("Hole")
    node.addChildNode(mask, None)
    mask.setPixelData(QByteArray(shown), *area)
    layer.parentNode().addChildNode(node, layer)  # last, so that one step of undo takes it away
    document.refreshProjection()
    document.waitForDone()
    return node


class Cleanplate(Extension):
    """The entry in the menu; Krita calls its methods by their names."""

    def setup(self):  # noqa: D102
        pass

    def createActions(self, window):  # noqa: D102, N802
        action = window.createAction("cleanplate_remove", "Remove objects...", "tools/scripts")
        action.triggered.connect(self._run)

    def _run(self):
        document = Krita.instance().activeDocument()
        if document is None:
            return
        parent = Krita.instance().activeWindow().qwindow()
        names = None
        if document.selection() is None:
            names, accepted = QInputDialog.getText(
                parent, "Remove objects", "Objects, such as person,car:", text="person"
            )
            if not accepted or not names.strip():
                return
        try:
            remove(
                document, document.activeNode(), names, lambda work: _show_progress(parent, work)
            )
        except CleanplateError as error:
            QMessageBox.warning(parent, "cleanplate", str(error))


def _show_progress(parent, work):
    """Return what `work(tell)` returns, while a dialog shows what it tells.

    Raises:
        CleanplateError: the user has cancelled.
    """
    running = Background(work)
    dialog = QProgressDialog(running.said, "Cancel", 0, 0, parent)
    dialog.setWindowModality(Qt.ApplicationModal)
    dialog.show()
    while running.is_running() and not dialog.wasCanceled():
        dialog.setLabelText(running.said)
        QCoreApplication.processEvents(QEventLoop.AllEvents, 50)
        QThread.msleep(50)
    cancelled = dialog.wasCanceled()
    dialog.close()
    if cancelled:
        raise CleanplateError("Cancelled; nothing was changed.")
    return running.result()


Krita.instance().addExtension(Cleanplate(Krita.instance()))
