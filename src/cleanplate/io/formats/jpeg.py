"""JPEG: only the 8x8 blocks that the hole meets change; see `jpeg_blocks`.

The photo stays turned as it is stored, with its Exif orientation. The result is decoded and
compared with the original before it is given out. Where blocks cannot be edited (arithmetic
coding, truncated or damaged scans), or that comparison fails, the image is encoded again. Three
things then make unchanged blocks come out with nearly the coefficients that they had:

1. the same quantisation tables and subsampling;
2. YCbCr samples straight from the decoder, never by way of RGB; the chroma planes at their stored
   resolution, so that the encoder's averaging finds what the decoder's interpolation spread;
3. the block padding beyond the image's right and lower edge, which a decoder normally hides: it
   appears when the frame header states the padded size, and is written back the same way.

References:
    ITU-T T.81 (JPEG); ITU-T T.871 (JFIF).
"""

import io
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
import numpy.typing as npt

from cleanplate.io.cmyk import ink_to_rgb
from cleanplate.io.formats.jpeg_blocks import (
    DecodedScan,
    check_complete,
    decode_scans,
    replace_pixels,
)
from cleanplate.io.formats.jpeg_coding import CodingError
from cleanplate.io.formats.jpeg_metadata import JpegMetadata, read_metadata
from cleanplate.io.metadata import (
    APP0,
    APP14,
    APP15,
    COM,
    Segment,
    Stream,
    parse_segments,
    serialize_segments,
    with_size,
)
from cleanplate.io.photo import (
    DAMAGED_ADVICE,
    Decoded,
    Encoded,
    ImageFormat,
    Plane,
    Raster,
    Samples,
    UnsupportedImageError,
    apply_orientation,
    check_pixel_count,
    gray_to_rgb,
    merge_fill,
    to_gray,
    translate_decoder_errors,
    undo_orientation,
)
from cleanplate.types import Mask, RGBImage

if TYPE_CHECKING:
    from PIL import Image

_DECODABLE = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)  # sequential and progressive, Huffman or arithmetic
_ARITHMETIC = (0xC9, 0xCA)
_CONVERT = "convert it to 8-bit JPEG or PNG first"
_MAX_SIDE_PX = 65500  # libjpeg's JPEG_MAX_DIMENSION, jmorecfg.h
_WRITABLE_SAMPLING = {(1, 1): 0, (2, 1): 1, (2, 2): 2}  # to Pillow's codes 4:4:4, 4:2:2, 4:2:0
# Pillow gives libjpeg 2 bytes per pixel, at least 64 KiB, for progressive images and optimal
# Huffman tables (JpegImagePlugin._save); noise at quality 100 needs more. Above 1.6 the image is
# written in pieces, baseline, with the same coefficients.
_BUFFER_BYTES_PER_PIXEL, _BUFFER_BYTES = 1.6, 50_000
_CHROMA_ROWS = 256  # filtered at a time
_CHROMA_TAPS = 5  # of the inverse filter on each side; 0.1716**6 < 1e-4


class JpegFormat(ImageFormat):
    """JPEG of 8 bits: grey, YCbCr, RGB or CMYK."""

    name = "JPEG"
    suffixes = (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".insp")
    signatures = (b"\xff\xd8\xff",)

    @classmethod
    def read(cls, data: bytes, max_pixels: int) -> Decoded:
        """Return the upright image of a JPEG file.

        Raises:
            UnsupportedImageError: damaged, truncated, lossless, more than 8 bits, or too many
                pixels.
        """
        stream = parse_segments(data)
        frame = stream.frame
        check_pixel_count(frame.size_hw, max_pixels)
        if frame.precision != 8:
            raise UnsupportedImageError(
                f"a JPEG of {frame.precision} bits per sample is not supported",
                "convert it to 8-bit JPEG or 16-bit PNG first",
            )
        if frame.marker not in _DECODABLE:
            raise UnsupportedImageError(
                "a lossless or hierarchical JPEG is not supported", _CONVERT
            )
        if len(frame.components) not in (1, 3, 4):
            raise UnsupportedImageError(
                f"a JPEG of {len(frame.components)} colour channels is not supported", _CONVERT
            )
        if not stream.has_end:
            try:
                check_complete(stream)
            except CodingError as error:
                raise UnsupportedImageError(f"damaged JPEG: {error}", DAMAGED_ADVICE) from error
        metadata = read_metadata(stream)
        coding = _Coding.of(stream)
        bare = replace(stream, segments=coding.colour_segments + _image_segments(stream))
        picture = _decode(bare, coding.mode)
        stored: npt.NDArray[np.uint8] = np.asarray(picture)
        tables = picture.quantization  # type: ignore[attr-defined]
        picture.close()
        orientation = metadata.orientation
        upright = apply_orientation(stored, orientation)
        pixels = gray_to_rgb(upright) if coding.is_gray else np.ascontiguousarray(upright)
        samples = Samples(kind="gray" if coding.is_gray else "rgb")
        if coding.mode == "CMYK":
            pixels, samples = ink_to_rgb(upright), Samples(ink=np.ascontiguousarray(upright))
        container = JpegContainer(
            stream=bare,
            metadata=metadata,
            tables=tuple(tuple(tables[c[3]]) for c in frame.components if c[3] in tables),
            coding=coding,
        )
        notes = metadata.notes
        if not stream.has_end:
            notes += ("the mark of its end (EOI) is missing, and is added",)
        if frame.marker in _ARITHMETIC:
            notes += (
                f"its arithmetic coding is written as Huffman coding, encoded again{coding.change}",
            )
        return Decoded(pixels, samples, container, notes, orientation)


