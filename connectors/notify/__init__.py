"""Notices out of the door: how they look and travel. What they say is in `models.domain.notice_texts`."""
