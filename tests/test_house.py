"""Rules of the house that a machine can hold us to."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from numpydoc.docscrape import FunctionDoc

import isthmus

ROOMS = (
    *(
        "checks",
        "whole",
        "processes",
        "checkpoint",
        "training",
        "sources",
        "encoders",
        "store",
        "measure",
        "align",
    ),
    *("theory", "decode", "evaluate", "report", "explore", "cli"),
)
SOURCE = Path(isthmus.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))


def imports(path):
    """Rooms that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}: relative import"
        yield from (name.split(".")[1] for name in names if name.startswith("isthmus."))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_rooms_import_only_from_rooms_to_their_left(path):
    room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if room in ROOMS:
        for other in imports(path):
            assert ROOMS.index(other) <= ROOMS.index(room), f"{room} imports {other}"


def test_every_room_has_its_place():
    found = {path.relative_to(SOURCE).parts[0].removesuffix(".py") for path in FILES}
    assert found - {"__init__", "__main__"} <= set(ROOMS)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_files_and_functions_can_be_read_in_one_sitting(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            doc = node.body[0].end_lineno - node.body[0].lineno + 1 if ast.get_docstring(node) else 0
            assert node.end_lineno - node.lineno + 1 - doc <= 60, node.name


@pytest.mark.parametrize("statement", ["import isthmus", "import isthmus; isthmus.__version__; dir(isthmus)"])
def test_import_is_light(statement):
    heavy = "{'torch', 'sklearn', 'matplotlib', 'scipy', 'pyarrow', 'numpy'}"
    code = f"{statement}; import sys; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_help_loads_nothing_heavy():
    code = (
        "import sys; sys.argv[1:] = ['--help']\ntry:\n    from isthmus.cli import main; main()\n"
        "except SystemExit: pass\nprint(sorted({'torch', 'sklearn', 'scipy', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "room", ["sources", "encoders", "measure", "align", "decode", "evaluate", "theory", "report", "store"]
)
def test_rooms_load_no_torch_until_it_is_needed(room):
    code = f"import isthmus.{room}, sys; print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def public():
    """Everything that a room names in its ``__all__``, and public methods of its classes."""
    rooms = ("align", "decode", "encoders", "evaluate", "measure", "report", "sources", "store", "theory")
    for room in (
        *rooms,
        "sources.world",
        "encoders.world",
        "evaluate.arithmetic",
        "evaluate.aligned",
        "evaluate.captions",
        "evaluate.mixed",
        "training",
        "processes",
        "checks",
        "whole",
    ):
        module = importlib.import_module(f"isthmus.{room}")
        named = getattr(module, "__all__", None) or [
            n
            for n, o in vars(module).items()
            if not n.startswith("_") and getattr(o, "__module__", "") == module.__name__
        ]
        for name in named:
            thing = getattr(module, name)
            if callable(thing):
                yield f"{room}.{name}", thing


PUBLIC = dict(public())


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_documented_in_full(name):
    thing = PUBLIC[name]
    doc = FunctionDoc(thing) if not inspect.isclass(thing) else FunctionDoc(thing, doc=inspect.getdoc(thing))
    assert doc["Summary"], "a summary"
    if inspect.isclass(thing):
        methods = [m for n, m in vars(thing).items() if not n.startswith("_") and inspect.isfunction(m)]
        assert all(inspect.getdoc(m) for m in methods), "a docstring for every method"
        return
    parameters = [p for p in inspect.signature(thing).parameters if p not in ("self", "args", "kwargs")]
    described = [part.strip() for p in doc["Parameters"] for part in p.name.split(",")]
    assert [p.lstrip("*") for p in described] == parameters, "every parameter, in order"
    returns = inspect.signature(thing).return_annotation
    if returns not in (None, "None"):
        assert doc["Returns"] or doc["Yields"], "what comes back"
    assert doc["Examples"], "an example"


def test_documentation_of_the_commands_is_in_step():
    """docs/commands.md is what ``python docs/commands.py`` prints."""
    docs = Path(__file__).resolve().parents[1] / "docs"
    written = (docs / "commands.md").read_text(encoding="utf-8")
    printed = subprocess.check_output([sys.executable, docs / "commands.py"], text=True)
    assert written == printed, "run: make docs"
