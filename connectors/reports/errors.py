"""Why the reports could not be written, in the reader's language."""

from __future__ import annotations

from models.domain.words import say


class ReportsNotWritten(Exception):
    """No report of this run could be completed; `advice` says what a person can do."""

    def __init__(self, kind: str, language: str, **params: object) -> None:
        super().__init__(say(f"report.error.{kind}", language, **params))
        self.advice = say(f"report.error.{kind}_advice", language)
