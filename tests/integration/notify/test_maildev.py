"""Mail over a real SMTP server: both parts, the list, the subject, the people."""

from __future__ import annotations

import io
import time
from pathlib import Path

import httpx
import pytest
from openpyxl import Workbook, load_workbook

from connectors.notify.channel import Channel
from models.domain.notices import NoticeKind
from tests.unit.notify.notices import every_notice, line

pytestmark = [pytest.mark.server]
HOSTILE = "<script>alert(1)</script> & Co\r\nBcc: everybody@evil.example 👩‍👩‍👧 @all"


class Mailbox:
    """MailDev's REST interface."""

    def __init__(self, port: int) -> None:
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}/api", trust_env=False, timeout=10)
        self.smtp = port + 1

    def channel(self, more: str = "&to=finance@example.com") -> Channel:
        return Channel(f"mailto://127.0.0.1:{self.smtp}?from=huikuan@example.com{more}")

    def mails(self, count: int) -> list[dict]:
        """All mails, once there are `count`."""
        for _ in range(100):
            found = self.http.get("/email").json()
            if len(found) >= count:
                return found
            time.sleep(0.05)
        pytest.fail(f"{count} mails were expected, {len(found)} came")

    def source(self, mail: dict) -> str:
        return self.http.get(f"/email/{mail['id']}/source").text


@pytest.fixture
def mailbox(maildev: int) -> Mailbox:
    box = Mailbox(maildev)
    box.http.delete("/email/all")
    return box


def the_list(folder: Path) -> None:
    book = Workbook()
    book.active["A1"] = "可开票清单"
    book.save(folder / "ready-to-invoice.xlsx")


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_a_mail_has_html_text_and_the_list(mailbox: Mailbox, tmp_path: Path, language: str) -> None:
    the_list(tmp_path)
    mailbox.channel().send(every_notice(language)[0], tmp_path)
    (mail,) = mailbox.mails(1)
    wanted = (
        "1 期款项可开票：CNY 1,288,888.88"
        if language == "zh-CN"
        else "1 payment term is ready to invoice: CNY 1,288,888.88"
    )
    assert mail["subject"] == wanted
    assert [t["address"] for t in mail["to"]] == ["finance@example.com"]
    for part in (mail["html"], mail["text"]):
        assert "1,288,888.88" in part
        assert "苏州恒拓" in part
        assert "2026-11-20" in part
    assert "<table" in mail["html"]
    assert "<td" not in mail["text"]
    (attached,) = mail["attachments"]
    assert (attached["filename"], attached["contentType"].split("/")[0]) == ("ready-to-invoice.xlsx", "application")
    content = mailbox.http.get(f"/email/{mail['id']}/attachment/{attached['generatedFileName']}").content
    assert load_workbook(io.BytesIO(content)).active["A1"].value == "可开票清单"


def test_names_from_outside_stay_text_and_add_no_header(mailbox: Mailbox, tmp_path: Path) -> None:
    notices = every_notice("en", ready=[line(name=HOSTILE, customer=HOSTILE)])
    for notice in notices:
        mailbox.channel().send(notice, tmp_path)
    mails = mailbox.mails(len(notices))
    for mail in mails:
        head = mailbox.source(mail).replace("\r\n", "\n").partition("\n\n")[0]
        assert "bcc:" not in head.lower()
        assert "\n" not in mail["subject"]
        assert "<script" not in mail["html"]
    ready = next(m for m in mails if "ready to invoice" in m["subject"])
    assert "&lt;script&gt;" in ready["html"]
    assert "👩‍👩‍👧" in ready["html"]


def test_a_contact_gets_it_alone(mailbox: Mailbox, tmp_path: Path) -> None:
    """Whoever the URL names in to, cc and bcc stays out of a mail to a project manager or a customer."""
    channel = mailbox.channel("&to=finance@example.com&cc=boss@example.com&bcc=audit@example.com")
    payer = next(n for n in every_notice("zh-CN") if n.role == "customer_payer")
    channel.send(payer, tmp_path, to="payer@customer.example")
    (mail,) = mailbox.mails(1)
    assert [t["address"] for t in mail["to"]] == ["payer@customer.example"]
    assert [e["address"] for e in mail["envelope"]["to"]] == ["payer@customer.example"]
    assert "cc" not in mail or not mail["cc"]
    assert mail["attachments"] in (None, []) if "attachments" in mail else True
    for ours in ("王芳", "pm.example", "可开票"):
        assert ours not in mail["html"] + mail["text"] + mail["subject"]


@pytest.mark.parametrize("kind", list(NoticeKind))
def test_every_kind_arrives(mailbox: Mailbox, tmp_path: Path, kind: NoticeKind) -> None:
    the_list(tmp_path)
    notice = next(n for n in every_notice("zh-CN") if n.kind is kind)
    mailbox.channel().send(notice, tmp_path)
    (mail,) = mailbox.mails(1)
    assert bool(mail.get("attachments")) == (kind in (NoticeKind.READY, NoticeKind.DIGEST))
