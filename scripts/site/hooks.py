"""Adapts the pages of docs/ to the site (mkdocs.yml).

The pages are written for GitHub and for `fapws help`. These hooks take the navigation from docs/README.md, use the file
names of code blocks as titles, and add the files outside of docs/ that pages link to: documents, and source files as
pages of code.
"""

import collections
import json
import os
import pathlib
import posixpath
import re

from material.plugins.search import plugin as search
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

# Languages of code blocks, by the extensions of file names.
CODE = {".css": "css", ".html": "html", ".js": "js", ".py": "python", ".sh": "sh", ".toml": "toml", ".env": "sh"}

# The site's folder for files outside of docs/. In this folder, the files keep their paths.
OUTSIDE = "project/"

# A search lists guides first, then lists of names, and documents for contributors last.
BOOST = {"settings.md": 0.5, "keys.md": 0.5, "python-api.md": 0.5, "performance.md": 0.5, "limits.md": 0.8, "asleep.md": 0.5, "trouble.md": 0.9}

# The start page has a button for the search, and the menu in the place of its lists of pages.
SEARCH = '<p align="center"><label class="md-button" for="__search">Search the documentation</label></p>\n\n'

# Pages to which the page for a missing address leads.
DOORS = [("", "Start"), ("install/", "Installing"), ("django/", "A Django or FastAPI site"), ("device/", "A device"),
         ("migrate/", "Moving from gunicorn and nginx"), ("settings/", "Settings"), ("trouble/", "Troubleshooting")]

# Code of at most this length is not broken at the end of a line.
UNBROKEN = 22

FENCED = re.compile(r"(^ *```.*?^ *```$)", re.M | re.S)
SOURCE = re.compile(r"\b(src|srcset)=\"([^\"]*)\"")
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\]\([^)]*\))*)\]\(([^)\s]+)\)")


class RowParser(search.Parser):
    """Keeps the rows and cells of tables, which index_rows makes paragraphs of the search index."""

    def __init__(self):
        super().__init__()
        self.keep |= {"tr", "th", "td"}


search.Parser = RowParser


def on_config(config):
    """Takes the navigation from docs/README.md: a group for each heading."""
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    nav = [{"Home": "README.md"}]
    for heading, links in re.findall(r"^## (.*)\n\n((?:- .*\n)+)", index, re.M):
        pages = [{title: name} for title, name in re.findall(r"^- \[(.*?)\]\(([\w-]+\.md)\)", links, re.M)]
        if pages:
            nav.append({heading: pages})
    nav.append({"More": [{"The console of a device": OUTSIDE + "samples/console/README.md"},
                         {"Samples": OUTSIDE + "samples/README.md"}, {"Changelog": OUTSIDE + "CHANGELOG.md"}]})
    config.nav = nav
    config.mdx_configs.setdefault("toc", {})["slugify"] = anchor
    if os.environ.get("FAPWS_HOME_URL"):
        config.repo_url = os.environ["FAPWS_HOME_URL"]


def anchor(heading, separator):
    """Returns the anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", separator)


def on_files(files, config):
    """Adds the files outside of docs/ that pages link to."""
    waiting = ["docs/" + file.src_uri for file in files if file.is_documentation_page()]
    while waiting:
        name = waiting.pop()
        for _, _, target in links((ROOT / name).read_text("utf-8")):
            linked = resolve(name, target)
            page = site_name(linked)
            if page.startswith(OUTSIDE) and not files.get_file_from_path(page):
                files.append(outside(config, linked, page))
                if linked.endswith(".md"):
                    waiting.append(linked)
    return files


def links(text):
    """Returns the links of a page as (image, text, target), without links in code blocks and links to other servers."""
    for part in FENCED.split(text)[::2]:
        yield from (link for link in LINK.findall(part) if "://" not in link[2])


def resolve(name, target):
    """Returns the target of a link in the file NAME, as a path from the root of the repository."""
    path = target.partition("#")[0]
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) if path else name


def site_name(linked):
    """Returns the site's page or picture for a file of the repository, or "" if the site has none."""
    if linked == "README.md":
        return linked  # the start page of the site
    if linked.startswith("docs/"):
        return linked[len("docs/"):]
    stem, extension = posixpath.splitext(linked)
    if not (ROOT / linked).is_file():
        return ""
    if extension == ".md":
        return OUTSIDE + linked
    return "%s%s-%s.md" % (OUTSIDE, stem, extension[1:]) if extension in CODE else ""


def outside(config, linked, page):
    """Returns the site's file for a file outside of docs/. The navigation does not contain this file."""
    text = (ROOT / linked).read_text("utf-8")
    if not linked.endswith(".md"):
        kind = CODE[posixpath.splitext(linked)[1]]
        text = "---\nsearch: {exclude: true}\n---\n# %s\n\n````%s\n%s````\n" % (linked, kind, text)
    made = File.generated(config, page, content=text)
    made.inclusion = made.inclusion.NOT_IN_NAV
    return made