@dataclass(frozen=True, slots=True)
class _Coding:
    """How the samples are stored."""

    mode: Literal["L", "RGB", "CMYK"]  # of Pillow
    is_plain: bool  # the channels are those of the mode, without the YCbCr transform
    subsampling: int | None  # Pillow's code; None = one that it cannot write
    mcu_hw: tuple[int, int]
    colour_segments: tuple[Segment, ...]  # those a decoder needs to know the colour space

    @property
    def is_gray(self) -> bool:
        return self.mode == "L"

    @property
    def change(self) -> str:
        """What encoding again changes besides samples."""
        return "" if self.subsampling is not None else ", with chroma at full resolution"

    @classmethod
    def of(cls, stream: Stream) -> "_Coding":
        components = stream.frame.components
        jfif, adobe = stream.app_payload(APP0, b"JFIF\x00"), stream.app_payload(APP14, b"Adobe")
        ids = tuple(component[0] for component in components)
        transform = adobe[11] if adobe and len(adobe) > 11 else None
        is_plain = False
        if len(components) == 3 and jfif is None:  # the order of libjpeg's default_decompress_parms
            is_plain = ids == (82, 71, 66) if transform is None else transform == 0
        elif len(components) == 4:
            is_plain = not transform
        kept = tuple(
            s
            for s in stream.segments
            if (s.marker == APP0 and s.payload is jfif)
            or (s.marker == APP14 and s.payload is adobe)
        )
        horizontal = [component[1] for component in components]
        vertical = [component[2] for component in components]
        if not all(1 <= factor <= 4 for factor in horizontal + vertical):
            raise UnsupportedImageError(
                "damaged JPEG: impossible sampling factors", "get another copy"
            )
        subsampling: int | None = 0
        mcu_hw = (8, 8)
        if len(components) == 3:
            ratios = {(horizontal[0] / horizontal[i], vertical[0] / vertical[i]) for i in (1, 2)}
            ratio = ratios.pop()
            subsampling = None if ratios else _WRITABLE_SAMPLING.get((int(ratio[0]), int(ratio[1])))
            if ratio != (int(ratio[0]), int(ratio[1])):
                subsampling = None
            is_usual = max(horizontal) == ratio[0] and max(vertical) == ratio[1]
            if is_usual and subsampling is not None:  # else the encoder's MCU is another
                mcu_hw = (8 * max(vertical), 8 * max(horizontal))
        mode: Literal["L", "RGB", "CMYK"] = "RGB"
        if len(components) != 3:
            mode = "L" if len(components) == 1 else "CMYK"
        return cls(mode, is_plain, subsampling, mcu_hw, kept)


