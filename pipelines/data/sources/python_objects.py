"""What the documentation of the installed Python documents: objects of files, objects of C modules, the language."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

Kind = Literal["module", "class", "function", "method", "attribute", "section"]

# Programs, tests, aliases of one platform and what is about to leave; none of it is asked about, some of it is large.
_LEFT_OUT = frozenset(
    {"antigravity", "distutils", "encodings", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "test", "this"}
    | {"tkinter", "turtledemo", "msilib", "msvcrt", "winreg", "winsound", "nt", "ntpath", "sre_compile"}
    | {"sre_constants", "sre_parse", "smtpd", "asynchat", "asyncore", "imp", "cgi", "cgitb", "pipes", "telnetlib"}
)
_COMPILED = {  # public name: the C module that holds its objects; each is free of side effects
    "array": "array",
    "atexit": "atexit",
    "binascii": "binascii",
    "bisect": "_bisect",
    "builtins": "builtins",
    "cmath": "cmath",
    "collections": "_collections",
    "csv": "_csv",
    "datetime": "_datetime",
    "decimal": "_decimal",
    "errno": "errno",
    "fcntl": "fcntl",
    "functools": "_functools",
    "gc": "gc",
    "hashlib": "_hashlib",
    "heapq": "_heapq",
    "io": "_io",
    "itertools": "itertools",
    "json": "_json",
    "marshal": "marshal",
    "math": "math",
    "mmap": "mmap",
    "operator": "_operator",
    "os": "posix",
    "pickle": "_pickle",
    "queue": "_queue",
    "random": "_random",
    "re": "_sre",
    "resource": "resource",
    "select": "select",
    "signal": "_signal",
    "socket": "_socket",
    "sqlite3": "_sqlite3",
    "ssl": "_ssl",
    "statistics": "_statistics",
    "struct": "_struct",
    "sys": "sys",
    "syslog": "syslog",
    "termios": "termios",
    "threading": "_thread",
    "time": "time",
    "unicodedata": "unicodedata",
    "weakref": "_weakref",
    "zlib": "zlib",
}
_UNDERLINED = re.compile(r"^(?P<title>\S.*)\n[*=\-~]{4,}\n", re.MULTILINE)


@dataclass(frozen=True)
class Documented:
    """One object and its documentation; `arguments` are the names of a function's, without self and cls."""

    kind: Kind
    module: str
    name: str
    text: str
    signature: str | None = None
    arguments: tuple[str, ...] = ()


def source_objects() -> Iterator[Documented]:
    """Yield the public documented objects of the standard library's files, which are parsed and never run."""
    root = Path(sysconfig.get_path("stdlib"))
    for name in sorted(sys.stdlib_module_names - _LEFT_OUT):
        for path in _files(root, name):
            parts = path.relative_to(root).with_suffix("").parts
            module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            if not any(part.startswith("_") or part in {"test", "tests"} for part in module.split(".")):
                yield from _in_file(module, ast.parse(path.read_bytes()))


def compiled_objects() -> Iterator[Documented]:
    """Yield the public documented objects of modules written in C, under the names that people import."""
    for public, name in _COMPILED.items():
        try:
            module = importlib.import_module(name)
        except ImportError:  # Python is built without it
            continue
        yield from _in_module(public, module)


def language_sections() -> Iterator[Documented]:
    """Yield the sections of the language reference, of the shortest topic first: long ones gather several others."""
    topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    for topic in sorted(topics, key=lambda name: (len(topics[name]), name)):
        pieces = _UNDERLINED.split(topics[topic])  # what stands before the first title, then title and text in turn
        for title, text in zip(pieces[1::2], pieces[2::2], strict=True):
            subject = title.strip().replace('"', "`")
            yield Documented("section", f"reference.{topic}", subject, text.strip("\n"))


def _files(root: Path, name: str) -> list[Path]:
    folder, file = root / name, root / f"{name}.py"
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [file] if file.is_file() else []


def _in_file(module: str, tree: ast.Module) -> Iterator[Documented]:
    if text := ast.get_docstring(tree):
        yield Documented("module", module, module, text)
    named = _all_of(tree)
    body = [node for node in tree.body if named is None or getattr(node, "name", None) in named]
    yield from _in_body(module, module, body, in_class=False)


def _all_of(tree: ast.Module) -> set[str] | None:
    """Return what the file's own `__all__` says is public, where it has one that can be read without running it."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(ast.unparse(target) == "__all__" for target in node.targets):
            try:
                return set(ast.literal_eval(node.value))
            except ValueError:
                return None
    return None


def _in_body(module: str, outer: str, body: Sequence[ast.stmt], in_class: bool) -> Iterator[Documented]:
    for node in body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        name, text = f"{outer}.{node.name}", ast.get_docstring(node)
        if isinstance(node, ast.ClassDef):
            if text:
                yield Documented("class", module, name, text)
            yield from _in_body(module, name, node.body, in_class=True)
        elif text and _is_property(node):
            yield Documented("attribute", module, name, text)
        elif text:
            yield _function(module, name, node, text, in_class)


def _function(
    module: str, name: str, node: ast.FunctionDef | ast.AsyncFunctionDef, text: str, in_class: bool
) -> Documented:
    arguments = node.args
    named = [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    signature = f"{name}({ast.unparse(arguments)})"
    return Documented(
        "method" if in_class else "function",
        module,
        name,
        text,
        signature,
        tuple(one for one in named if one not in {"self", "cls"}),
    )


def _is_property(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    names = {ast.unparse(decorator).rpartition(".")[2] for decorator in node.decorator_list}
    return bool(names & {"property", "cached_property", "setter", "abstractproperty"})


def _in_module(public: str, module: ModuleType) -> Iterator[Documented]:
    if module.__name__ == public and (text := _own_text(module)):
        yield Documented("module", public, public, text)
    for name in sorted(vars(module)):
        # a hook that the program has put in its place does not belong to Python: the original is kept beside it
        value = vars(module).get(f"__{name}__", vars(module)[name])
        if name.startswith("_") or isinstance(value, ModuleType) or getattr(value, "__name__", name) != name:
            continue  # a value of another name is an alias of what has it
        if isinstance(value, type):
            yield from _in_type(public, f"{public}.{name}" if public != "builtins" else name, value)
        elif callable(value) and (text := _own_text(value)):
            yield _callable("function", public, f"{public}.{name}" if public != "builtins" else name, value, text)


def _in_type(public: str, path: str, value: type) -> Iterator[Documented]:
    if text := _own_text(value):
        yield Documented("class", public, path, text)
    for name in sorted(vars(value)):
        member = vars(value)[name]
        text = _own_text(member)
        if name.startswith("_") or isinstance(member, type) or not text:
            continue
        if inspect.isroutine(member):
            yield _callable("method", public, f"{path}.{name}", member, text)
        elif inspect.isdatadescriptor(member):
            yield Documented("attribute", public, f"{path}.{name}", text)


def _callable(kind: Kind, module: str, path: str, value: Any, text: str) -> Documented:
    try:
        signature = inspect.signature(value)
    except (ValueError, TypeError):  # written in C without a signature
        return Documented(kind, module, path, text)
    names = tuple(name for name in signature.parameters if name not in {"self", "cls", "type"})
    return Documented(kind, module, path, text, f"{path}{signature}", names)


def _own_text(value: Any) -> str | None:
    text = getattr(value, "__doc__", None)
    return inspect.cleandoc(text) if isinstance(text, str) and text.strip() else None
