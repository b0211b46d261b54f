"""Rows out of a CSV file, one by one: UTF-8, UTF-16 with its mark or GB18030, and whichever delimiter its head uses."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO

CHUNK = 1 << 20


def csv_rows(stream: BinaryIO) -> Iterator[list[str]]:
    """Every row, empty ones too; the stream is closed in the end. Raises ValueError or csv.Error for what is no such file."""
    text = io.TextIOWrapper(stream, _encoding(stream), newline="")
    head = text.readline()
    delimiter = max(",;\t", key=head.count)
    yield from csv.reader(chain((head,) if head else (), text), delimiter=delimiter, strict=True)


def _encoding(stream: BinaryIO) -> str:
    """By the bytes alone; the stream stands at its beginning again."""
    if stream.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):  # what Excel's "Unicode text" begins with
        stream.seek(0)
        return "utf-16"
    stream.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while data := stream.read(CHUNK):
            decoder.decode(data)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "gb18030"  # what a Chinese Excel writes
    finally:
        stream.seek(0)
    return "utf-8-sig"