@dataclass(frozen=True, slots=True, eq=False)
class JpegContainer:
    """Everything needed to write the JPEG again: its compressed image and its metadata."""

    stream: Stream  # without metadata
    metadata: JpegMetadata
    tables: tuple[tuple[int, ...], ...]  # one per component, row by row
    coding: _Coding
    _scans: list[Future[list[DecodedScan]]] = field(default_factory=list)  # one after `prepare`

    def prepare(self) -> None:
        """Begin to decode the scans, which `encode` needs, in another thread."""
        pool = ThreadPoolExecutor(1)
        self._scans.append(pool.submit(decode_scans, self.stream))
        pool.shutdown(wait=False)

    def encode(self, samples: Samples, pixels: RGBImage, filled: RGBImage, mask: Mask) -> Encoded:
        """Return the edited JPEG; see `Container.encode`, and the module for what stays identical.

        Raises:
            UnsupportedImageError: it cannot be coded again.
        """
        orientation = self.metadata.orientation
        before: Raster = pixels[..., 0] if self.coding.is_gray else pixels
        new: npt.NDArray[np.uint8] = filled
        if samples.ink is not None:
            before, ink = samples.ink, merge_fill(samples, pixels, filled, mask)
            # Adobe's files hold what is left of the paper; their YCbCr, that of the ink.
            paper = np.uint8(255) - ink.astype(np.uint8, copy=False)
            new = paper if self.coding.is_plain else np.dstack([ink[..., :3], paper[..., 3:]])
        before = cast("Raster", undo_orientation(before, orientation))
        new, mask = undo_orientation(new, orientation), undo_orientation(mask, orientation)
        try:
            decoded = self._scans.pop().result() if self._scans else None
            is_plain = self.coding.is_plain
            scans, changed = replace_pixels(
                self.stream, new, mask, is_plain=is_plain, scans=decoded
            )
            edited = self.metadata.assemble(_image_segments(self.stream), scans, mask)
            if self._is_unchanged(edited, before, ~changed):
                return edited, ()
        except CodingError:
            pass
        if samples.ink is not None:
            raise UnsupportedImageError(
                "a CMYK JPEG with arithmetic coding or damaged data cannot be edited", _CONVERT
            )
        notes: tuple[str, ...] = ()
        if self.stream.frame.marker not in _ARITHMETIC:
            notes = (
                f"its image data are damaged, and encoded again{self.coding.change}: pixels "
                "outside the hole may differ by a few levels",
            )
        return self._encode_again(new, mask), notes

    def _is_unchanged(self, edited: bytes, before: Raster, where: Mask) -> bool:
        """Return whether the edited JPEG shows the same samples as before in a region."""
        try:
            decoded = np.asarray(_decode(parse_segments(edited), self.coding.mode))
        except UnsupportedImageError:
            return False
        import cv2

        stored: npt.NDArray[np.uint8] = np.ascontiguousarray(before, np.uint8)
        counted = np.ascontiguousarray(where).view(np.uint8)
        return bool(cv2.norm(decoded, stored, cv2.NORM_INF, counted) == 0)

    def _encode_again(self, filled: RGBImage, mask: Mask) -> bytes:
        canvas = self._stored_samples()
        _paste(canvas, filled, mask)
        encoded = parse_segments(self._compress(canvas))
        tables = tuple(
            s
            for s in encoded.segments
            if s.marker not in (APP0, COM) and not (s.marker == APP14 and self.metadata.has(APP14))
        )
        tables = with_size(tables, (mask.shape[0], mask.shape[1]))
        return self.metadata.assemble(tables, encoded.scans, mask)

    def _stored_samples(self) -> "Image.Image":
        """Return the image in the file's colour space, padded where that is possible."""
        if self.coding.is_plain and self.coding.mode == "RGB":
            return _decode(self.stream, "RGB")
        mode = "L" if self.coding.is_gray else "YCbCr"
        return _with_stored_chroma(
            _decode(self.stream, mode, size_hw=self._padded_hw()),
            self.stream,
            None if self.coding.is_gray else self.coding.subsampling,
        )

    def _padded_hw(self) -> tuple[int, int]:
        """Return the size up to which all blocks are coded; see T.81, A.2.4.

        Scans of one component hold no blocks beyond the component's own last one.
        """
        frame, (mcu_height, mcu_width) = self.stream.frame, self.coding.mcu_hw
        if frame.is_progressive or not self.stream.is_interleaved:
            mcu_height = mcu_width = 8
        height = -(-frame.size_hw[0] // mcu_height) * mcu_height
        width = -(-frame.size_hw[1] // mcu_width) * mcu_width
        return frame.size_hw if max(height, width) > _MAX_SIDE_PX else (height, width)

    def _compress(self, canvas: "Image.Image") -> bytes:
        """Return a JPEG of `canvas` with the original's tables, subsampling and scan type."""
        tables = [np.array(table).reshape(8, 8) for table in self.tables]
        subsampling = self.coding.subsampling or 0
        unique = tables[:2] if len(tables) == 3 and (tables[1] == tables[2]).all() else tables
        if all((table == unique[0]).all() for table in unique):
            unique = unique[:1]
        save = partial(
            canvas.save,
            format="JPEG",
            qtables=[table.reshape(-1).tolist() for table in unique],
            subsampling=subsampling,
            keep_rgb=self.coding.is_plain,
            restart_marker_blocks=self.stream.restart_interval,
        )
        stream = io.BytesIO()
        room = max(_BUFFER_BYTES, _BUFFER_BYTES_PER_PIXEL * canvas.width * canvas.height)
        needs_buffer = len(self.stream.scans) > room
        try:
            save(
                stream,
                progressive=self.stream.frame.is_progressive and not needs_buffer,
                optimize=self.stream.has_optimal_huffman_tables and not needs_buffer,
            )
        except OSError:
            stream = io.BytesIO()
            save(stream)
        return stream.getvalue()


def _image_segments(stream: Stream) -> tuple[Segment, ...]:
    """Return the segments that a decoder needs, whatever the metadata say."""
    return tuple(s for s in stream.segments if not APP0 <= s.marker <= APP15 and s.marker != COM)


def _decode(
    stream: Stream, mode: str, *, size_hw: tuple[int, int] | None = None, is_half: bool = False
) -> "Image.Image":
    """Return the stored image in `mode`, at the size the frame header states or at `size_hw`."""
    from PIL.JpegImagePlugin import JpegImageFile

    segments = stream.segments if size_hw is None else with_size(stream.segments, size_hw)
    with translate_decoder_errors("JPEG"):
        picture = JpegImageFile(io.BytesIO(serialize_segments(segments, stream.scans)))
        if mode == "YCbCr":
            half = (picture.width // 2, picture.height // 2) if is_half else None
            picture.draft(mode, half)
        picture.load()
    if picture.mode != mode:
        raise UnsupportedImageError(
            f"a JPEG of mode {picture.mode} is not supported", "convert it to RGB"
        )
    return picture


def _with_stored_chroma(
    canvas: "Image.Image", stream: Stream, subsampling: int | None
) -> "Image.Image":
    """Return `canvas` with each stored chroma sample on all the pixels that it stands for.

    So the encoder's averaging gives the sample back, where the decoder had interpolated. At half
    scale libjpeg gives the chroma planes of 4:2:0 as they are stored (jdmaster.c: it prefers a
    larger inverse DCT to interpolation); those of 4:2:2 are found by `_undo_interpolation`.
    """
    from PIL import Image

    if subsampling == 0 or subsampling is None or min(canvas.size) < 2:
        return canvas
    size, planes = canvas.size, list(canvas.split())
    del canvas  # a third of the memory at a time is enough
    if subsampling == 2:
        half = _decode(stream, "YCbCr", size_hw=(size[1], size[0]), is_half=True)
        doubled = (half.width * 2, half.height * 2)
        for index in (1, 2):
            plane = half.getchannel(index).resize(doubled, Image.Resampling.NEAREST)
            planes[index] = plane if doubled == size else plane.crop((0, 0, *size))
    else:
        for index in (1, 2):
            planes[index] = Image.fromarray(_undo_interpolation(np.asarray(planes[index])))
    return Image.merge("YCbCr", planes)


def _undo_interpolation(spread: Plane) -> Plane:
    """Return a 4:2:2 chroma plane with each stored sample, as far as known, on its 2 pixels.

    libjpeg interpolates (3 c[i] + c[i-1]) / 4 and (3 c[i] + c[i+1]) / 4; the mean of such a pair is
    (c[i-1] + 6 c[i] + c[i+1]) / 8, whose inverse filter is sqrt(2) (2 sqrt(2) - 3)**|k|.
    """
    taps = (np.sqrt(2) * (2 * np.sqrt(2) - 3) ** np.arange(_CHROMA_TAPS + 1)).astype(np.float32)
    width = spread.shape[1]
    out = np.empty((len(spread), width + width % 2), dtype=np.uint8)
    for top in range(0, len(spread), _CHROMA_ROWS):
        pairs = np.pad(spread[top : top + _CHROMA_ROWS], ((0, 0), (0, width % 2)), mode="edge")
        means = (pairs[:, 0::2].astype(np.float32) + pairs[:, 1::2]) / 2
        padded = np.pad(means, ((0, 0), (_CHROMA_TAPS, _CHROMA_TAPS)), mode="symmetric")
        sharp = np.zeros_like(means)
        for start in range(2 * _CHROMA_TAPS + 1):
            sharp += taps[abs(start - _CHROMA_TAPS)] * padded[:, start : start + means.shape[1]]
        samples = np.clip(np.rint(sharp), 0, 255).astype(np.uint8)
        out[top : top + _CHROMA_ROWS] = np.repeat(samples, 2, axis=1)
    return out[:, :width]


def _paste(canvas: "Image.Image", filled: RGBImage, mask: Mask) -> None:
    """Put `filled` into `canvas` where `mask` is True, in the canvas's colour space."""
    from PIL import Image

    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    window = np.ascontiguousarray(filled[top:bottom, left:right])
    hole = mask[top:bottom, left:right].astype(np.uint8) * np.uint8(255)
    below = canvas.height - bottom if bottom == mask.shape[0] else 0
    beside = canvas.width - right if right == mask.shape[1] else 0
    if below or beside:  # a hole at the edge goes on in the padding: nothing stays hidden there
        window = np.pad(window, ((0, below), (0, beside), (0, 0)), mode="edge")
        hole = np.pad(hole, ((0, below), (0, beside)), mode="edge")
    fill = Image.fromarray(to_gray(window) if canvas.mode == "L" else window).convert(canvas.mode)
    canvas.paste(fill, (int(left), int(top)), Image.fromarray(hole))
