"""How notices read: both languages, every dialect, and nothing from outside that takes effect."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.notify.dialects import FIELD_MAX, Dialect, plain_line, safe
from connectors.notify.errors import Undeliverable
from connectors.notify.rendering import SUBJECT_MAX, rendered
from models.domain.notices import Notice, NoticeKind, Role
from models.domain.words import LANGUAGES
from tests.unit.notify.notices import every_notice, gone, line, moved, trouble

TEMPLATES = resources.files("connectors.notify").joinpath("templates")
BODIES = [d for d in Dialect if d is not Dialect.PLAIN]
HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(1)> **bold** [x](https://evil.example) @all @所有人 <!channel> "
    '!here> <at user_id="all">all</at> {{ 7*7 }} {% raw %} \u202egnp.exe\r\nBcc: everybody@evil.example\x00\x07 👩‍👩‍👧 =1+1'
)


def hostile(language: str) -> list[Notice]:
    bad = {"name": HOSTILE, "customer": HOSTILE}
    lines = [line(**bad, evidence=(replace(line().evidence[0], by=HOSTILE, url="javascript:alert(1)"),))]
    return every_notice(
        language,
        ready=lines,
        withdrawn=[replace(gone(), **bad)],
        exceptions=[trouble(detail=HOSTILE, code=HOSTILE)],
        moved=[moved(customer=HOSTILE, why=replace(moved().why, name=HOSTILE))],
    )


def names(language: str) -> set[str]:
    return {p.name for p in TEMPLATES.joinpath(language).iterdir()}


def test_both_languages_have_the_same_templates() -> None:
    wanted = {f"{k}.{e}.j2" for k in (*NoticeKind, "payer") for e in ("subject", "txt", "md", "html")}
    for language in LANGUAGES:
        assert names(language) == wanted


def test_both_languages_show_the_same_values() -> None:
    for name in names("en"):
        used = [
            set(re.findall(r"\b(?:r|c|p)\.\w+|\b(?:count|more|totals|waiting|new|findings|as_of|failed)\b", text))
            for text in (
                re.sub(r"[^{]+(?=\{|$)|\}[^{]*", " ", t) + t for t in (_logic(lang, name) for lang in LANGUAGES)
            )
        ]
        assert used[0] == used[1], name


def _logic(language: str, name: str) -> str:
    text = TEMPLATES.joinpath(language, name).read_text(encoding="utf-8")
    return " ".join(re.findall(r"\{[{%].*?[%}]\}", text))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("dialect", BODIES)
def test_every_notice_reads_in_every_dialect(language: str, dialect: Dialect) -> None:
    told = every_notice(language)
    assert len(told) == 8
    for notice in told:
        message = rendered(notice, dialect, attached=True)
        assert message.subject
        assert "{" not in message.body.replace("{margin", "")
        ours = re.sub("初验款|苏州恒拓|王芳|李雷", "", message.subject + message.body)
        assert bool(re.search(r"[\u4e00-\u9fff]", ours)) == (language == "zh-CN")
        if notice.kind is NoticeKind.READY:
            assert "1,288,888.88" in message.body
            assert "2026-11-20" in message.body


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_ready_notice_says_why(language: str) -> None:
    ready = every_notice(language)[0]
    for dialect in BODIES:
        body = rendered(ready, dialect).body.replace("\\", "")
        assert "m_final" in body
        assert "2026-11-18" in body
        assert "王芳" in body
    assert 'href="https://pm.example/m/1?a=1&amp;b=2"' in rendered(ready, Dialect.HTML).body


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("dialect", list(Dialect))
def test_a_subject_is_one_line_whatever_comes_in(language: str, dialect: Dialect) -> None:
    for notice in hostile(language):
        payload = {**notice.payload, "totals": ["CNY 1.00\r\nBcc: x@evil.example"] * 30}
        subject = rendered(replace(notice, payload=payload), dialect if dialect in BODIES else Dialect.HTML).subject
        assert subject.isprintable() or "\u200b" in subject
        assert not set(subject) & set("\r\n\x00\u202e\u2028")
        assert len(subject) <= SUBJECT_MAX


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))


@pytest.mark.parametrize("language", LANGUAGES)
def test_html_from_outside_stays_text(language: str) -> None:
    for notice in hostile(language):
        tags = Tags()
        tags.feed(rendered(notice, Dialect.HTML).body)
        assert not {t for t, _ in tags.seen} & {"script", "img", "at", "iframe"}
        assert not [a for _, attrs in tags.seen for a in attrs if a.startswith("on")]
        assert not [a["href"] for _, a in tags.seen if "href" in a]  # a javascript: link is not a link
        assert "7*7" in rendered(notice, Dialect.HTML).body or notice.kind in ("digest", "source_failed")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("dialect", [Dialect.TEXT, Dialect.MARKDOWN, Dialect.SLACK])
def test_nobody_is_mentioned_by_a_name(language: str, dialect: Dialect) -> None:
    for notice in hostile(language):
        body = rendered(notice, dialect).body
        assert not re.search(r"@(?!\u200b)", body)
        assert not re.search(r"(?<!\\)<(?!\u200b)", body)  # Feishu's <at …>, Slack's <!channel>
        if dialect is Dialect.SLACK:
            assert ">" not in body
            assert "<" not in body


def test_markdown_from_outside_stays_text() -> None:
    from markdown import markdown

    ready = hostile("en")[0]
    html = markdown(rendered(ready, Dialect.MARKDOWN).body)
    assert "<a " not in html
    assert "<script" not in html
    assert "<img" not in html
    assert html.count("<strong>") == 1  # ours, around the contract
    assert "**bold**" in html


@given(st.text(max_size=400), st.sampled_from(list(Dialect)))
def test_any_text_becomes_one_harmless_line(text: str, dialect: Dialect) -> None:
    made = safe(text, dialect)
    assert not set(made) & set("\r\n\x0b\x0c\u2028\u2029\x85\x00\u202e")
    made.encode("utf-8")  # lone surrogates would stop the sending
    if dialect is Dialect.HTML:
        assert "<" not in made
        assert '"' not in made


@given(st.text(max_size=600))
def test_a_value_is_cut_not_lost(text: str) -> None:
    made = plain_line(text)
    assert len(made) <= FIELD_MAX
    assert plain_line(made) == made


def test_an_emoji_of_several_parts_stays_whole() -> None:
    assert plain_line("👩‍👩‍👧 ok") == "👩‍👩‍👧 ok"


def test_lines_that_do_not_fit_are_counted() -> None:
    ready = every_notice("en", ready=[line("HT-1", f"T{n}") for n in range(40)])[0]
    short = rendered(ready, Dialect.TEXT, fits=lambda body: len(body.encode()) <= 1500).body
    shown = short.count("HT-1/")
    assert 0 < shown < 30
    assert f"… and {40 - shown} more, see the list." in short
    assert "40" in rendered(ready, Dialect.TEXT).subject
    assert "… and 10 more, see the attached list." in rendered(ready, Dialect.TEXT, attached=True).body


def test_a_notice_nobody_can_read_says_so() -> None:
    broken = Notice("k", NoticeKind.READY, Role.FINANCE, "finance", "en", {"lines": []})
    with pytest.raises(Undeliverable, match="no message can be made"):
        rendered(broken, Dialect.HTML)
    with pytest.raises(Undeliverable, match="too few characters"):
        rendered(every_notice("en")[0], Dialect.TEXT, fits=lambda _body: False)
