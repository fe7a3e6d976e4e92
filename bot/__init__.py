"""A delivery becomes a job, a job becomes a review, a review becomes comments.

webhook.py  job.py     the way in: bytes -> Delivery -> Job, or a reason to skip
handlers/              the use cases: route, permissions, review, answer, reconcile. Start with review.py
core/code/             what changed, and the code around it
core/findings/         a finding from claim to merge: anchor, match, lifecycle, triage
core/claims/           what a model is shown, what it claims, and how the claims are proven or refuted
core/comments/         every word that is posted: comments, check runs, replies
engine/                runs jobs durably: intake, queue, steps, workers
model/                 talks to a model server; model/tools/ are the functions a model may call
standards/             the team's documents: found, parsed, indexed, searched
hosts/                 where pull requests live: GitHub, or a local git repository
checks/                analysers, one a file, and the jail they run in
storage/               the database: tables, ledger, conversations, migrations
web/                   pages for people: set-up, dashboard, the story of one review
telemetry/             metrics for Prometheus, traces for OpenTelemetry
cli/                   the `assistant` command
sandbox/               a GitHub to play with, for the demo and the tests
interfaces.py          the contracts between all of these, on one screen
app.py                 joins them: settings -> app
"""
