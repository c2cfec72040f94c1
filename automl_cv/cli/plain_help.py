"""Help that says what to write as people write it: no `<bool>`, no `[x>=1]`."""

from __future__ import annotations

from typing import Any

from typer.core import TyperArgument, TyperCommand, TyperGroup


class PlainCommand(TyperCommand):
    """A command whose help has plain metavars."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return options and arguments; also those that Typer adds."""
        return [plain(param) for param in super().get_params(ctx)]


class PlainGroup(TyperGroup):
    """A group of commands whose help has plain metavars."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return options and arguments; also those that Typer adds."""
        return [plain(param) for param in super().get_params(ctx)]


def plain(param: Any) -> Any:
    """Have an option or argument say what it takes as people write it; return it.

    A number is N, or its bounds where it has two; a choice its values; a flag and an argument
    nothing: the flag is all there is to write, and the argument's name says it.
    """
    said, is_argument = param.metavar, isinstance(param, TyperArgument)
    # Typer has no setting for these; where a later one renames them, its own words are back.
    param._get_number_range_help_str = lambda: None
    if is_argument:
        param.display_type_rich = lambda ctx: None
        if param.required:
            name = param.display_name_raw
            param._usage_display_name = lambda: f"{name}..." if param.nargs != 1 else name
    elif getattr(param, "is_flag", False) or getattr(param, "is_bool_flag", False):
        param.display_type_rich = lambda ctx: None
    elif said is None:
        bounds = (getattr(param, "min", None), getattr(param, "max", None))
        shown = type(param).display_type_rich
        if None not in bounds:
            param.display_type_rich = lambda ctx: f"{bounds[0]}-{bounds[1]}"
        elif param.type_descriptor.is_ranged or param.bare_type() in ("int", "float"):
            param.display_type_rich = lambda ctx: "N"
        else:
            param.display_type_rich = lambda ctx: str(shown(param, ctx)).strip("<>")
    return param
