--[[ darktable: a target storage of the export module that removes objects.

Exports a TIFF, runs 'cleanplate edit' on it, imports the result beside the photo and groups both.
'cleanplate plugins install darktable' writes command.lua, the command of that installation.
]]

local dt = require "darktable"
local command = require "cleanplate/command"

local SLASH = package.config:sub(1, 1)
local IS_WINDOWS = SLASH == "\\"

local names = dt.new_widget("entry") {
  text = "person",
  tooltip = "objects to remove, such as person,car",
}

local function quoted(word)
  if IS_WINDOWS then
    return '"' .. word .. '"'
  end
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

local function exists(path)
  local file = io.open(path, "rb")
  if file then
    file:close()
  end
  return file ~= nil
end

-- Return NAME-clean.EXT beside the photo, or the first of NAME-clean-2.EXT and so on that is free.
local function free_name(image, exported)
  local stem = image.path .. SLASH .. image.filename:gsub("%.[^.]*$", "") .. "-clean"
  local suffix = exported:match("%.[^.]*$") or ""
  local path, number = stem .. suffix, 2
  while exists(path) do
    path, number = stem .. "-" .. number .. suffix, number + 1
  end
  return path
end

local function store(_, image, _, exported, number, total)
  dt.print(string.format("cleanplate: photo %d of %d", number, total))
  local result = free_name(image, exported)
  local words = { "edit", "--remove", names.text, "-o", result, "--", exported }
  local line = {}
  for _, word in ipairs(command) do
    table.insert(line, quoted(word))
  end
  for _, word in ipairs(words) do
    table.insert(line, quoted(word))
  end
  local text = table.concat(line, " ")
  if IS_WINDOWS then
    text = '"' .. text .. '"' -- cmd.exe takes one pair of quotes away
  end
  local succeeded = os.execute(text)
  os.remove(exported)
  if succeeded and exists(result) then
    dt.database.import(result):group_with(image)
  else
    dt.print("cleanplate failed for " .. image.filename .. "; the photo is as it was")
  end
end

local function supported(_, format)
  return format.extension == "tif" or format.extension == "jpg" or format.extension == "png"
end

dt.register_storage("cleanplate", "remove objects", store, nil, supported, nil, names)
