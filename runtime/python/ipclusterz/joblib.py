"""joblib on engines: importing this registers the backend "ipclusterz"."""

from __future__ import annotations

from .client.backend import IpclusterzBackend, register
from .client.client import Client

__all__ = ["IpclusterzBackend", "register"]

IpclusterzBackend._connect = Client
