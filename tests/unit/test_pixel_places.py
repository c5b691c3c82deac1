"""Where the pixels of an HTML part stand (smtpapi.rewrite.places): "|" is the place, "" for none."""

from collections.abc import Callable

import pytest

from smtpapi.find import html
from smtpapi.find.model import Page
from smtpapi.mime.deadline import no_deadline
from smtpapi.rewrite import places


def shown(data: bytes, place: int) -> bytes:
    return b"" if place == places.NONE else data[:place] + b"|" + data[place:]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"<p>a</p>", b"<p>a</p>|"),
        (b"<p>a</p>\r\n", b"<p>a</p>|\r\n"),
        (b"<p>a</p>\n\n", b"<p>a</p>|\n\n"),
        (b"<table><tr><td>a\n", b"<table><tr><td>a\n|"),
        (b"<table><tr><td>a</table>\n", b"<table><tr><td>a</table>|\n"),
        (b"<table><table></table>a\n", b"<table><table></table>a\n|"),
        (b"</table><table>a\n", b"</table><table>a\n|"),
        (b"<p>a<svg><style><table>b\n", b"<p>a<svg><style><table>b\n|"),
        (b"<TABLE>a</TABLE >b\n", b"<TABLE>a</TABLE >b|\n"),
        (b"<p>a<pre>\n", b"<p>a<pre>\n|"),
        (b"<p>a<pre></b>\n", b"<p>a<pre></b>\n|"),
        (b"<p>a<pre>x\n", b"<p>a<pre>x|\n"),
        (b"<p>a<listing class=x>\n", b"<p>a<listing class=x>\n|"),
        (b"<p>a<preface>\n", b"<p>a<preface>|\n"),
        (b"<frameset><frame></frameset>", b""),
        (b"<p>a<frameset cols=1>b", b""),
        (b"<p>a<framesets>b", b"<p>a<framesets>b|"),
        (b"<p>a<select><option>b", b""),
        (b"<p>a<select></select>b", b"<p>a<select></select>b|"),
        (b"<p>a</select>b", b"<p>a</select>b|"),
        (b"<p>a</select><select>b", b""),
        (b"<noscript><html></body>\nb<body>", b"<noscript><html></body>\nb<body>|"),  # the body begins later
        (b"<p>a<template>b", b""),
        (b"<p>a<template></template>b", b"<p>a<template></template>b|"),
        (b"<p>a<template><template></template>b", b""),
        (b"<p>a<template><!-- </template> -->b", b""),
        (b"<p>a<template><![CDATA[</template>b", b""),
        (b"<p>a<svg><style><b><template>c", b""),
        (
            b"<p>a<template><template></template></template>b",
            b"<p>a<template><template></template></template>b|",
        ),
        (b"<p>a<select></template>b", b""),
        (b"<p>a<b href='", b"<p>a|<b href='"),
        (b"<p>a</", b"<p>a|</"),
        (b"<p>a<table></", b""),
        (b"<p>a<!-- x", b"<p>a|<!-- x"),
        (b"<p>a<b>c<!-- x", b""),
        (b"<p>a</body><!-- x", b"<p>a|</body><!-- x"),
        (b"<p>a</body>b<!-- x", b"<p>a|</body>b<!-- x"),
        (b"<p>a<table><col><!-- x", b""),
        (b"<p>a<table><col><html><!-- x", b""),
        (b"<p>a<table><col></col><!-- x", b""),
        (b"<style>x", b""),
        (b"<p>a<style>x", b"<p>a|<style>x"),
        (b"<p>a<script>x</script ", b"<p>a|<script>x</script "),
        (b"<p>a<script>x</", b"<p>a|<script>x</"),
        (b"<p>a<b><script>x</script ", b""),
        (b"<head><title>x</title></head>\n", b""),
        (b"<meta><link>  ", b""),
        (b"<template>x", b""),
        (b"<template></template>x", b""),
        (b"<p>a<!", b"<p>a|<!"),
        (b"<p>a<?x", b"<p>a|<?x"),
        (b"<p>a<", b"<p>a<|"),
        (b"<body>a</body>", b"<body>a|</body>"),
        (b"<body>a</body></html>", b"<body>a|</body></html>"),
        (b"<body>a</body>b</body>", b"<body>a</body>b|</body>"),
        (b"<body>a</body><p>b", b"<body>a|</body><p>b"),
        (b"<body>a</body><b>b</b>", b"<body>a|</body><b>b</b>"),
        (b"<body><b>a</body><p>b", b"<body><b>a</body><p>b|"),
        (b"<body><table><tr><td>a</td></body>", b"<body><table><tr><td>a</td>|</body>"),
        (b"<body><table></table>a</body>", b"<body><table></table>a|</body>"),
        (b"<body><b><table><tr><td>a</td></body>", b"<body><b><table><tr><td>a</td></body>|"),
        (
            b"<body><p>a<i></p><table><td></table><td></body> ",
            b"<body><p>a<i></p><table><td></table><td>|</body> ",
        ),
        (b"<body><p>a<i></p><table></table> 'b' </body> ", b"<body><p>a<i></p><table></table> 'b' |</body> "),
        (b"<body><svg></body><p>x", b"<body>|<svg></body><p>x"),
        (b"<html><head></head></body>", b""),
        (b"a</body>", b"a|</body>"),
        (b"</body>", b""),
        (b"<body></body>", b"<body>|</body>"),
        (b"<p>a<TABLE>b</TABLE\n>c\n", b"<p>a<TABLE>b</TABLE\n>c|\n"),
        (b"<p>a<table>b</table><table>c\n", b"<p>a<table>b</table><table>c\n|"),
        (b"<p>a<select><option>b</select><p>c", b"<p>a<select><option>b</select><p>c|"),
        (b"<SELECT>a</SELECT>b", b"<SELECT>a</SELECT>b|"),
        (b"<p>a<select></template></select>b", b"<p>a<select></template></select>b|"),
        (b"<svg></svg>a<!-- x", b"<svg></svg>a|<!-- x"),
        (b"<p>a<svg><!-- x", b"<p>a|<svg><!-- x"),
        (b"<p>a<i>b</i><!-- x", b"<p>a<i>b</i>|<!-- x"),
        (b"<p>a<i>b</p><!-- x", b""),
        (b"<p>a<i><u>b</i><!-- x", b""),
        (b"<p>a<colgroup></colgroup><!-- x", b"<p>a<colgroup></colgroup>|<!-- x"),
        (b"<br>a<b>b</b><!-- x", b"<br>a<b>b</b>|<!-- x"),
        (b"<p>a</body></html><!-- x", b"<p>a|</body></html><!-- x"),
        (b"<p>a</body> <p><!-- x", b"<p>a|</body> <p><!-- x"),
        (b"<p>a<br/><img><!-- x", b"<p>a<br/><img>|<!-- x"),
    ],
)
def test_last_pixel(data: bytes, expected: bytes) -> None:
    assert shown(data, places.last(data, html.scan(data), no_deadline)) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"<body>a", b"<body>|a"),
        (
            b"<html><head><title>x</title></head><body class=a>a",
            b"<html><head><title>x</title></head><body class=a>|a",
        ),
        (b"<p>a<body>b", b"<p>a<body>|b"),
        (b"<p>a<b><body>b", b""),
        (b"<select><body>a", b""),
        (b"<select></select><body>a", b"<select></select><body>|a"),
        (b"<template></template><body>a", b"<template></template><body>|a"),
        (b"<body>a<select>", b"<body>|a<select>"),
        (b"<body>a<frameset>", b""),
        (b"<b>a</b><body>b", b"<b>a</b><body>|b"),
        (b"<!-- a --><body>b", b"<!-- a --><body>|b"),
        (b"<style>p{}</style><body>b", b"<style>p{}</style><body>|b"),
    ],
)
def test_first_pixel(data: bytes, expected: bytes) -> None:
    assert shown(data, places.first(data, html.scan(data), no_deadline)) == expected


@pytest.mark.parametrize("begin", [b"<?", b"</ ", b"<!x ", b"<?xml ", b"</!", b"</?", b"</1"])
@pytest.mark.parametrize("scan", [html.scan, html.scan_by_expressions])
def test_what_stands_in_a_bogus_comment_is_no_link(scan: Callable[[bytes], Page], begin: bytes) -> None:
    data = b"<p>a" + begin + b'<a href="http://a.example/">b</a><a href="http://b.example/">c</a>'
    assert [anchor.target for anchor in scan(data).anchors] == [b"http://b.example/"]
    (anchor,) = scan(begin + b'> <a href="http://a.example/">b</a>').anchors
    assert anchor.target == b"http://a.example/"
