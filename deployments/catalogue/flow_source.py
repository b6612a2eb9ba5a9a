"""What a flow file says about its job, read from its syntax. Never imports it: that costs seconds.

What only the imported flow knows (the types of its parameters) is asked in `deployments.flow_facts`.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple


class FlowSignature(NamedTuple):
    """The function of a job: its docstring, the parameters it takes, those of them without a default."""

    description: str | None
    parameters: frozenset[str]
    required: frozenset[str]
    takes_any: bool


class FlowFileError(Exception):
    """The file has no readable function of that name. The message says what, `fix` how to mend it."""

    def __init__(self, what: str, fix: str) -> None:
        self.fix = fix
        super().__init__(what)


def read_signature(file: Path, function: str) -> FlowSignature:
    """Look up a function at the top level of a Python file.

    Raises:
        FlowFileError: no such file, not Python, or no such function.
    """
    try:
        tree = ast.parse(file.read_bytes(), str(file))
    except FileNotFoundError:
        raise FlowFileError("that file is not there", "create it, or correct the path.") from None
    except OSError as error:
        raise FlowFileError(f"that file cannot be read: {error.strerror}", "make it readable.") from None
    except (SyntaxError, ValueError) as error:
        line = f" (line {error.lineno})" if isinstance(error, SyntaxError) and error.lineno else ""
        raise FlowFileError(f"that file is not valid Python{line}", "correct the file.") from None
    functions = {
        node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    if function not in functions:
        raise FlowFileError(
            f"that file has no function {function!r}", "name the function like the file, without .py."
        )
    node = functions[function]
    positional = [*node.args.posonlyargs, *node.args.args]
    optional = positional[len(positional) - len(node.args.defaults) :]
    keywords = node.args.kwonlyargs
    without_default = {
        argument.arg
        for argument, default in zip(keywords, node.args.kw_defaults, strict=True)
        if default is None
    }
    names = {argument.arg for argument in [*positional, *keywords]}
    return FlowSignature(
        description=ast.get_docstring(node),
        parameters=frozenset(names),
        required=frozenset(
            {argument.arg for argument in positional if argument not in optional} | without_default
        ),
        takes_any=node.args.kwarg is not None,
    )
