"""A delivery becomes a job, a job becomes a review, a review becomes comments.

Read the files in this order:

    interfaces.py   what the core asks of the world, on one screen
    webhook.py      bytes -> Delivery
    job.py          Delivery -> Job, or a reason to skip
    reviewer.py     the use case: review a pull request
    answerer.py     the use case: answer a command
    review/         the functional core: values in, values out
    hosts/ models/ standards/ engines/ checks/ tools/   families: interchangeable siblings
    app.py          joins them
"""
