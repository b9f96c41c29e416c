"""A model of the operator's: what it adds to words, what is said of it, and that it is a folder."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from commanding import ADA, HOUR, MONDAY, Site
from encoding import BagOfWords

from digest.errors import ConfigError
from digest.matching import Ranking, Reader
from digest.matching.embeddings import OFFLINE, OTHERS, Embeddings, Meaning, open_model
from digest.matching.lexical import LexicalMatcher
from digest.model import Feedback, Floor, Interest, Paper, Profile, Reason, ReasonKind, Term
from digest.render.words import reason_words

SAME = {"carriages": "cars", "automobiles": "cars", "motors": "engines", "quick": "fast"}
LIKED = Paper("p:liked", "Fast cars, engines", "")
ALIKE = Paper("p:alike", "Quick automobiles, motors", "")  # no word in common
OTHER = [Paper(f"o:{n}", f"alpha{n} beta{n} gamma{n}", "") for n in range(1200)]


def model(**more: Any) -> Embeddings:
    return Embeddings(BagOfWords(SAME, dimension=1024), **more)


def ranked(matcher: LexicalMatcher, profile: Profile, *papers: Paper, said: Any = None) -> Ranking:
    reader = Reader(profile, said or Feedback(), {LIKED.id: LIKED})
    return matcher.prepare(papers, OTHER).rank([reader])[0]


def likes(floor: Floor = Floor.RELAXED) -> Profile:
    return Profile(floor=floor, interests=(Interest("Cars", seeds=(LIKED.id,)),))


# ------------------------------------------------------------------ what it adds


def test_a_paper_of_the_same_meaning_and_no_common_word_comes_only_with_the_model() -> None:
    assert [] == [*ranked(LexicalMatcher(), likes(), ALIKE, OTHER[0]).matches]
    found = ranked(LexicalMatcher(embeddings=model()), likes(), ALIKE, OTHER[0])
    assert [ALIKE.id] == [match.paper.id for match in found.matches]


def test_the_model_adds_a_quarter_of_its_z_to_an_eighth_less_of_that_of_words() -> None:
    papers = [Paper("p:near", "Fast cars", ""), ALIKE, *OTHER[:5]]
    reader = Reader(likes(), known={LIKED.id: LIKED})
    plain, better = (
        dict(next(iter(matcher.prepare(papers, OTHER).order([reader], 9))))
        for matcher in (LexicalMatcher(), LexicalMatcher(embeddings=model()))
    )
    vectors = model()
    meaning = Meaning(vectors, papers, OTHER)
    mixing = sp.csr_matrix(np.ones((1, 1), np.float32))
    [z] = meaning.tastes(mixing, [LIKED]) @ meaning.places(papers).T
    words = 1 - 0.125 * meaning.trust
    assert better["p:near"] == pytest.approx(words * plain["p:near"] + 0.25 * z[0], rel=1e-4)


def test_without_likes_the_model_changes_nothing() -> None:
    profile = Profile(interests=(Interest("i", query="cars"), Interest("j", terms=(Term("fast"),))))
    both = (ranked(LexicalMatcher(embeddings=m), profile, LIKED, ALIKE) for m in (None, model()))
    plain, better = both
    assert plain == better


def test_z_is_standard_deviations_above_the_texts_of_the_day() -> None:
    meaning = Meaning(model(), OTHER[:800], [])
    mixing = sp.csr_matrix(np.eye(3, dtype=np.float32))
    z = meaning.tastes(mixing, OTHER[-3:]) @ meaning.places(OTHER[:800]).T
    assert np.allclose(0, z.mean(axis=1), atol=0.01)
    assert np.allclose(0.8, z.std(axis=1), atol=0.01)  # 800 / (800 + 200): so far we trust it


def test_of_many_other_texts_only_some_are_read() -> None:
    encoder = BagOfWords()
    many = [Paper(f"m:{n}", f"word{n}", "") for n in range(OTHERS + 50)]
    Meaning(Embeddings(encoder), [ALIKE], many)
    assert 1 + 1 + OTHERS == len(encoder.asked)  # and one to tell how long a vector is


def test_a_text_is_read_once_while_it_is_remembered() -> None:
    encoder = BagOfWords()
    vectors = Embeddings(encoder, kept=3)
    first = vectors.of([*OTHER[:3], OTHER[0]])
    assert np.array_equal(first[0], first[3])
    assert np.array_equal(first[:3], vectors.of(OTHER[:3]))
    assert 1 + 3 == len(encoder.asked)
    vectors.of(OTHER[3:13])
    vectors.of(OTHER[:1])
    assert 1 + 3 + 10 + 1 == len(encoder.asked)


@pytest.mark.parametrize("papers", [[], [Paper("p:empty", "", "")]])
def test_what_has_no_text_lies_in_the_middle(papers: list[Paper]) -> None:
    assert 0 == np.abs(Meaning(model(), papers, []).places(papers)).sum()


# ------------------------------------------------------------------ what is said of it


def test_a_paper_that_only_the_model_brought_names_no_word_and_no_paper() -> None:
    [match] = ranked(LexicalMatcher(embeddings=model()), likes(), ALIKE, OTHER[0]).matches
    assert [Reason(ReasonKind.MEANING)] == [*match.reasons]
    assert "near in meaning to papers you like" in reason_words(match.reasons[0])


def test_a_seed_is_named_where_words_prove_that_it_is_close() -> None:
    near = Paper("p:near", "Fast cars and motors", "")
    [match] = ranked(LexicalMatcher(embeddings=model()), likes(), near, OTHER[0]).matches
    assert [ReasonKind.SEED] == [reason.kind for reason in match.reasons]


# ------------------------------------------------------------------ the folder


def as_line(paper: Paper, **more: Any) -> str:
    return json.dumps({"id": paper.id, "title": paper.title, **more})


def test_a_letter_is_made_with_the_model_that_the_settings_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, lambda *_, **__: BagOfWords(SAME, dimension=2048))
    site = Site(tmp_path, {"DIGEST_MATCHING__EMBEDDINGS": str(tmp_path)})
    profile = {"floor": "relaxed", "interest": [{"name": "Cars", "seeds": ["arxiv:2603.00001"]}]}
    row = {"email": ADA, "profile": profile, "consent": "asked"}
    row["confirmed_at"] = (MONDAY - 7 * 24 * HOUR).isoformat()
    site("subscriber", "import", site.write("p.jsonl", json.dumps(row)))
    texts = [replace(LIKED, id="arxiv:2603.00001"), replace(ALIKE, id="arxiv:2603.00002")]
    texts += [replace(paper, id=f"arxiv:2603.1{n:04}") for n, paper in enumerate(OTHER[:1100])]
    file = site.write("papers.jsonl", "\n".join(map(as_line, texts)))
    assert 0 == site("paper", "import", file, now=MONDAY - 24 * HOUR).code
    assert f"{tmp_path} (2048 numbers a text)" in site("check").out.replace("\n", " ")
    assert 0 == site("publish").code
    [edition] = site("edition", "list", "--json").json
    told = [(p["id"], [r["kind"] for r in p["reasons"]]) for p in edition["papers"]]
    assert [("arxiv:2603.00002", ["meaning"])] == told


def test_evaluate_ranks_with_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, lambda *_, **__: BagOfWords(SAME, dimension=1024))
    site = Site(tmp_path)
    fresh = [as_line(paper, new=True) for paper in (*OTHER[:30], ALIKE)]
    site.write("papers.jsonl", "\n".join([as_line(LIKED), *map(as_line, OTHER[30:200]), *fresh]))
    site.write("readers.jsonl", json.dumps({"reader": "a", "likes": [LIKED.id]}))
    site.write("qrels.txt", f"a 0 {ALIKE.id} 1\n")
    words = ["evaluate", *(tmp_path / name for name in ("papers.jsonl", "readers.jsonl"))]
    words += ["--run", tmp_path / "run", "--qrels", tmp_path / "qrels.txt", "--json"]
    assert 1.0 == site(*words, "--embeddings", tmp_path).json["MRR"]
    assert 0.5 > site(*words).json["MRR"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    site = Site(tmp_path, {"DIGEST_MATCHING__EMBEDDINGS": str(tmp_path / "nowhere")})
    [found] = [f for f in site("check", "--json").json["findings"] if f["part"] == "matching"]
    assert "wrong" == found["state"]
    assert f"matching.embeddings: no folder {tmp_path / 'nowhere'}" in found["message"]
    assert 2 == site("publish").code


def test_the_package_to_install_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    online(monkeypatch)
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ConfigError, match=r"pip install 'paper-digest\[embeddings\]'"):
        open_model(str(tmp_path))


def test_a_folder_without_a_model_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no file named\nmodel.safetensors")

    install(monkeypatch, refuse)
    with pytest.raises(ConfigError, match=r"is no sentence-.* no file named model.safetensors"):
        open_model(str(tmp_path))


def test_a_model_is_opened_from_its_folder_and_nothing_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def made(folder: str, **how: Any) -> BagOfWords:
        asked.append((folder, how, [os.environ[name] for name in OFFLINE]))
        return BagOfWords(dimension=7)

    install(monkeypatch, made)
    assert 7 == open_model(str(tmp_path)).dimension
    assert [(str(tmp_path), {"local_files_only": True}, ["1", "1"])] == asked


def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is set here is taken back after the test."""
    for name in OFFLINE:
        monkeypatch.setenv(name, "0")


def install(monkeypatch: pytest.MonkeyPatch, made: Any) -> None:
    online(monkeypatch)
    there = SimpleNamespace(SentenceTransformer=made)
    monkeypatch.setitem(sys.modules, "sentence_transformers", there)
