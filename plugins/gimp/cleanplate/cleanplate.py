#!/usr/bin/env python3
"""GIMP 3: Filters > Enhance > Remove objects. The result is a new layer with a mask."""

import sys
import tempfile
from pathlib import Path

import gi

gi.require_version("Gimp", "3.0")
gi.require_version("GimpUi", "3.0")
gi.require_version("Gegl", "0.4")
from cleanplate_client import Background, CleanplateError, Client, grey_png  # noqa: E402
from gi.repository import Gegl, Gimp, GimpUi, Gio, GLib, GObject  # noqa: E402

NAME = "plug-in-cleanplate-remove"
_OBJECTS, _SELECTION = "objects", "selection"
_ANY = bytes([0]) + bytes([255]) * 255  # translates a selection into a mask of all it touches


class Cleanplate(Gimp.PlugIn):
    """The plug-in; GIMP calls its methods by their names."""

    def do_query_procedures(self):
        """Return the names of the procedures."""
        return [NAME]

    def do_set_i18n(self, name):
        """Return that there are no translations."""
        return False

    def do_create_procedure(self, name):
        """Return the procedure."""
        procedure = Gimp.ImageProcedure.new(self, name, Gimp.PDBProcType.PLUGIN, self.run, None)
        procedure.set_image_types("RGB*, GRAY*")
        procedure.set_menu_label("Remove _objects...")
        procedure.add_menu_path("<Image>/Filters/Enhance")
        procedure.set_documentation(
            "Remove objects from a photo",
            "Finds the named objects, or takes the selection, and fills what was behind them on a "
            "new layer with a mask. Computes on this computer, by cleanplate.",
            name,
        )
        procedure.set_attribution("The cleanplate developers", "Apache-2.0", "2026")
        choice = Gimp.Choice.new()
        choice.add(_OBJECTS, 0, "Objects by name", "")
        choice.add(_SELECTION, 1, "The selection", "")
        both = GObject.ParamFlags.READWRITE
        procedure.add_choice_argument("what", "Re_move", "What is removed", choice, _OBJECTS, both)
        procedure.add_string_argument(
            "names", "_Names", "Objects, such as person,car", "person", both
        )
        return procedure

    def run(self, procedure, run_mode, image, drawables, config, data):
        """Remove what the configuration says from the chosen layer."""
        if run_mode == Gimp.RunMode.INTERACTIVE:
            GimpUi.init("cleanplate")
            dialog = GimpUi.ProcedureDialog.new(procedure, config, "Remove objects")
            dialog.fill(None)
            accepted = dialog.run()
            dialog.destroy()
            if not accepted:
                return procedure.new_return_values(Gimp.PDBStatusType.CANCEL, None)
        Gegl.init(None)
        try:
            remove(image, drawables, config.get_property("what"), config.get_property("names"))
        except CleanplateError as error:
            failure = GLib.Error.new_literal(Gimp.PlugIn.error_quark(), str(error), 0)
            return procedure.new_return_values(Gimp.PDBStatusType.EXECUTION_ERROR, failure)
        return procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, None)


def remove(image, drawables, what, names):
    """Insert a layer with the filled hole above the chosen one; its mask shows the hole.

    Raises:
        CleanplateError: nothing was changed.
    """
    if len(drawables) != 1 or not isinstance(drawables[0], Gimp.Layer):
        raise CleanplateError("Choose one layer.")
    layer = drawables[0]
    width, height = layer.get_width(), layer.get_height()
    if what == _SELECTION:
        shown = selection_of(image, layer)
        mask = grey_png(width, height, shown.translate(_ANY))
    with tempfile.TemporaryDirectory(prefix="cleanplate-") as made:
        photo, result = Path(made, "photo.png"), Path(made, "result.png")
        save(image, layer, photo)
        if what == _SELECTION:
            filled = in_background(lambda tell: Client(tell).fill(photo.read_bytes(), mask))
        else:
            found = in_background(lambda tell: Client(tell).remove(photo.read_bytes(), names))
            if found is None:
                raise CleanplateError(f"No {names.replace(',', ' or ')} was found.")
            filled, mask = found
            shown = grey_values(mask, Path(made, "mask.png")).translate(_ANY)
        result.write_bytes(filled)
        insert(image, layer, result, shown)
    Gimp.displays_flush()


