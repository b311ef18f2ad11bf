"""The bibliography: read, cited, written again."""

import pytest

from immunostat.base.errors import InputError, UnknownNameError
from immunostat.base.sources import cite, read_sources, write_bibtex

TEXT = """% a comment

@article{frey2010,
  author = {Frey, N. and Grange, S. and Woodworth, T. and Other, A.},
  title = {Population {PK} of "tocilizumab"},
  journal = {J Clin Pharmacol}, year = 2010, volume = {50}, number = {7}, pages = {754--766},
  doi = {10.1177/0091270009350623},
}
@misc{label2013, title = "A label", year = {2013}, url = {https://example.org}}
"""


def test_entries_are_read_with_their_fields_and_lines():
    sources = read_sources(TEXT, "sources.bib")
    assert list(sources) == ["frey2010", "label2013"]
    assert sources["frey2010"].fields["title"] == 'Population {PK} of "tocilizumab"'
    assert sources["frey2010"].fields["year"] == "2010"
    assert str(sources["label2013"].place) == "sources.bib:9"


def test_a_citation_is_one_readable_line():
    sources = read_sources(TEXT)
    assert cite(sources["frey2010"]) == (
        'Frey, N.; Grange, S.; Woodworth, T. et al. (2010). Population PK of "tocilizumab". '
        "J Clin Pharmacol 50(7):754–766. https://doi.org/10.1177/0091270009350623 [frey2010]"
    )
    assert cite(sources["label2013"]) == "A label (2013). https://example.org [label2013]"


def test_what_is_written_reads_back_as_the_same():
    sources = read_sources(TEXT)
    again = read_sources(write_bibtex(sources, ["label2013", "frey2010", "frey2010"]))
    assert {key: dict(s.fields) for key, s in again.items()} == {
        key: dict(s.fields) for key, s in sources.items()
    }


def test_writing_an_unknown_key_offers_near_ones():
    with pytest.raises(UnknownNameError, match="frey2010"):
        write_bibtex(read_sources(TEXT), ["frey2011"])


@pytest.mark.parametrize(
    ("text", "line", "cause"),
    [
        ("\nnot an entry", 2, "head of an entry"),
        ("@misc{a2000, title = {x}}\n@misc{a2000, title = {y}}", 2, "twice"),
        ("@misc{a2000, title = {x}, title = {y}}", 1, "twice"),
        ("@misc{a2000,\n title = {x} year = {2000}}", 2, "not closed"),
        ("@misc{a2000,\n title = {x", 2, "balance"),
        ("@misc{a2000,\n title = }", 2, "no value"),
    ],
)
def test_a_broken_list_of_sources_names_its_line(text, line, cause):
    with pytest.raises(InputError, match=cause) as caught:
        read_sources(text, "x.bib")
    assert str(caught.value).startswith(f"x.bib:{line}:")
