"""Paper Digest: watch where papers appear, match them to people, mail each a letter worth opening.

Start reading here:
    model.py      the words: every value the rooms hand each other
    ingest.py     verb 1: ask every source, judge its health, remember new papers
    subscribe.py  verb 2: people come, change their minds, pause and leave
    publish/      verb 3: match and compose: an edition for each person who is due
    deliver.py    verb 4: lease, render, send, record the outcome
    app/          the root: settings become concrete parts; the clock enters here
"""

__version__ = "0.1.0"
