"""The status of sites as Prometheus metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client.core import Metric

    from zsync.watching.status import Board, SiteStatus

# Name, explanation, and where the value comes from; a site without a value has no sample.
_GAUGES: tuple[tuple[str, str, Callable[[SiteStatus], float | None]], ...] = (
    ("zsync_site_bytes", "Size of what the target holds, in bytes.", lambda site: site.bytes),
    ("zsync_site_objects", "Number of objects that the target holds.", lambda site: site.objects),
    (
        "zsync_site_last_success_timestamp_seconds",
        "When the site was last found, or brought, up to date, in seconds since the epoch.",
        lambda site: site.last_success,
    ),
    (
        "zsync_site_lag_seconds",
        "For how long the oldest change that is not published has been waiting.",
        lambda site: site.lag_s,
    ),
    ("zsync_site_failing", "1 while the site is failing, else 0.", lambda site: float(site.error is not None)),
)
_COUNTERS: tuple[tuple[str, str, Callable[[SiteStatus], float]], ...] = (
    ("zsync_site_errors", "Attempts that failed.", lambda site: site.errors),
    ("zsync_site_publications", "Publications that were made.", lambda site: site.publications),
    ("zsync_site_sent_bytes", "Bytes that were sent.", lambda site: site.bytes_sent),
)


class Collector:
    """Reads the board whenever metrics are asked for, so that sites that went away leave nothing behind."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, SummaryMetricFamily

        sites = sorted(self._board.sites.items())
        for name, explanation, value in _GAUGES:
            gauge = GaugeMetricFamily(name, explanation, labels=["site"])
            for site, status in sites:
                if (number := value(status)) is not None:
                    gauge.add_metric([site], number)
            yield gauge
        for name, explanation, count in _COUNTERS:
            counter = CounterMetricFamily(name, explanation, labels=["site"])
            for site, status in sites:
                counter.add_metric([site], count(status))
            yield counter
        passes = SummaryMetricFamily("zsync_site_pass_seconds", "How long publishing took.", labels=["site"])
        for site, status in sites:
            passes.add_metric([site], count_value=status.passes, sum_value=status.pass_seconds)
        yield passes
        reloads, failed = self._board.reloads
        yield CounterMetricFamily("zsync_reloads", "How often the configuration was read again.", value=reloads)
        yield CounterMetricFamily("zsync_reload_errors", "How often that failed.", value=failed)
        info = GaugeMetricFamily("zsync_build_info", "The version that runs.", labels=["version"])
        info.add_metric([self._board.version], 1)
        yield info


def exposition(board: Board) -> tuple[str, bytes]:
    """Return the metrics in Prometheus' text format, with its content type."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector(board))
    return CONTENT_TYPE_LATEST, generate_latest(registry)
