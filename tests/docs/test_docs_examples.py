"""The examples in README and docs/ work as they stand."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from PIL import Image, ImageDraw

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROMPT = "$ "
TYPED = re.compile(r"^(\$ )?cleanplate ", re.MULTILINE)
PROGRESS = re.compile(r"^\w+: \d+( of \d+)? frames\n", re.MULTILINE)
PAGES = [
    page.relative_to(ROOT).as_posix()
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if page.name != "cli.md" and TYPED.search(page.read_text(encoding="utf-8"))
]


def blocks(page: str, language: str) -> list[tuple[int, str]]:
    """Return (line number, text) of each block of `page` in `language`."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        (text.count("\n", 0, match.start(2)) + 1, match[2])
        for match in FENCE.finditer(text)
        if match[1] == language
    ]


def without_numbers(text: str) -> str:
    return re.sub(r"\d+(\.\d+)?", "N", text)


def portrait(astronaut: np.ndarray, width: int, height: int) -> Image.Image:
    return Image.fromarray(astronaut[:340, 60:350]).resize((width, height))


@pytest.fixture
def figure(astronaut) -> Image.Image:
    """Return a small portrait in which nothing but one person is found."""
    return portrait(astronaut, 109, 128)


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        pytest.param("docs/python.md", marks=pytest.mark.slow),
        "docs/quickstart.md",
        "docs/getting_models.md",
        "docs/by_example.md",
        pytest.param("docs/video.md", marks=pytest.mark.slow),
    ],
)
@pytest.mark.usefixtures("marked", "beach")
@pytest.mark.slow
def test_python_examples_run(page, figure, tmp_path, monkeypatch):
    check_extra(page)
    monkeypatch.chdir(tmp_path)
    figure.save("photo.jpg", quality=90)
    figure.save("beach.jpg", quality=90)
    namespace: dict[str, object] = {"__name__": "example"}
    found = blocks(page, "python")
    assert found
    for line, source in found:
        # Empty lines in front, so that a traceback shows the page's own line.
        code = compile("\n" * (line - 1) + source, str(ROOT / page), "exec", dont_inherit=True)
        exec(code, namespace)


