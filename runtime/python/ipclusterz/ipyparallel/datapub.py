"""``from ipclusterz.ipyparallel.datapub import publish_data``, for tasks; see `ipclusterz.publish_data`."""

from ..shared.datapub import publish_data

__all__ = ["publish_data"]
