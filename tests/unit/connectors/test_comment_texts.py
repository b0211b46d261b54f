"""What is written on milestones: hostile names do nothing there."""

from __future__ import annotations

import html
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.comment_texts import STAGES, TEXT_MAX, About, comment_text, inert, link, mark

DANGEROUS = set('<>[]{}`*~|\\@#!^"&$\r\n\t\0')


@given(st.text())
def test_nothing_of_it_is_markup(text: str) -> None:
    found = inert(text)
    assert not DANGEROUS & set(found)
    assert "://" not in found
    assert "www." not in found
    assert len(found) <= TEXT_MAX
    assert found == html.escape(found, quote=False)
    assert inert(found) == found


@pytest.mark.parametrize("name", ["HT-2026-018", "初验 (第一期)", "m_final_acceptance", "40% / 终验", "C/1"])
def test_usual_names_stay_as_they_are(name: str) -> None:
    assert inert(name) == name


@given(st.text(min_size=1), st.text(min_size=1), st.text(), st.sampled_from(STAGES), st.sampled_from(["en", "zh-CN"]))
def test_every_comment_holds_its_mark_at_its_end(contract: str, term: str, name: str, stage, language: str) -> None:
    about = About("r-1", contract, term, name)
    text = comment_text(about, stage, language, "")
    assert text.endswith("\n\n" + mark("r-1", stage))
    assert len(text.split("\n\n")) == 3


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_what_fills_a_link_cannot_leave_its_place(contract: str, term: str) -> None:
    found = link("https://h.example/c/{contract}?t={term}", About("r", contract, term, ""))
    head, _, rest = found.removeprefix("https://h.example/c/").partition("?t=")
    assert (unquote(head), unquote(rest)) == (contract, term) or "{term}" in contract
    assert not set(found) & set('<>" \n')
