"""`import lassl` is cheap and changes nothing; its names are found when they are used."""

import ast
import subprocess
import sys
import tomllib

import pytest

import lassl
from helpers.project import ROOT

CHANGES = """
import locale, os, signal, sys, warnings
state = lambda: (dict(os.environ), locale.setlocale(locale.LC_ALL), list(warnings.filters), sys.path[:],
                 [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)])
before, modules = state(), set(sys.modules)
import lassl
assert state() == before
new = {name.split(".")[0] for name in set(sys.modules) - modules}
print(sorted(new - set(sys.stdlib_module_names)))
"""


def test_importing_it_loads_no_other_package_and_changes_nothing_in_the_process():
    done = subprocess.run([sys.executable, "-c", CHANGES], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['lassl']"


@pytest.mark.parametrize("name", lassl.__all__)
def test_every_public_name_is_there_documented_and_listed(name):
    assert getattr(lassl, name).__doc__
    assert name in dir(lassl)


def test_type_checkers_are_told_of_every_public_name():
    tree = ast.parse((ROOT / "lassl/__init__.py").read_text("utf-8"))
    (typed,) = [node for node in tree.body if isinstance(node, ast.If)]
    told = {(node.module, alias.name) for node in typed.body for alias in node.names}
    assert told == {(module, name) for module, names in lassl._MODULES.items() for name in names}
    assert sorted(name for _, name in told) == sorted(lassl.__all__)


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'lassl' has no attribute 'lode'"):
        lassl.lode  # noqa: B018


def test_type_checkers_read_the_types_of_the_installed_package():
    """PEP 561: without the marker they treat all names as untyped."""
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    assert (ROOT / "lassl/py.typed").is_file() and "py.typed" in data["lassl"]
