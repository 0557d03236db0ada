"""Notices: those who asked are told of a publication. That this fails fails nothing else."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from zsync.notices.message import Event
from zsync.words import Finding

if TYPE_CHECKING:
    from zsync.config import RunConfig

__all__ = ["Event", "tell"]

log = logging.getLogger(__name__)


def tell(config: RunConfig, event: Event) -> list[Finding]:
    """Tell everyone who wants this kind of event, all at the same time, each within its timeout.

    Parameters
    ----------
    config
        Says who is told (`RunConfig.notify`), and with which credentials.
    event
        What happened.

    Returns
    -------
    list of Finding
        A warning for each notification that failed. Nothing is raised, but what interrupts the process.
    """
    wanted = {number: who for number, who in enumerate(config.notify) if event.kind in who.on}
    if not wanted:
        return []
    try:
        from zsync.notices.sending import send_all

        return send_all(config.storage, wanted, event)
    except Exception as error:  # noqa: BLE001 - whatever it is, what was published is published
        # Not the error's text: it may hold what is secret.
        return [Finding("warning", "notification-failed", "", "notify", f"nobody was told: {type(error).__name__}")]
