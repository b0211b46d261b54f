"""Notices out of the door: how they look and travel. What they say is in `models.domain.notice_texts`.

`Channel(url).send(notice, folder)` is all that a flow needs; Apprise is imported by the first send, not before.
"""
