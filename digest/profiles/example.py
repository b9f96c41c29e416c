"""The profile that `digest profile example` prints: every key once, with a word about each."""

EXAMPLE = """\
# What you want to read, and when. Lines that begin with # are remarks.

cadence = "weekly"         # daily, weekly or monthly
day = "friday"             # weekly: a weekday; monthly: 1 to 28, or "last"
hour = 8                   # your local hour
zone = "Europe/Berlin"     # your time zone, by its IANA name
budget = 12                # at most so many papers in one letter
floor = "normal"           # relaxed, normal or strict: letters are never padded below it
quiet_weeks = "skip"       # nothing good enough? skip the letter, or send one "line"
trending = 3               # at most so many popular papers near your interests; 0 for none
revisions = true           # a line where papers you got have a new version, or are published

# A query is required: only papers that meet it come. Quotes hold words together, * ends a
# word that may go on, ti: ab: au: cat: look in title, abstract, authors, categories.
[[interest]]
name = "Protein design"
query = '("protein design" OR "protein language model*" OR antibod*) AND NOT cat:q-bio.PE'
quota = 5                  # at most so many papers of this interest in one letter

# Without a query, terms and seeds rank the papers, and the best above the floor come.
# A term counts double with ^2. Seeds are papers you would have liked to be sent.
[[interest]]
name = "Fast sampling"
terms = ["few-step sampling^2", "consistency models", "distillation"]
seeds = ["arxiv:2303.01469"]

# Papers by these people always come.
[follow]
authors = ["Listgarten, Jennifer"]

# Papers with any of these never come.
[mute]
terms = ["survey"]
authors = []
categories = ["cs.CR"]
"""
