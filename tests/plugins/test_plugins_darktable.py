"""darktable's script in a Lua interpreter, with a test double of darktable."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cleanplate.cli import main

LUA = next((path for path in map(shutil.which, ("lua5.4", "lua5.3", "lua")) if path), None)
pytestmark = [
    pytest.mark.skipif(LUA is None, reason="no Lua interpreter"),
    pytest.mark.skipif(sys.platform == "win32", reason="a program with a first line for Unix"),
]

DARKTABLE = """
local dt = {{ database = {{}} }}
function dt.new_widget(kind) return function(fields) return fields end end
function dt.print(text) print(text) end
function dt.database.import(path)
  local imported = {{}}
  function imported.group_with(_, image) print("imported " .. path .. " " .. image.filename) end
  return imported
end
function dt.register_storage(_, _, store, _, supported, _, names)
  assert(supported(nil, {{ extension = "tif" }}) and not supported(nil, {{ extension = "exr" }}))
  names.text = "person,car"
  local image = {{ path = [[{photos}]], filename = "a b's.nef" }}
  for number, exported in ipairs {{ [[{exported}]], [[{exported}]], [[{bad}]] }} do
    store(nil, image, nil, exported, number, 3)
  end
end
package.preload["darktable"] = function() return dt end
package.path = [[{folder}]] .. "/?.lua;" .. package.path
require "cleanplate/cleanplate"
"""


def test_edits_imports_and_groups(tmp_path):
    main(["plugins", "install", "darktable", "--into", str(tmp_path)])
    program = tmp_path / "my 'program'"
    program.write_text(
        '#!/bin/sh\necho "$@" >> "$(dirname "$0")/called"\n'
        'case "$7" in *bad.tif) exit 1;; esac\ncp "$(dirname "$0")/clean" "$5"\n'
    )
    program.chmod(0o755)
    (tmp_path / "clean").write_text("clean")
    (tmp_path / "cleanplate/command.lua").write_text(f'return {{ "{program}" }}')
    photos = tmp_path / "photos"
    photos.mkdir()
    exported, bad = tmp_path / "exported.tif", tmp_path / "bad.tif"
    exported.touch()
    bad.touch()
    double = DARKTABLE.format(photos=photos, exported=exported, bad=bad, folder=tmp_path)
    (tmp_path / "double.lua").write_text(double)

    ran = subprocess.run(
        [LUA, "double.lua"], cwd=tmp_path, check=True, capture_output=True, text=True
    )

    names = [photos / f"a b's-clean{end}.tif" for end in ("", "-2")]
    assert sorted(photos.iterdir()) == sorted(names)
    assert [line for line in ran.stdout.splitlines() if line.startswith("imported")] == [
        f"imported {name} a b's.nef" for name in names
    ]
    assert "failed for a b's.nef" in ran.stdout
    called = (tmp_path / "called").read_text().splitlines()
    assert called[0] == f"edit --remove person,car -o {names[0]} -- {exported}"
    assert not exported.exists()
    assert not bad.exists()


def test_the_command_is_that_of_this_installation(tmp_path):
    main(["plugins", "install", "darktable", "--into", str(tmp_path)])
    code = 'for _, word in ipairs(require "cleanplate/command") do print(word) end'
    ran = subprocess.run(
        [LUA, "-e", f"package.path = '{tmp_path}/?.lua'", "-e", code],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.stdout.splitlines() == [sys.executable, "-m", "cleanplate"]


def test_the_script_compiles():
    script = Path(__file__).parents[2] / "plugins/darktable/cleanplate/cleanplate.lua"
    subprocess.run([LUA, "-e", f"assert(loadfile[[{script}]])"], check=True)
