"""Why a notice did not go out; never with a secret in the text."""

from __future__ import annotations


class NotSent(Exception):
    """The channel did not take a notice: worth another try later."""


class Undeliverable(NotSent):
    """No use trying again: the notice itself is at fault (an address that is none, a text we cannot make)."""
