"""Faces in metadata: turned with the photo; those of who was removed go, with their names."""

import re

import numpy as np
import pytest
from images_builders import box_mask, saved
from PIL import Image

from cleanplate.io.files import encode_photo, read_photo
from cleanplate.io.metadata import drop_regions
from cleanplate.io.metadata.exif import clean_exif, turn_subject
from cleanplate.io.metadata.regions import turn_regions
from cleanplate.io.photo import apply_orientation

SIZE_HW = 40, 80
BOXES = {"Ada": (10, 20, 20, 36), "Bert": (0, 50, 20, 66)}  # top, left, bottom, right


def face(name, box, kind, size_hw):
    height, width = size_hw
    top, left, bottom, right = box
    w, h = (right - left) / width, (bottom - top) / height
    if kind == "Microsoft":
        return (
            f'<rdf:li><rdf:Description MPReg:PersonDisplayName="{name}" '
            f'MPReg:Rectangle="{left / width}, {top / height}, {w}, {h}"/></rdf:li>'
        )
    if kind.startswith("IPTC"):
        return iptc_region(name, (left / width, top / height, w, h), kind, size_hw)
    x, y = left / width + w / 2, top / height + h / 2
    if kind == "elements":
        values = {"x": x, "y": y, "w": w, "h": h}
        area = "".join(f"<stArea:{key}>{value}</stArea:{key}>" for key, value in values.items())
        return (
            f'<rdf:li rdf:parseType="Resource"><mwg-rs:Name>{name}</mwg-rs:Name><mwg-rs:Area>{area}'
            "</mwg-rs:Area><mwg-rs:Extensions><rdf:Bag><rdf:li>more</rdf:li></rdf:Bag>"
            "</mwg-rs:Extensions></rdf:li>"
        )
    unit = "normalized"
    if kind == "pixels":
        x, y, w, h, unit = x * width, y * height, w * width, h * height, "pixel"
    return (
        f'<rdf:li><rdf:Description mwg-rs:Name="{name}" mwg-rs:Type="Face"><mwg-rs:Area '
        f'stArea:x="{x}" stArea:y="{y}" stArea:w="{w}" stArea:h="{h}" stArea:unit="{unit}"/>'
        "</rdf:Description></rdf:li>"
    )


def iptc_region(name, ltwh, kind, size_hw):
    left, top, w, h = ltwh
    points, values, unit = [(left, top)], {"W": w, "H": h}, "relative"
    if kind == "IPTC pixels":
        height, width, unit = *size_hw, "pixel"
        points, values = [(left * width, top * height)], {"W": w * width, "H": h * height}
    if kind == "IPTC circle":
        points, values = [(left + w / 2, top + h / 2)], {"Rx": w / 2}
    if kind == "IPTC polygon":
        points, values = [(left, top + h / 2), (left + w, top), (left + w / 3, top + h)], {}
    said = "".join(f"<Iptc4xmpExt:rb{key}>{value}</Iptc4xmpExt:rb{key}>"
                   for key, value in values.items())  # fmt: skip
    places = [f"<Iptc4xmpExt:rbX>{x}</Iptc4xmpExt:rbX><Iptc4xmpExt:rbY>{y}</Iptc4xmpExt:rbY>"
              for x, y in points]  # fmt: skip
    if kind == "IPTC polygon":
        vertices = "".join(f'<rdf:li rdf:parseType="Resource">{it}</rdf:li>' for it in places)
        places = [f"<Iptc4xmpExt:rbVertices><rdf:Seq>{vertices}</rdf:Seq></Iptc4xmpExt:rbVertices>"]
    return (
        '<rdf:li rdf:parseType="Resource"><Iptc4xmpExt:RegionBoundary rdf:parseType="Resource">'
        f"<Iptc4xmpExt:rbUnit>{unit}</Iptc4xmpExt:rbUnit>{''.join(places)}{said}"
        "</Iptc4xmpExt:RegionBoundary><Iptc4xmpExt:Name><rdf:Alt>"
        f'<rdf:li xml:lang="x-default">{name}</rdf:li></rdf:Alt></Iptc4xmpExt:Name></rdf:li>'
    )


IPTC_KINDS = ("IPTC rectangle", "IPTC pixels", "IPTC circle", "IPTC polygon")
KINDS = (*IPTC_KINDS, "attributes", "elements", "pixels", "Microsoft")


