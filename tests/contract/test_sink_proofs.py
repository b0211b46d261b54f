"""The pages of the sinks say what is there: how each was proven, its options, configurations and payloads that work.

`python -m tests.contract.test_sink_proofs` writes the tables and payloads anew.
"""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import jsonschema
import pytest

from connectors.sinks.registry import BUILT_IN, meaning, sink
from connectors.sinks.webhook import message
from flows.settings import load_settings
from models.domain.words import LANGUAGES
from tests.fakes.books import ErpNextBooks, OdooBooks, OracleBooks, SapBooks, body_of, described
from tests.unit.sinks.pushing import push, ready

ROOT = Path(__file__).parents[2]
PAGES = {"en": ROOT / "docs/sinks.md", "zh-CN": ROOT / "docs/sinks.zh-CN.md"}
#: Sinks behind a fake, and the description that every request to it was held against.
BOOKS = {
    "odoo": (OdooBooks, "odoo_account_move"),
    "erpnext": (ErpNextBooks, "erpnext_sales_invoice"),
    "oracle": (OracleBooks, "oracle_project_billing_event"),
    "sap": (SapBooks, "sap_billing_plan_item"),
}
RUN = {"csv_drop": "files", "sql_drop": "database", "webhook": "http"}
WORDS = {
    "en": {
        "columns": "| kind | where to | proven by |", "server": "the real server", "files": "real files in tests",
        "database": "real databases in tests (SQLite, PostgreSQL)", "http": "a real HTTP server that verifies the signature",
        "description": "every request held against the published description; **not run against a real server**",
        "options": "| kind | option | meaning | default |", "required": "required", "secret": "secret",
    },
    "zh-CN": {
        "columns": "| kind | 去向 | 证明方式 |", "server": "真实服务器", "files": "测试中的真实文件",
        "database": "测试中的真实数据库（SQLite、PostgreSQL）", "http": "验证签名的真实 HTTP 服务器",
        "description": "每个请求都与公开的接口描述核对；**未在真实服务器上运行**",
        "options": "| kind | 选项 | 含义 | 默认值 |", "required": "必填", "secret": "密钥",
    },
}  # fmt: skip


def proof(kind: str) -> str:
    """How a sink was proven, by the tests that are there."""
    if (ROOT / f"tests/integration/sinks/test_{kind}_real.py").exists():
        return "server"
    if kind in BOOKS:
        assert described(BOOKS[kind][1])["$comment"]
        return "description"
    return RUN[kind]


def proofs(language: str) -> str:
    words = WORDS[language]
    rows = [f"| `{kind}` | {sink(kind).title} | {words[proof(kind)]} |" for kind in sorted(BUILT_IN)]
    return "\n".join([words["columns"], "|---|---|---|", *rows])


def options(language: str) -> str:
    words, rows = WORDS[language], []
    for kind in sorted(BUILT_IN):
        for option in sink(kind).options:
            marks = [words[m] for m in ("required", "secret") if getattr(option, m)]
            default = ", ".join(marks) or f"`{json.dumps(option.default)}`"
            rows.append(f"| `{kind}` | `{option.name}` | {meaning(kind, option).text(language)} | {default} |")
    return "\n".join([words["options"], "|---|---|---|---|", *rows])


def payload(kind: str) -> str:
    """What is really sent for the example record."""
    if kind == "webhook":
        return json.dumps(json.loads(message(ready(tax_id="91330100MA27XXXX0X"))), ensure_ascii=False, indent=1)
    books = BOOKS[kind][0]()
    push(kind, books.options(), ready(), books.transport)
    (sent,) = [r for r in books.requests if r.method == "PATCH" or (r.method == "POST" and _creates(r.url.path))]
    body = body_of(sent)
    body = body["vals_list"][0] if kind == "odoo" else body
    jsonschema.validate(body, described(BOOKS[kind][1]))
    text = json.dumps(body, ensure_ascii=False, indent=1, default=lambda d: f"\x00{d}\x00")
    return re.sub(r'"\\u0000(.*?)\\u0000"', r"\1", text)


def _creates(path: str) -> bool:
    return not path.startswith("/json/2/") or path.endswith("/create")


def parts(language: str) -> dict[str, str]:
    """What stands between the marks of the page."""
    found = {"proofs": proofs(language), "options": options(language)}
    return found | {f"payload {k}": f"```json\n{payload(k)}\n```" for k in ("webhook", *BOOKS)}


def _marked(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name} -->\n)(?:.*?\n)??(<!-- end -->)", re.DOTALL)


def _filled(text: str, language: str) -> str:
    for name, body in parts(language).items():
        assert _marked(name).search(text), name
        text = _marked(name).sub(lambda m, body=body: f"{m[1]}{body}\n{m[2]}", text)
    return text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_says_what_the_tests_say(language: str) -> None:
    text = PAGES[language].read_text(encoding="utf-8")
    assert text == _filled(text, language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_configuration_on_the_page_is_accepted(language: str, tmp_path: Path) -> None:
    found = re.findall(r"```toml\n(.*?)```", PAGES[language].read_text(encoding="utf-8"), re.DOTALL)
    kinds = set()
    for text in found:
        (tmp_path / "huikuan.toml").write_text(text, encoding="utf-8")
        environ = {n: "whsec_" + base64.b64encode(bytes(32)).decode() for n in re.findall(r'env = "(\w+)"', text)}
        loaded = load_settings(tmp_path / "huikuan.toml", environ)
        kinds |= {s.kind for s in loaded.settings.sinks.values()}
    assert kinds == set(BUILT_IN)


@pytest.mark.parametrize("kind", sorted(BOOKS))
def test_a_description_refuses_what_it_does_not_know(kind: str) -> None:
    """A description that takes anything would prove nothing."""
    schema = described(BOOKS[kind][1])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"no_such_field": 1}, schema)


def test_both_pages_have_the_same_sections() -> None:
    first, second = (p.read_text(encoding="utf-8") for p in PAGES.values())
    for pattern in (r"(?m)^## ", r"(?m)^\|", r"```"):
        assert len(re.findall(pattern, first)) == len(re.findall(pattern, second)), pattern


if __name__ == "__main__":
    for name, path in PAGES.items():
        path.write_text(_filled(path.read_text(encoding="utf-8"), name), encoding="utf-8")