def selection_of(image, layer):
    """Return the selection in the layer, a byte a pixel.

    Raises:
        CleanplateError: it is empty.
    """
    if Gimp.Selection.is_empty(image):
        raise CleanplateError("Nothing is selected.")
    _, left, top = layer.get_offsets()
    values = read(image.get_selection(), left, top, layer.get_width(), layer.get_height())
    if not any(values):
        raise CleanplateError("The selection is outside the layer.")
    return values


def read(drawable, left, top, width, height):
    """Return the values of a grey drawable, a byte a pixel; 0 outside it."""
    area = Gegl.Rectangle.new(left, top, width, height)
    return drawable.get_buffer().get(area, 1.0, "Y u8", Gegl.AbyssPolicy.NONE)


def save(image, layer, path):
    """Save a layer as a PNG of the image's depth and profile."""
    alone = Gimp.Image.new_with_precision(
        layer.get_width(), layer.get_height(), image.get_base_type(), image.get_precision()
    )
    try:
        if profile := image.get_color_profile():
            alone.set_color_profile(profile)
        copy = Gimp.Layer.new_from_drawable(layer, alone)
        alone.insert_layer(copy, None, 0)
        copy.set_offsets(0, 0)
        copy.set_opacity(100)
        copy.set_visible(True)
        if copy.get_mask():
            copy.remove_mask(Gimp.MaskApplyMode.DISCARD)
        export = Gimp.get_pdb().lookup_procedure("file-png-export")
        config = export.create_config()
        config.set_property("image", alone)
        config.set_property("file", Gio.File.new_for_path(str(path)))
        config.set_property("save-transparent", True)  # colours that alpha hides
        for unused in ("include-exif", "include-iptc", "include-xmp", "include-thumbnail"):
            config.set_property(unused, False)
        outcome = export.run(config).index(0)
        if outcome != Gimp.PDBStatusType.SUCCESS:
            raise CleanplateError("GIMP cannot save this layer as PNG.")
    finally:
        alone.delete()


def grey_values(png, path):
    """Return the values of a grey PNG."""
    path.write_bytes(png)
    mask = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path(str(path)))
    try:
        return read(mask.get_layers()[0], 0, 0, mask.get_width(), mask.get_height())
    finally:
        mask.delete()


def insert(image, layer, result, shown):
    """Insert the result above `layer`, as one undo step."""
    image.undo_group_start()
    try:
        file = Gio.File.new_for_path(str(result))
        new = Gimp.file_load_layer(Gimp.RunMode.NONINTERACTIVE, image, file)
        new.set_name("Objects removed")
        image.insert_layer(new, layer.get_parent(), image.get_item_position(layer))
        _, left, top = layer.get_offsets()
        new.set_offsets(left, top)
        mask = new.create_mask(Gimp.AddMaskType.BLACK)
        new.add_mask(mask)
        width, height = new.get_width(), new.get_height()
        buffer = mask.get_buffer()
        buffer.set(Gegl.Rectangle.new(0, 0, width, height), "Y u8", shown)
        buffer.flush()
        mask.update(0, 0, width, height)
    finally:
        image.undo_group_end()


def in_background(work):
    """Return what `work(tell)` returns, while the progress bar moves."""
    running = Background(work)
    Gimp.progress_init(running.said)
    while running.is_running(within_s=0.2):
        Gimp.progress_set_text(running.said)
        Gimp.progress_pulse()
    Gimp.progress_end()
    return running.result()


Gimp.main(Cleanplate.__gtype__, sys.argv)
