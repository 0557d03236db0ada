"""All the time: when to look at directories, which part of them is at rest, and what is told of it meanwhile."""

from zsync.watching.listening import Listener
from zsync.watching.running import Looked, Runner, Worker
from zsync.watching.service import Service
from zsync.watching.status import Board, SiteStatus
from zsync.watching.stillness import Clock, Rules, State

__all__ = ["Board", "Clock", "Listener", "Looked", "Rules", "Runner", "Service", "SiteStatus", "State", "Worker"]
