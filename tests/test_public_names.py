"""What `import cleanplate` offers."""

import importlib

import pytest

import cleanplate


def test_all_is_sorted_and_every_name_has_its_home():
    assert cleanplate.__all__ == sorted(cleanplate.__all__)
    assert set(cleanplate.__all__) == set(cleanplate._HOMES)


@pytest.mark.parametrize("name", cleanplate.__all__)
def test_every_name_is_the_one_of_its_home(name):
    home = importlib.import_module(f"cleanplate.{cleanplate._HOMES[name]}")
    assert getattr(cleanplate, name) is getattr(home, name)


def test_every_exception_is_public():
    from cleanplate import errors

    raised = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert raised <= set(cleanplate.__all__)


def test_no_public_name_was_removed():
    assert {
        "Box", "CleanplateError", "Inpainter", "InputError", "Instance", "Mask", "PhotoError",
        "RGBImage", "Removal", "Remover", "Segmenter", "remove",
    } <= set(cleanplate.__all__)  # fmt: skip


def test_dir_shows_them_before_they_are_used():
    assert set(cleanplate.__all__) <= set(dir(cleanplate))
    assert dir(cleanplate) == sorted(dir(cleanplate))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'cleanplate' has no attribute 'removal'"):
        cleanplate.removal  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'removal'"):
        from cleanplate import removal  # noqa: F401


def test_the_version_is_stated():
    assert cleanplate.__version__.count(".") == 2
