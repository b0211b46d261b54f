"""The command line in the user's language: its sentences, the library's headings and the library's refusals."""

from __future__ import annotations

import locale
import re
import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from flows.environment import environment
from models.domain.words import say


def ui_language() -> str:
    """zh-CN or en, by HUIKUAN_LANGUAGE, LC_ALL, LC_MESSAGES or LANG."""
    given = environment()
    for name in ("HUIKUAN_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        if given.get(name):
            return "zh-CN" if given[name].lower().startswith("zh") else "en"
    found = locale.getlocale()[0] or ""
    return "zh-CN" if found.lower().startswith(("zh", "chinese")) else "en"


LANGUAGE = ui_language()


def t(key: str, **params: object) -> str:
    """A sentence of the command line in the user's language."""
    return say(f"cli.{key}", LANGUAGE, **params)


#: What the library says in English on every page of help.
HEADINGS = {
    "usage": r"^Usage:",
    "options": r"^Options:",
    "arguments": r"^Arguments:",
    "commands": r"^Commands:",
    "help": r"Show this message and exit\.",
    "default": r"\[default:\s+",
    "required": r"\[required\]",
}
#: What the library says of a line that it cannot read; the groups are what was found.
REFUSALS = {
    "no_command": r"No such command '(?P<found>.*?)'\.(?: Did you mean (?P<near>.+)\?)?",
    "missing_command": r"Missing command\.",
    "no_option": r"No such option: (?P<found>\S+)(?: \(Possible options: (?P<near>.+)\))?",
    "needs_value": r"Option (?P<found>'.+') requires an argument\.",
    "takes_no_value": r"Option (?P<found>'.+') does not take a value\.",
    "missing": r"Missing (?:argument|option|parameter) (?P<found>'.+?')\..*",
    "too_many": r"Got unexpected extra argument\(s\) \((?P<found>.*)\)",
    "value": r"Invalid value(?: for (?P<found>'.+?'))?: (?P<near>.+)",
}
VALUES = {
    "not_whole": r"Input should be a valid integer.*",
    "at_most": r"Input should be less than or equal to (?P<found>.+)",
    "at_least": r"Input should be greater than or equal to (?P<found>.+)",
}
#: The base of every refusal of a line; the library names only its children.
UsageError: type[Any] = typer.BadParameter.__bases__[0]


def spoken(text: str) -> str:
    """A page of help in the user's language."""
    if LANGUAGE == "en":
        return text
    for key, pattern in HEADINGS.items():
        text = re.sub(pattern, t(f"heading.{key}"), text, flags=re.MULTILINE)
    return text


def refusal(text: str, known: dict[str, str] = REFUSALS) -> str:
    """Why a line was refused, in the user's language; what is not known stays as the library says it."""
    for key, pattern in known.items():
        found = re.fullmatch(pattern, text, flags=re.DOTALL)
        if found:
            near = found.groupdict().get("near") or ""
            near = refusal(near, VALUES) if key == "value" else near
            head = t(f"refusal.{key}", found=found.groupdict().get("found") or "")
            return head + (t(f"refusal.{key}_near", near=near) if near else "")
    return text


class SpokenCommand(TyperCommand):
    """A command whose help is in the user's language throughout."""

    def get_help(self, ctx: Any) -> str:
        """The page."""
        return spoken(super().get_help(ctx))


class SpokenGroup(TyperGroup):
    """The same for a group of commands; what it refuses is said in that language too."""

    def get_help(self, ctx: Any) -> str:
        """The page."""
        return spoken(super().get_help(ctx))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002 - the library's own
        windows_expand_args: bool = True,  # noqa: FBT001, FBT002
        **extra: Any,
    ) -> Any:
        """Run a line. Exits with the command's code, with 2 for a line that cannot be read."""

        def run(*, standalone: bool) -> Any:
            return super(SpokenGroup, self).main(
                args, prog_name, complete_var, standalone, windows_expand_args, **extra
            )

        if LANGUAGE == "en" or not standalone_mode:
            return run(standalone=standalone_mode)
        try:
            code = run(standalone=False)
        except typer.Abort:
            typer.echo(t("refusal.aborted"), err=True)
            code = 1
        except UsageError as problem:
            typer.echo(_refused(problem), err=True)
            code = problem.exit_code
        sys.exit(code)


def _refused(problem: Any) -> str:
    """The usage, how to learn more, and why; a line without a command gets the whole page."""
    text, context = problem.format_message(), problem.ctx
    if context is None:
        return t("refusal.error", why=refusal(text))
    if text == context.get_help():
        return str(text)
    learn = t("refusal.learn", command=f"{context.command_path} --help")
    return f"{spoken(context.get_usage())}\n{learn}\n\n{t('refusal.error', why=refusal(text))}"
