"""THE ROOT: Settings become an App. The only room that knows concrete classes, and the door by
which the clock, the network and randomness come in.

root.py        App: every part, built when first asked for, and the verbs
answers.py     what is asked about one person
publishing.py  publishing beside delivery, in processes of its own
learning.py    the collaborative map at hand, and its training
plugins.py     kinds of sources and transports by entry point
way_out.py     transports and routes from the settings
secret.py      randomness, and the secret of an embedded site
process.py     what is shared by everything in one process

What only some verbs need is imported where they begin: a command that asks for a number must not
wait for numpy.
"""

from digest.app.plugins import SOURCES, TRANSPORTS, build_source, plugins, source_spec
from digest.app.process import calm_gc, the_matcher
from digest.app.root import App, Clock, Pass, held_clock, wall_clock
from digest.app.secret import embedded_database, new_token, secret_file

__all__ = [
    "SOURCES",
    "TRANSPORTS",
    "App",
    "Clock",
    "Pass",
    "build_source",
    "calm_gc",
    "embedded_database",
    "held_clock",
    "new_token",
    "plugins",
    "secret_file",
    "source_spec",
    "the_matcher",
    "wall_clock",
]
