"""The page stands alone, holds everything it names, and keeps instances to the bit."""

import base64
import json
import re
from html.parser import HTMLParser
from urllib.parse import urlparse

import pytest
import theory_examples as examples
from hypothesis import given, settings
from hypothesis import strategies as st
from theory_examples import theorem

from rltheory.theory import replay, verify
from rltheory.theory.registry import theorems
from rltheory.theory.report import report
from rltheory.theory.typesetting import typeset
from rltheory.theory.verdict import decode_instance

RECORDS = [examples.EXACT, examples.FALSE, examples.SURVIVING, examples.SEPARATION, examples.PARTLY]
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
VOID = {"meta", "link", "img", "br", "input", "hr", "mspace"}


class Page(HTMLParser):
    """Collects what a page links to and checks that its elements nest."""

    def __init__(self, text):
        super().__init__()
        self.urls, self.ids, self.downloads, self.open = [], set(), {}, []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.urls += [found[name] for name in ("href", "src") if name in found]
        if "id" in found:
            self.ids.add(found["id"])
        if "download" in found:
            self.downloads[found["download"]] = found["href"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "run.jsonl"
    verify(RECORDS, budget="quick", store=path)
    return path


@pytest.fixture
def page(store, tmp_path):
    unseen = theorem("example/unseen", examples.square, examples.square_reversed)
    path = report(
        tmp_path / "new" / "page.html",
        store=store,
        figures=tmp_path / "none",
        theorems=[*RECORDS, unseen],
    )
    return path.read_text(encoding="utf-8")


def test_nothing_is_fetched_and_links_lead_somewhere(page):
    parsed = Page(page)
    assert parsed.urls
    for url in parsed.urls:
        if url.startswith("#"):
            assert url[1:] in parsed.ids
        else:
            assert urlparse(url).scheme == "data"
    assert "http://" not in page.replace("http://www.w3.org/1998/Math/MathML", "")
    assert "https://" not in page


def test_every_theorem_is_there_with_verdict_source_and_control(page):
    for record in RECORDS:
        assert record.id in page
        assert record.source in page
    for words in ("holds (exact)", "refuted", "untested", "not run", "survived", "undecided"):
        assert words in page
    assert "none of" in page, "how the control of a separation fell"


def test_downloaded_instances_replay_to_the_same_bits(page):
    by_id = {record.id: record for record in RECORDS}
    downloads = Page(page).downloads
    assert "example-false.json" in downloads
    for url in downloads.values():
        kind, _, content = url.partition(";base64,")
        assert kind == "data:application/json"
        instance = decode_instance(json.loads(base64.b64decode(content)))
        same, _ = replay(instance, by_id[instance.theorem])
        assert same


def test_text_is_escaped(store, tmp_path):
    rude = theorem(
        "example/exact", examples.square, examples.doubled, notes="<script>x</script> & $a<b$"
    )
    page = report(tmp_path / "page.html", store=store, theorems=[rude]).read_text()
    assert "&lt;script&gt;x&lt;/script&gt; &amp;" in page
    assert page.count("<script>") == 1
    assert "other source" in page, "the record is not the one that was checked"


def test_figures_are_embedded_with_title_and_data(store, tmp_path):
    folder = tmp_path / "figures"
    folder.mkdir()
    (folder / "robust-value.png").write_bytes(PIXEL)
    (folder / "robust-value.csv").write_text("radius,value\n0,1\n")
    (folder / "robust-value.json").write_text(
        json.dumps({"title": "Price & radius", "caption": "$V$."})
    )
    (folder / "plain_name.png").write_bytes(PIXEL)
    page = report(tmp_path / "p.html", store=store, figures=folder, theorems=RECORDS).read_text()
    assert "Price &amp; radius" in page
    assert "plain name" in page
    assert 'class="page"' not in page
    wide = PIXEL[:16] + (1725).to_bytes(4, "big") + PIXEL[20:]
    (folder / "plain_name.png").write_bytes(wide)
    page = report(tmp_path / "p.html", store=store, figures=folder, theorems=RECORDS).read_text()
    assert page.count('<figure class="page">') == 1
    (folder / "plain_name.png").write_bytes(PIXEL)
    page = report(tmp_path / "p.html", store=store, figures=folder, theorems=RECORDS).read_text()
    downloads = Page(page).downloads
    assert page.count(base64.b64encode(PIXEL).decode()) == 2
    assert (
        base64.b64decode(downloads["robust-value.csv"].partition(",")[2]) == b"radius,value\n0,1\n"
    )
    (folder / "plain_name.json").write_text("{")
    with pytest.raises(ValueError, match=r"plain_name\.json is not JSON"):
        report(tmp_path / "p.html", store=store, figures=folder, theorems=RECORDS)


def test_the_same_run_gives_the_same_page(store, tmp_path):
    first = report(tmp_path / "a.html", store=store, theorems=RECORDS)
    second = report(tmp_path / "b.html", store=store, theorems=RECORDS)
    assert first.read_bytes() == second.read_bytes()


def test_a_missing_store_says_what_to_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="run `rltheory verify` first"):
        report(tmp_path / "page.html", store=tmp_path / "none.jsonl")


def test_formulas_become_mathml_and_unknown_ones_stay_source():
    assert typeset(r"a \le b", formula=True).startswith('<math display="block">')
    assert 'display="inline"' in typeset("for $x$ in")
    assert typeset(r"\nonsense x", formula=True) == r'<code class="tex">\nonsense x</code>'
    assert typeset(r"\frac{", formula=True) == r'<code class="tex">\frac{</code>'
    assert typeset(r"a price of \$3") == "a price of $3"
    assert "<munder>" in typeset(r"\max_{x} f", formula=True)
    assert "‖" in typeset(r"\Bigl\|x\Bigr\|_\infty", formula=True)
    assert "<mo>⟹</mo>" in typeset(r"a \implies b", formula=True)


@settings(max_examples=15)
@given(st.text(max_size=40))
def test_any_text_can_be_typeset(text):
    Page(f"<p>{typeset(text)}</p>")
    Page(f"<p>{typeset(text, formula=True)}</p>")


@pytest.mark.parametrize("record", theorems(), ids=lambda record: record.id)
def test_every_registered_formula_is_understood(record):
    texts = [record.title, *record.hypotheses, record.notes, record.control.explanation]
    markup = [typeset(record.statement, formula=True), *map(typeset, texts)]
    assert not [text for text in markup if 'class="tex"' in text]
    plain = re.sub(r"<[^>]*>", "", "".join(markup))
    assert "\\" not in plain
    assert "$" not in plain
