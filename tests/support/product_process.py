"""`assistant serve` or `assistant work` as a child process that looks for lost work every few seconds, for chaos tests."""

import os
import sys

import bot.app
from bot.cli.serve import serve, work
from bot.handlers import reconcile
from bot.settings import Settings

reconcile.EVERY = reconcile.TROUBLED = bot.app._RECONCILE = float(os.environ.pop("RECONCILE_EVERY"))
settings = Settings.read()
if sys.argv[1] == "serve":
    serve(settings, work=True)
else:
    work(settings)