@pytest.fixture
def beach(astronaut, coffee, tmp_path) -> None:
    """Make the clip that docs/video.md speaks of, if there is PyAV: the one person crosses it."""
    try:
        import av
    except ImportError:
        return
    figure = portrait(astronaut, 145, 170)
    outline = Image.new("L", figure.size)
    draw = ImageDraw.Draw(outline)
    draw.ellipse((47, 8, 121, 74), fill=255)
    shoulders = [(30, 85), (60, 70), (108, 70), (116, 98), (145, 118), (145, 170), (0, 170)]
    draw.polygon([*shoulders, (2, 122), (28, 106)], fill=255)
    with av.open(str(tmp_path / "beach.mp4"), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 360, 200, "yuv420p"
        for number in range(8):
            image = Image.fromarray(coffee[100:300, :360])
            image.paste(figure, (5 + 29 * number, 30), outline)
            output.mux(stream.encode(av.VideoFrame.from_image(image)))
        output.mux(stream.encode(None))


def check_extra(page: str) -> None:
    """Leave out a page that needs what is not installed."""
    if page == "docs/video.md":
        pytest.importorskip("av")


@pytest.fixture
def photos(figure, tmp_path) -> Path:
    """Make the folders that the how-to pages speak of; return the one above them."""
    (tmp_path / "photos" / "2024").mkdir(parents=True)
    (tmp_path / "own_masks").mkdir()
    figure.save(tmp_path / "photos" / "lake.jpg", quality=90)
    figure.save(tmp_path / "photos" / "2024" / "station.png")
    Image.new("RGB", (120, 90), (150, 140, 120)).save(tmp_path / "photos" / "wall.jpg")
    (tmp_path / "rejected.txt").write_text("photos/lake.jpg\n")
    mask = np.zeros(figure.size[::-1], np.uint8)
    mask[20:60, 50:90] = 255
    Image.fromarray(mask).save(tmp_path / "own_masks" / "lake.png")
    Image.new("L", (120, 90)).save(tmp_path / "own_masks" / "wall.png")
    return tmp_path


@pytest.fixture
def marked(coffee, rocket, gravel, cat, tmp_path) -> None:
    """Make the examples that docs/by_example.md speaks of, their masks, and the folder trip/."""
    mug = np.zeros(coffee.shape[:2], np.uint8)
    cv2.ellipse(mug, (300, 190), (160, 130), 0, 0, 360, 255, -1)
    everything = np.full(cat.shape[:2], 255, np.uint8)
    examples = {"mug": (coffee, mug), "tin": (cat, everything)}
    examples["blank"] = (np.full_like(cat, 128), everything)
    for name, (photo, mask) in examples.items():
        Image.fromarray(photo).save(tmp_path / f"{name}.jpg", quality=90)
        Image.fromarray(mask).save(tmp_path / f"{name}.png")
    (tmp_path / "trip").mkdir()
    onto = cv2.getRotationMatrix2D((300, 190), 12, 0.7)
    size_wh = rocket.shape[1::-1]
    there = cv2.warpAffine(mug, onto, size_wh) > 127
    table = np.where(there[..., None], cv2.warpAffine(coffee, onto, size_wh), rocket)
    Image.fromarray(table).save(tmp_path / "trip" / "table.jpg", quality=90)
    Image.fromarray(gravel).save(tmp_path / "trip" / "road.jpg", quality=90)


def dialogue(block: str) -> list[tuple[list[str], str]]:
    """Return each typed command of a console block, as words, with what it is to print."""
    parts: list[tuple[list[str], str]] = []
    for line in block.splitlines(keepends=True):
        if line.startswith(PROMPT):
            parts.append((shlex.split(line.removeprefix(PROMPT)), ""))
        else:
            parts[-1] = (parts[-1][0], parts[-1][1] + line)
    return parts


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "line", "block"),
    [
        pytest.param(page, *block, id=f"{page}:{block[0]}")
        for page in PAGES
        for block in blocks(page, "console")
    ],
)
@pytest.mark.usefixtures("marked", "beach")
def test_commands_do_and_print_what_the_page_shows(page, line, block, photos):
    check_extra(page)
    code = 0
    for words, shown in dialogue(block):
        if words == ["echo", "$?"]:
            assert shown.strip() == str(code)
            code = 0
            continue
        assert words[0] == "cleanplate"
        called = subprocess.run(
            [sys.executable, "-m", "cleanplate", *words[1:]],
            cwd=photos,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
            timeout=120,
        )
        code = called.returncode
        printed = called.stdout.replace("\\", "/")
        place = f"{page}, line {line}: {shlex.join(words)}"
        printed = PROGRESS.sub("", printed)  # depends on the machine's speed
        assert without_numbers(printed) == without_numbers(shown), place
    assert code == 0, f"{place}: exit code {code} is not shown"


@pytest.mark.parametrize("page", PAGES)
def test_commands_have_only_options_that_exist(page):
    from cleanplate.cli import app

    lines = [
        line
        for tongue in ("sh", "console")
        for _, text in blocks(page, tongue)
        for line in text.splitlines()
    ]
    typed = [line.removeprefix(PROMPT) for line in lines]
    commands = [
        shlex.split(line, comments=True) for line in typed if line.startswith("cleanplate ")
    ]
    assert commands
    known = typer.main.get_command(app).commands
    for name, *arguments in (words[1:] for words in commands):
        command = known[name]
        while arguments and arguments[0] in getattr(command, "commands", {}):
            command = command.commands[arguments.pop(0)]
        command.make_context(name, arguments)  # raises on what it does not know