def packet_of(boxes, kind, size_hw=SIZE_HW):
    faces = "".join(face(name, box, kind, size_hw) for name, box in boxes.items())
    people = "".join(f"<rdf:li>{name}</rdf:li>" for name in boxes)
    return (
        "<x:xmpmeta><mwg-rs:AppliedToDimensions "
        f'stDim:w="{size_hw[1]}" stDim:h="{size_hw[0]}" stDim:unit="pixel"/>'
        f"<mwg-rs:RegionList><rdf:Bag>{faces}</rdf:Bag></mwg-rs:RegionList>"
        f"<Iptc4xmpExt:PersonInImage><rdf:Bag>{people}</rdf:Bag></Iptc4xmpExt:PersonInImage>"
        "</x:xmpmeta>"
    ).encode()


def holes(boxes=BOXES):
    return {name: box_mask(SIZE_HW, box[0], box[2], box[1], box[3]) for name, box in boxes.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_the_region_in_the_hole_goes_with_its_name(kind):
    packet = packet_of(BOXES, kind)
    for name, other in (("Ada", "Bert"), ("Bert", "Ada")):
        left = drop_regions(packet, holes()[name])
        assert left == packet_of({other: BOXES[other]}, kind)
    assert drop_regions(packet, np.zeros(SIZE_HW, bool)) == packet


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_regions_are_turned_as_pixels_are(kind, orientation):
    packet = packet_of(BOXES, kind)
    upright = turn_regions(packet, orientation, SIZE_HW)
    for name, hole in holes().items():
        turned_hole = apply_orientation(hole, orientation)
        assert name.encode() not in drop_regions(upright, turned_hole)
        off = apply_orientation(np.roll(hole, 1, axis=1), orientation)
        others = {other: box for other, box in BOXES.items() if other != name}
        assert all(other.encode() in drop_regions(upright, off) for other in others)
    height, width = SIZE_HW[::-1] if orientation > 4 else SIZE_HW
    assert f'stDim:w="{width}" stDim:h="{height}"'.encode() in upright
    back = {6: 8, 8: 6}.get(orientation, orientation)
    again = turn_regions(upright, back, SIZE_HW if orientation < 5 else SIZE_HW[::-1])
    numbers = [re.findall(rb"(?<=[>\"])[-\d., ]+(?=[<\"])", it) for it in (packet, again)]
    for old, new in zip(*numbers, strict=True):
        values = [[float(it) for it in text.split(b",")] for text in (old, new)]
        np.testing.assert_allclose(*values, atol=2e-5)


def test_a_damaged_list_of_regions_is_left_as_it_is():
    for kind in ("elements", "IPTC polygon"):
        whole = packet_of(BOXES, kind)
        for end in range(0, len(whole), 13):
            drop_regions(whole[:end], np.ones(SIZE_HW, bool))
            turn_regions(whole[:end], 6, SIZE_HW)


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_files_of_every_format_forget_who_was_removed(fmt):
    packet = packet_of(BOXES, "attributes")
    image = Image.fromarray(np.full((*SIZE_HW, 3), 90, np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    if fmt == "TIFF":
        before = saved(image, fmt, tiffinfo={700: packet, 274: 6})
    elif fmt == "PNG":
        from PIL.PngImagePlugin import PngInfo

        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", packet.decode())
        before = saved(image, fmt, exif=exif, pnginfo=text)
    else:
        before = saved(image, fmt, exif=exif, xmp=packet, quality=100)
    photo = read_photo(before)
    hole = apply_orientation(holes()["Ada"], 6)
    after = encode_photo(photo, np.full_like(photo.pixels, 30), hole)
    assert b"Bert" in after
    assert b"Ada" not in after
    turned = b'stDim:w="40" stDim:h="80"'
    assert (turned in after) == (fmt != "JPEG")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_subject_is_turned(orientation):
    place = np.zeros((40, 80), bool)
    place[12, 34] = True
    upright = apply_orientation(place, orientation)
    (y,), (x,) = np.nonzero(upright)
    size = (9, 5) if orientation < 5 else (5, 9)
    assert turn_subject((34, 12, 9, 5), orientation, upright.shape) == (x, y, *size)
    assert turn_subject((34, 12), orientation, upright.shape) == (x, y)


def test_the_subject_in_exif_is_turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0x9214] = (34, 12, 9, 5)
    cleaned = clean_exif(exif.tobytes(), size_hw=(40, 80))
    again = Image.Exif()
    again.load(b"Exif\0\0" + cleaned.data)
    assert tuple(again.get_ifd(0x8769)[0x9214]) == (40 - 1 - 12, 34, 5, 9)