def on_page_markdown(markdown, page, **_):
    """Rewrites links, and changes the file names at the beginning of code blocks to titles."""
    uri = page.file.src_uri
    if uri == "README.md":
        page.meta["hide"] = ["toc"]
        head, _, lists = markdown.replace("# Documentation", "# fapws", 1).partition("\n## ")
        markdown = head.replace("<div ", SEARCH + "<div ", 1) + "\n## " + "Also" + lists.partition("\n## Also")[2]
    page.meta.setdefault("search", {}).setdefault("boost", BOOST.get(uri, 0.1 if uri.startswith(OUTSIDE) else 1))
    source = uri[len(OUTSIDE):] if uri.startswith(OUTSIDE) else "docs/" + uri

    def rewrite(match):
        image, text, target = match.groups()
        if "://" in target or target.startswith("#"):
            return match.group(0)
        text = LINK.sub(rewrite, text)
        name = site_name(resolve(source, target))
        if not name:
            return text
        fragment = target.partition("#")[1:]
        return "%s[%s](%s%s)" % (image, text, posixpath.relpath(name, posixpath.dirname(uri) or "."), "".join(fragment))

    def picture(match):
        """Rewrites a picture in HTML, which stays as it is, so its path starts at the page's own address."""
        attribute, target = match.groups()
        name = site_name(resolve(source, target))
        return '%s="%s"' % (attribute, posixpath.relpath(name, page.url or ".")) if name else match.group(0)

    parts = FENCED.split(markdown)
    parts[::2] = [SOURCE.sub(picture, LINK.sub(rewrite, part)) for part in parts[::2]]
    parts[1::2] = [re.sub(r"\A( *```\w+) (\S+)$", r'\1 title="\2"', part, flags=re.M) for part in parts[1::2]]
    return "".join(parts)


def on_page_content(content, **_):
    """Keeps short code in one line, and prepares tables for narrow screens."""
    content = re.sub(r"(?<!</span>)<code>([^<]*)</code>", unbroken, content)
    return re.sub(r"<table>.*?</table>", table, content, flags=re.S)


def table(found):
    """Gives each cell the title of its column, which narrow screens show before the cell. It removes an empty head, and
    empty titles are no titles."""
    titles = [re.sub("<[^>]*>", "", cell) for cell in re.findall(r"<th>(.*?)</th>", found.group(0), re.S)]

    def row(match):
        columns = iter(titles)
        cells = re.sub("<td>", lambda _: '<td data-title="%s">' % next(columns, ""), match.group(0))
        return re.sub('<td (data-title="[^"]*">–</td>)', r'<td class="none" \1', cells)

    text = re.sub(r"<tr>\n<td.*?</tr>", row, found.group(0), flags=re.S)
    return text.replace("<th></th>", "<td></td>") if any(titles) else re.sub("(?s)<thead>.*?</thead>", "", text)


def unbroken(code):
    return code.group(0).replace("<code", '<code class="unbroken"') if len(code.group(1)) <= UNBROKEN else code.group(0)


def on_post_page(output, page, **_):
    """Fails if a page would load a file from another server."""
    found = re.search(
        r"<(?:script|img|source|iframe)[^>]*\b(?:src|srcset)=\"?(?:https?:)?//[^>]*>"
        r"|<link[^>]*(?:stylesheet|preconnect)[^>]*//[^>]*>",
        output,
    )
    if found:
        raise PluginError("%s loads from another server: %s" % (page.file.src_uri, found.group(0)))


def on_post_template(output_content, template_name, **_):
    """Gives the page for a missing address the search and the doors of the start page."""
    if template_name != "404.html":
        return output_content
    ways = '<p>There is no page at this address.</p><p><label class="md-button" for="__search">Search the documentation</label></p><p>%s</p>'
    doors = " · ".join('<a href="/%s">%s</a>' % door for door in DOORS)
    return output_content.replace("<h1>404 - Not found</h1>", "<h1>Not found</h1>" + ways % doors, 1)


def on_post_build(config):
    """Checks pictures, writes the file with which fapws serves the site and its page 404, and completes the search index."""
    site = pathlib.Path(config.site_dir)
    check_pictures(site)
    mend_theme(site)
    (site / "fapws.toml").write_text('[[host]]\nroot = "."\nerror-page = { 404 = "/404.html" }\n', "utf-8")
    path = site / "search" / "search_index.json"
    index = json.loads(path.read_text("utf-8"))
    index_headings(index["docs"])
    index_rows(index["docs"])
    path.write_text(json.dumps(index, separators=(",", ":")), "utf-8")


def check_pictures(site):
    """Fails if a page of the site shows a picture that the site does not have."""
    for page in site.rglob("*.html"):
        shown = " ".join(re.findall(r"<(?:img|source)\b[^>]*>", page.read_text("utf-8")))
        for _, target in SOURCE.findall(shown):
            if not (page.parent / target if target[0] != "/" else site / target[1:]).exists():
                raise PluginError("%s: no file %s" % (page.relative_to(site), target))


def mend_theme(site):
    """Makes code that scrolls focusable without a mouse, too, and the many copy buttons of a page no landmarks."""
    script = next(site.glob("assets/javascripts/bundle.*.js"))
    text, scrolling = re.subn(r'(\w)&&\w\?(\w\.setAttribute\("tabindex","0"\):)', r"\1?\2", script.read_text("utf-8"))
    text, landmarks = re.subn(r'"nav",(\{class:"md-code__nav"\})', r'"div",\1', text)
    if (scrolling, landmarks) != (1, 1):
        raise PluginError("%s: the theme has changed" % script.relative_to(site))
    script.write_text(text, "utf-8")


def index_headings(entries):
    """Adds the headings of each page to its first entry in the search index, so that a page can have all words of a query."""
    headings = collections.defaultdict(list)
    for entry in entries:
        headings[entry["location"].partition("#")[0]].append(entry["title"])
    for entry in entries:
        if "#" not in entry["location"]:
            entry["text"] += "<p>%s</p>" % ", ".join(headings[entry["location"]][1:])


def index_rows(entries):
    """Makes each row of a table a paragraph of the search index, with dots between the cells."""

    def row(found):
        cells = (cell.strip() for cell in re.split("</?t[hd]>", found[1]))
        return "<p>%s</p>" % " · ".join(filter(None, cells))

    for entry in entries:
        entry["text"] = re.sub("<tr>(.*?)</tr>", row, entry["text"], flags=re.S)
