"""Components of one's own, in Python files that a config names: `plugins: [my_layer.py]`.

A config from elsewhere must not run code. So loading a config never imports a plugin: it only accepts files whose very
contents this process has imported before, which `import_plugins` does when the user allows it (`--allow-plugins`). A
run keeps a copy of each file and its SHA-256; a copy that has changed since is refused, allowed or not.
"""

from __future__ import annotations

import ast
import hashlib
import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import Field, dataclass
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

from nnscratch.component import Component
from nnscratch.config.node import Node
from nnscratch.config.yaml_core import TAG, core_tag
from nnscratch.errors import ConfigError, UserError, cause

PREFIX = "nnscratch_plugin_"
LARGEST = 1_000_000
NAME = re.compile(r"\w[\w-]*")
"""The name of a component: a path with dots leads to it, and a folder or an array may be called so."""
TEXT = TAG + "str"


@dataclass(frozen=True)
class Plugin:
    """A plugin file as it is now: its path, its text and the SHA-256 of its bytes."""

    path: Path
    contents: bytes

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.contents).hexdigest()

    @property
    def module_name(self) -> str:
        return PREFIX + self.digest

    @property
    def is_imported(self) -> bool:
        return self.module_name in sys.modules

    @classmethod
    def read(cls, path: Path) -> Plugin:
        """Raises UserError when there is no such file or it is no plugin."""
        if path.suffix != ".py":
            raise UserError(f"{path} is not a Python file: its name must end in .py")
        try:
            if path.stat().st_size > LARGEST:
                raise UserError(f"{path} is larger than {LARGEST:,} bytes: it is no plugin")
            return cls(path, path.read_bytes())
        except OSError as error:
            raise UserError(f"cannot read the plugin {path}: {cause(error)}") from None


def import_plugins(root: Node, folder: Path, recorded: Mapping[str, str]) -> None:
    """Runs the plugins that a config names, below that folder, whose components are then known to this process.

    `recorded` has the SHA-256 of those that a run was trained with, by the file's name. Called only when the user has
    allowed it. Raises UserError when a file is missing, fails, defines nothing or a name that is taken, or is another.
    """
    for node in _entries(root):
        plugin = Plugin.read(folder / str(node.content))
        expected = recorded.get(plugin.path.name)
        if expected is not None and expected != plugin.digest:
            raise UserError(
                f"{plugin.path} is not the file that the run was trained with: it has changed since",
                "put it back, or train again",
            )
        if imported_digest(plugin.path.name) != plugin.digest:
            sys.modules.pop(plugin.module_name, None)  # of components of one name, the one defined last counts
            _import(plugin, trained_before=expected is not None)


def check_plugins(root: Node, folder: Path | None) -> None:
    """Raises ConfigError for a plugin that a config names and that was not imported, with consent, before.

    Without a folder (a config that a checkpoint holds) the file's name decides: nothing is imported here in any case.
    """
    entries = list(_entries(root))
    names = [Path(str(node.content)).name for node in entries]
    problems = []
    for index, (node, name) in enumerate(zip(entries, names, strict=True)):
        path = ("plugins", index)
        if name in names[:index]:
            problems.append(node.place.problem(path, f"there are two plugins called {name}; rename one"))
        elif folder is not None:
            try:
                imported = Plugin.read(folder / str(node.content)).is_imported
            except UserError as error:
                problems.append(node.place.problem(path, error.message))
                continue
        else:
            imported = any(Path(str(module.__file__)).name == name for module in _imported())
        if not imported:
            problems.append(node.place.problem(path, f"{name} is Python code, which a config may not run by itself"))
    if problems:
        raise ConfigError(problems, "read the file; if you trust it, repeat the command with --allow-plugins")


def imported_digest(name: str) -> str | None:
    """The SHA-256 of the plugin that this process imported last from a file of that name; None where there is none."""
    named = [module.__name__ for module in _imported() if Path(str(module.__file__)).name == name]
    return named[-1].removeprefix(PREFIX) if named else None


def imported_plugin(name: str) -> tuple[str, str]:
    """The text of that plugin, and its SHA-256; for who has made sure that there is one."""
    digest = imported_digest(name)
    return str(vars(sys.modules[f"{PREFIX}{digest}"])["__source__"]), str(digest)


def plugin_digests(entries: Iterable[str], folder: Path) -> dict[str, str]:
    """The SHA-256 of every plugin by its file's name, wherever the file is. Raises UserError when one is missing."""
    plugins = [Plugin.read(folder / entry) for entry in entries]
    return {plugin.path.name: plugin.digest for plugin in plugins}


def fault_of_a_plugin(error: BaseException) -> str | None:
    """`my_layer.py, line 12` when an unexpected error comes out of a plugin, however deep it was raised.

    Where none of a plugin's own lines was running: the class of it that was at work (a method that it lacks), or else
    the one whose result was, which is then one of two suspects.
    """
    frames = [pair for each in _with_causes(error) for pair in traceback.walk_tb(each.__traceback__)]
    for frame, line in reversed(frames):
        is_generated = frame.f_code.co_filename == "<string>"  # by dataclass
        if str(frame.f_globals.get("__name__", "")).startswith(PREFIX) and not is_generated:
            return f"{Path(frame.f_code.co_filename).name}, line {line}"
    for frame, _ in reversed(frames):
        if (owner := _plugins_class(frame.f_locals.get("self"))) is not None:
            return _definition(owner)
    for frame, _ in reversed(frames):
        for used in _components_in(list(frame.f_locals.values()), depth=2):
            return f"{_definition(used)}, or in nnscratch"
    return None


