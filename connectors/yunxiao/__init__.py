"""Aliyun Yunxiao (云效, projex): the milestones of projects."""

from connectors.yunxiao.connector import CONNECTOR

__all__ = ["CONNECTOR"]
