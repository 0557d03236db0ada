"""Keep a target up to date, as long as the service runs: the worker of one site.

A *pass* is a publish of what is at rest in one site. `watching/stillness` (pure) tells from two scans and a clock
which units are: unchanged for `settle`, no unfinished files, or a marker that is new. The rest is held back by
`Stock.without`: not sent, not retired, and on record as before. With `Terms.by_unit` a unit that is unfit is held
back as well, and a file that changes while it is sent is left for the next pass. Events only say *when* to look; the
scan says what. Between full comparisons, which list the target and see to storage classes, a pass trusts the
manifest.

`watching` knows nothing of publishing: it runs workers (`Worker`), one thread a site, backs off where one fails, and
answers requests. `site` is the worker.
"""
