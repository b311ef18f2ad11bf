"""Each screen as people use it, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from immunostat.app.jobs import Jobs, State
from immunostat.app.limits import TRIAL

pytestmark = pytest.mark.slow

DRUG = "adalimumab 40 mg subcutaneous every 2 weeks"
EXPLORE = (
    "situation=rheumatoid-arthritis&population=methotrexate-inadequate-response&patients=50"
    f"&duration=8+weeks&seed=1&a={DRUG.replace(' ', '+')}"
)
TRIAL_FORM = (
    "situation=rheumatoid-arthritis&population=methotrexate-inadequate-response&patients=30"
    f"&duration=8+weeks&seed=1&endpoint=ACR20&name-a=control&name-b=drug&b={DRUG.replace(' ', '+')}"
)
NOTICE = "A research and teaching tool. It gives no medical advice."


def explored(page: Page) -> None:
    expect(page.locator("#status")).to_have_attribute("data-state", "done", timeout=90_000)


def test_explore_shows_the_chain_and_its_address_reopens_it(app: Any, page: Page) -> None:
    page.goto(f"{app.address}/explore/?{EXPLORE}")
    explored(page)
    for group in ("exposure", "inside", "benefit", "harm"):
        assert page.locator(f"#group-{group} figure svg[aria-label]").count() > 0
    expect(page.locator("#answer")).to_contain_text("Benefit.")
    page.locator(".dose").first.fill("8")  # twice the dose
    expect(page.locator("#a1")).to_have_value(re.compile("^adalimumab 80 mg "))
    expect(page.locator("#group-exposure")).to_contain_text("adalimumab 80 mg")
    explored(page)
    assert "80+mg" in page.url
    assert "80 mg" in page.locator("#same-study").text_content()
    before = page.locator("#figure-profile svg").inner_html()
    page.reload()
    explored(page)
    expect(page.locator("#a1")).to_have_value(re.compile("^adalimumab 80 mg "))
    assert page.locator("#figure-profile svg").inner_html() == before
    # a number that the slider would round stays what the link says
    page.goto(f"{app.address}/explore/?{re.sub('patients=[0-9]+', 'patients=37', EXPLORE)}")
    explored(page)
    assert "patients=37" in page.url
    expect(page.locator("#status")).to_contain_text("37 virtual patients")


def test_the_study_file_of_explore_gives_what_is_on_screen(
    app: Any, page: Page, tmp_path: Path
) -> None:
    import immunostat as im

    page.goto(f"{app.address}/explore/?{EXPLORE}")
    explored(page)
    path = tmp_path / "explore.yaml"
    path.write_text(page.locator("#same-study").text_content() or "")
    result = im.run(im.read_study(path))
    table = result.endpoints[result.endpoints["endpoint"] == "ACR20"]
    share = table[table["arm"] == "adalimumab 40 mg"]["estimate"].iloc[-1]
    expect(page.locator("#answer")).to_contain_text(f"{100 * share:.0f}")


def test_a_patient_is_marked_and_can_be_changed(app: Any, page: Page) -> None:
    page.goto(f"{app.address}/explore/?{EXPLORE}")
    explored(page)
    first = page.locator("#patient").input_value()
    page.get_by_label("Next patient").click()
    expect(page.locator("#patient")).not_to_have_value(first)
    explored(page)
    number = page.locator("#patient").input_value()
    expect(page.locator("#group-exposure")).to_contain_text(f"patient {number}")
    assert f"patient={number}" in page.url


def test_bad_input_is_explained_and_the_page_goes_on(app: Any, page: Page) -> None:
    page.goto(f"{app.address}/explore/?{EXPLORE}")
    explored(page)
    page.locator("#a1").fill("adalimumab 40 parsecs subcutaneous every 2 weeks")
    expect(page.get_by_role("alert")).to_contain_text("parsecs")
    page.locator("#a1").fill(DRUG)
    expect(page.get_by_role("alert")).to_have_count(0)
    explored(page)
    page.goto(f"{app.address}/explore/?situation=<script>alert(1)</script>")
    expect(page.get_by_role("alert")).to_contain_text("there is no situation '<script>")


def test_too_large_a_study_is_refused_with_the_way_out(app: Any, page: Page) -> None:
    page.goto(f"{app.address}/explore/?{EXPLORE.replace('8+weeks', '30+years')}")
    expect(page.get_by_role("alert")).to_contain_text("immunostat run")


def test_a_crash_of_one_simulation_leaves_the_page_alive(
    app: Any, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise MemoryError("no room")

    with monkeypatch.context() as broken:
        broken.setattr(type(app.bench), "explored", crash)
        page.goto(f"{app.address}/explore/?{EXPLORE}&seed=3")
        expect(page.get_by_role("alert")).to_contain_text("no room")
    page.locator("#a1").fill(DRUG.replace("40", "20"))
    explored(page)
    expect(page.locator("#group-exposure")).to_contain_text("adalimumab 20 mg")


def test_two_tabs_do_not_disturb_each_other(app: Any, browser: Browser) -> None:
    context = browser.new_context()
    one, two = context.new_page(), context.new_page()
    one.goto(f"{app.address}/explore/?{EXPLORE}")
    two.goto(f"{app.address}/explore/?{EXPLORE.replace('40+mg', '160+mg')}")
    for tab, dose in ((one, "40 mg"), (two, "160 mg")):
        explored(tab)
        expect(tab.locator("#group-exposure")).to_contain_text(f"adalimumab {dose}")
    context.close()


def test_a_trial_runs_with_progress_and_its_result_opens(app: Any, page: Page) -> None:
    page.goto(f"{app.address}/trial/?{TRIAL_FORM}")
    expect(page.locator("#status")).to_have_attribute("data-state", "ready")
    page.get_by_role("button", name="Run the trial").click()
    expect(page.locator("#status")).to_contain_text("patients", timeout=90_000)
    expect(page.locator("#finished")).to_be_visible(timeout=120_000)
    expect(page.frame_locator("iframe").locator("h1")).to_contain_text("drug")
    assert "run=" in page.url
    page.reload()
    expect(page.locator("#finished")).to_be_visible()
    page.get_by_role("link", name="Tables, figures and downloads").click()
    expect(page.locator("main")).to_contain_text("ACR20")
    assert page.locator("figure img").count() > 3
    with page.expect_download() as found:
        page.get_by_role("link", name="Download everything").click()
    assert found.value.suggested_filename.endswith(".zip")
    page.get_by_role("link", name="One patient of it").click()
    expect(page.locator("h1")).to_contain_text("Virtual patient")
    name = page.url.split("/patient/")[1].split("?")[0]
    page.goto(f"{app.address}/results/?compare={name}&compare={name}")
    expect(page.locator("#comparison")).to_contain_text("The same question")
    page.goto(f"{app.address}/balance/?result={name}")
    expect(page.locator("#status")).to_have_attribute("data-state", "done")
    before = page.locator("#table").text_content()
    page.locator("#w0").fill("20")
    expect(page.locator("#table")).not_to_have_text(before or "")


def test_cancel_ends_a_run_and_keeps_nothing(app: Any, page: Page) -> None:
    large = TRIAL_FORM.replace("patients=30", "patients=20000")
    page.goto(f"{app.address}/trial/?{large}")
    expect(page.locator("#status")).to_have_attribute("data-state", "ready")
    page.get_by_role("button", name="Run the trial").click()
    expect(page.locator("#status")).to_have_attribute("data-state", "running")
    other = page.context.new_page()  # the app can be used meanwhile
    other.goto(f"{app.address}/library/targets/TNF")
    expect(other.locator("h1")).to_contain_text("umour necrosis factor")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#status")).to_contain_text("Cancelled", timeout=5_000)
    job = app.bench.jobs.all()[0]
    assert job.state is State.CANCELLED
    assert not (app.bench.results / job.name / "run.json").exists()
    expect(page.get_by_role("button", name="Run the trial")).to_be_enabled()


def crash(*_: object) -> None:
    raise AssertionError("never called: the new process cannot even find it, and ends")


def test_a_crash_of_a_trial_is_told_and_the_app_lives_on(
    app: Any, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = Jobs(app.bench.results, None, 1, TRIAL, crash)
    monkeypatch.setattr(app.bench, "jobs", jobs)
    page.goto(f"{app.address}/trial/?{TRIAL_FORM}")
    page.get_by_role("button", name="Run the trial").click()
    expect(page.get_by_role("alert")).to_contain_text("exit code", timeout=60_000)
    page.goto(f"{app.address}/library/drugs/adalimumab")
    expect(page.locator("h1")).to_contain_text("Adalimumab")


def test_a_study_file_is_opened_and_a_wrong_one_told_with_its_line(
    app: Any, page: Page, tmp_path: Path
) -> None:
    page.goto(f"{app.address}/trial/?{TRIAL_FORM}")
    expect(page.locator("#status")).to_have_attribute("data-state", "ready")
    page.get_by_text("A study file instead of the form").click()
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("situation: rheumatoid-arthritis\npopulatio: x\n")
    page.locator("input[type=file]").set_input_files(wrong)
    expect(page.get_by_role("alert")).to_contain_text("study.yaml:2")
    huge = tmp_path / "huge.yaml"
    huge.write_text("# " + "x" * 30_000)
    page.locator("input[type=file]").set_input_files(huge)
    expect(page.locator("#failure")).to_contain_text("at most 24 KB")
    other = tmp_path / "study.exe"
    other.write_text("x")
    page.locator("input[type=file]").set_input_files(other)
    expect(page.locator("#failure")).to_contain_text(".yaml")


def test_twins_of_a_person_under_candidates_and_what_if(app: Any, page: Page) -> None:
    page.goto(
        f"{app.address}/patient/?situation=rheumatoid-arthritis&twins=50&duration=8+weeks"
        f"&is-age=70&is-female=yes&if-age=40&a={DRUG.replace(' ', '+')}"
    )
    explored(page)
    expect(page.locator("#whatif")).to_contain_text("age 40")
    expect(page.locator("#drivers")).to_contain_text("ACR20")
    assert "age: '70'" in (page.locator("#same-study").text_content() or "")
    page.get_by_role("button", name="Compute the risks").click()
    expect(page.locator("#risk")).to_contain_text("erious infection", timeout=120_000)
    page.locator("#is-age").fill("700")
    expect(page.get_by_role("alert")).to_contain_text("outside what patients")


def test_the_library_leads_from_the_diagram_to_the_drugs(app: Any, page: Page) -> None:
    page.goto(f"{app.address}/library/drugs")
    page.get_by_label("Find in the list").fill("jak tofa")
    expect(page.locator("#items li:visible")).to_have_count(1)
    page.locator("#items li:visible a").click()
    expect(page.locator("h1")).to_contain_text("Tofacitinib")
    assert page.locator("#numbers tr").count() > 5
    page.goto(f"{app.address}/library/network/rheumatoid-arthritis")
    page.locator("svg a", has_text="TNF").first.click()
    expect(page.locator("main")).to_contain_text("adalimumab")
    # what the disease reads of the core leads on too
    page.goto(f"{app.address}/library/network/multiple-myeloma")
    page.locator("svg a", has_text="proteasome").first.click()
    expect(page.locator("main")).to_contain_text("bortezomib")
    page.goto(f"{app.address}/library/drugs/nothing")
    expect(page.get_by_role("alert")).to_contain_text("nothing")


@pytest.mark.parametrize("width", [1440, 390])
def test_every_screen_says_no_advice_and_does_not_run_over(
    app: Any, page: Page, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    screens = (f"explore/?{EXPLORE}", f"trial/?{TRIAL_FORM}", "balance/", "library/drugs",
               "library/situations/rheumatoid-arthritis", "results/")  # fmt: skip
    for screen in screens:
        page.goto(f"{app.address}/{screen}")
        if screen.startswith("explore"):
            explored(page)
        expect(page.get_by_text(NOTICE)).to_be_in_viewport()
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{screen} is {wide} pixels too wide"


def test_the_keyboard_is_enough(app: Any, page: Page) -> None:
    page.goto(f"{app.address}/explore/?{EXPLORE}")
    explored(page)
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.locator(".dose").first.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#a1")).to_have_value(re.compile("^adalimumab 30 mg"))


def test_light_and_dark_are_kept(app: Any, page: Page) -> None:
    page.goto(f"{app.address}/library/drugs")
    light = page.evaluate("getComputedStyle(document.body).color")
    page.get_by_label("Switch between light and dark").click()
    dark = page.evaluate("getComputedStyle(document.body).color")
    assert light != dark
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).color") == dark


#: Contrast of each visible text with the first opaque background behind it (WCAG 2.1, 1.4.3).
CONTRASTS = r"""() => {
  const light = (c) => c.map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const numbers = (css) => css.match(/[\d.]+/g).map(Number);
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const own = texts.currentNode.parentElement;
    const box = own.getBoundingClientRect();
    if (!texts.currentNode.textContent.trim() || !box.width || !box.height) continue;
    if (own.closest("svg, script, style, option, [hidden]")) continue;
    let behind = own;
    const shade = (part) => numbers(getComputedStyle(part).backgroundColor);
    while (behind && (shade(behind)[3] ?? 1) < 1) behind = behind.parentElement;
    const back = behind ? shade(behind) : [255, 255, 255];
    const colors = [numbers(getComputedStyle(own).color), back];
    const [low, high] = colors.map((c) => light(c.slice(0, 3))).sort((a, b) => a - b);
    found.push([(high + 0.05) / (low + 0.05), texts.currentNode.textContent.trim()]);
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_background(app: Any, browser: Browser, scheme: Any) -> None:
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    for screen in ("trial/", "patient/", "library/drugs/tofacitinib", "results/"):
        page.goto(f"{app.address}/{screen}")
        found = page.evaluate(CONTRASTS)
        assert len(found) > 20
        # AA, for text of any size
        assert min(found)[0] >= 4.5, f"{screen}: {min(found)}"
    context.close()