def _with_causes(error: BaseException) -> list[BaseException]:
    """What led to the error first, the error last."""
    chain = [error]
    while (earlier := chain[-1].__cause__ or chain[-1].__context__) is not None and earlier not in chain:
        chain.append(earlier)
    return chain[::-1]


def _plugins_class(value: object) -> type | None:
    """The class, if a plugin defines it, that the value is or is one of."""
    found = value if isinstance(value, type) else type(value)
    return found if found.__module__.startswith(PREFIX) else None


def _components_in(values: Iterable[object], depth: int) -> Iterator[type]:
    """The plugins' classes among values and, that many steps further, among what those of nnscratch hold."""
    for value in values:
        if (found := _plugins_class(value)) is not None:
            yield found
        elif depth and isinstance(value, list | tuple):
            yield from _components_in(value, depth - 1)
        elif depth and type(value).__module__.startswith("nnscratch") and hasattr(value, "__dict__"):
            yield from _components_in(list(vars(value).values()), depth - 1)


def _definition(component: type) -> str:
    """`my_layer.py, line 12` of a plugin's class."""
    module = sys.modules[component.__module__]
    for node in ast.walk(ast.parse(str(module.__dict__["__source__"]))):
        if isinstance(node, ast.ClassDef) and node.name == component.__name__:
            return f"{Path(str(module.__file__)).name}, line {node.lineno} ({component.__name__})"
    return Path(str(module.__file__)).name


def _entries(root: Node) -> Iterator[Node]:
    """The items of `plugins:`; what is wrongly written there is the config's own check's to say."""
    listed = root.child("plugins")
    if listed is not None and isinstance(listed.content, list):
        yield from (node for node in listed.content if isinstance(node.content, str) and node.content)


def _imported() -> Iterator[ModuleType]:
    """The plugins of this process, the latest last."""
    yield from [module for name, module in list(sys.modules.items()) if name.startswith(PREFIX)]


def _import(plugin: Plugin, trained_before: bool) -> None:
    spec = spec_from_loader(plugin.module_name, None, origin=str(plugin.path))
    assert spec is not None
    module = module_from_spec(spec)
    module.__file__ = str(plugin.path)
    before = {id(component) for component in _components(Component)}
    sys.modules[plugin.module_name] = module  # dataclasses look their module up there
    try:
        text = plugin.contents.decode()
        module.__dict__["__source__"] = text
        # The bytes that were digested, not the file again, which may have changed meanwhile.
        exec(compile(text, str(plugin.path), "exec"), module.__dict__)
        _check_names(plugin, [each for each in _components(Component) if id(each) not in before], trained_before)
    except BaseException as error:
        del sys.modules[plugin.module_name]
        for component in [each for each in _components(Component) if id(each) not in before]:
            if "name" in vars(component):
                del component.name  # out of the catalogue, however long the class itself is kept alive
        if isinstance(error, Exception) and not isinstance(error, UserError):
            raise UserError(f"the plugin {plugin.path} fails: {_where(error, plugin.path)}") from error
        raise


def _check_names(plugin: Plugin, components: list[type[Component]], trained_before: bool) -> None:
    """Every plugin brings a component, and none takes the name of another; an older version of itself may be there.

    What a run was trained with may have a name that is not taken any more.
    """
    own = [component for component in components if "name" in vars(component)]
    if not own:
        raise UserError(
            f"the plugin {plugin.path} defines no component",
            'derive a class from Layer, Optimizer, ... and give it a name: `name: ClassVar[str] = "my_layer"`',
        )
    for component in own:
        if not trained_before and not _is_name(component.name):
            raise UserError(
                f"the plugin {plugin.path}: {component.__name__} has the name {component.name!r:.60}, which no config "
                "can write",
                "a name is letters, digits, `_` and `-`, and nothing that YAML takes for a number, true, false or null",
            )
        settings = [name for name, value in vars(component).items() if isinstance(value, Field)]
        if settings and "__dataclass_fields__" not in vars(component):
            raise UserError(
                f"the plugin {plugin.path}: {component.__name__} has the setting {settings[0]}, but is no dataclass",
                f"write @dataclass(eq=False) above `class {component.__name__}`",
            )
        for other in _components(Component):
            same = other.kind == component.kind and "name" in vars(other) and other.name == component.name
            if same and other is not component and not other.__module__.startswith(PREFIX):
                raise UserError(
                    f"the plugin {plugin.path} defines the {component.kind} `{component.name}`, which exists already",
                    "choose another name",
                )


def _is_name(name: object) -> bool:
    return isinstance(name, str) and NAME.fullmatch(name) is not None and core_tag(name) == TEXT


def _components(base: type[Component]) -> Iterator[type[Component]]:
    for subclass in base.__subclasses__():
        yield subclass
        yield from _components(subclass)


def _where(error: Exception, path: Path) -> str:
    """`NameError: ... (line 12)`, the line being the plugin's own."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {message}" + (f" (line {line})" if line is not None else "")
