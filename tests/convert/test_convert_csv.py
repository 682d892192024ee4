"""CSV as people have it: delimiters, decimal commas, dates, encodings, no header, archives."""

import gzip
import io
import time
import zipfile

import pytest
from convert_tables import read_all

from recbole_symcere.base.errors import InputError
from recbole_symcere.convert.convert_command import main
from recbole_symcere.convert.convert_options import FieldOptions
from recbole_symcere.convert.encodings import codec_of, guessed
from recbole_symcere.convert.readers.generic import read_generic

NAMES = ("user_id", "item_id", "rating", "timestamp", "text")
ROW = ("u", "i", "4", "1500000000", "fine")


def table(*rows, delimiter=",", names=NAMES):
    return "".join(delimiter.join(row) + "\n" for row in ((names, *rows) if names else rows))


@pytest.fixture
def read(tmp_path):
    def read(content, name="r.csv", **options):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_all(read_generic(path, FieldOptions(**options)))

    return read


def texts(reading):
    return reading.reviews["text"].to_list()


# --- delimiters ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("delimiter", "said"), [(";", "semicolon"), ("\t", "tab"), ("|", "pipe"), (",", None)]
)
def test_the_delimiter_is_guessed_and_told(read, delimiter, said):
    rows = [("u", "i", "4", "1500000000", "a, b; c | d"), ("v", "j", "2", "1500000001", "good")]
    if delimiter != "\t":
        rows[0] = (*rows[0][:4], f'"{rows[0][4]}"')
    reading = read(table(*rows, delimiter=delimiter))
    assert reading.reviews["item_id"].to_list() == ["i", "j"]
    assert texts(reading) == ["a, b; c | d", "good"]
    told = (f"fields are separated by {said}, as the first lines show",) if said else ()
    assert reading.report.notes == told


def test_the_header_outweighs_commas_in_the_texts(read):
    rows = [("u", f"i{n}", "4", "5", "a,b,c,d") for n in range(30)]
    assert set(texts(read(table(*rows, delimiter=";")))) == {"a,b,c,d"}


def test_a_tsv_with_commas_and_a_csv_with_tabs_are_read(read):
    for name, delimiter in (("r.tsv", ","), ("r.csv", "\t"), ("r.tsv", "\t")):
        assert texts(read(table(ROW, delimiter=delimiter), name)) == ["fine"]
    assert read(table(ROW, delimiter="\t"), "r.tsv").report.notes == ()


@pytest.mark.parametrize("given", ["~", "pipe", "|"])
def test_a_delimiter_can_be_named(read, given):
    character = "|" if given == "pipe" else given
    assert texts(read(table(ROW, delimiter=character), delimiter=given)) == ["fine"]
    tabs = table(ROW, delimiter="\t")
    assert texts(read(tabs, delimiter="tab")) == texts(read(tabs, delimiter="\\t")) == ["fine"]


@pytest.mark.parametrize("given", ["::", "", '"', "\n", "tabulator"])
def test_what_cannot_stand_between_fields_is_refused(read, given):
    with pytest.raises(
        InputError, match=r"--delimiter: .* expected one character, or one of comma"
    ):
        read(table(ROW), delimiter=given)


def test_excels_line_above_the_header(read):
    reading = read("sep=;\r\n" + table(ROW, ("", *ROW[1:]), delimiter=";"))
    assert texts(reading) == ["fine"]
    assert reading.report.skipped[0].lines == (4,)
    assert texts(read('"sep=;"\n' + table(ROW, delimiter=";"), delimiter=";")) == ["fine"]


# --- ratings and times ---------------------------------------------------------------------------


def test_a_decimal_comma(read):
    rows = [("u", "i", "4,5", "5", "a"), ("u", "j", "3", "5", "b"), ("u", "k", "1.000,5", "5", "c")]
    content = table(*rows, delimiter=";")
    reading = read(content, decimal=",")
    assert reading.reviews["rating"].to_list() == [4.5, 3.0]
    assert "the decimal mark of the ratings is ','" in reading.report.notes
    skipped = reading.report.skipped[0]
    assert (skipped.value, skipped.expected) == ("1.000,5", "a number such as 4 or 4,5")
    plain = read(content).report.skipped[0]
    assert (plain.value, plain.count) == ("4,5", 2)
    assert "--decimal=, reads 4,5" in plain.expected


DATES = {
    "2018-07-07": 1_530_921_600,
    "2018/7/7": 1_530_921_600,
    "20180707": 1_530_921_600,
    "2018-07-07 22:09": 1_531_001_340,
    "2018-07-07 22:09:11": 1_531_001_351,
    "2018-07-07T22:09:11.5": 1_531_001_351,
    "2018-07-07T22:09:11Z": 1_531_001_351,
    "2018-07-07 22:09:11 UTC": 1_531_001_351,
    "2018-07-07 22:09:11+02:00": 1_530_994_151,
    "2018-07-07T22:09:11.5 +0200": 1_530_994_151,
    "Jul 7, 2018": 1_530_921_600,
    "July 7, 2018": 1_530_921_600,
    "7 Jul 2018": 1_530_921_600,
    "7-Jul-2018": 1_530_921_600,
    "1531001351": 1_531_001_351,
    "1531001351000": 1_531_001_351,
}


@pytest.mark.parametrize("date", DATES)
def test_the_dates_that_the_help_lists(read, date):
    reading = read(table(("u", "i", "4", f'"{date}"', "t")))
    assert reading.reviews["timestamp"].to_list() == [DATES[date]]


@pytest.mark.parametrize(
    ("pattern", "date", "expected"),
    [
        ("%d.%m.%Y", "7.8.2018", 1_533_600_000),
        ("%m/%d/%Y", "07/08/2018", 1_531_008_000),
        ("%d/%m/%Y", "07/08/2018", 1_533_600_000),
        ("%m/%d/%y %I:%M %p", "7/8/18 09:05 PM", 1_531_083_900),
        ("%d.%m.%Y %H:%M:%S.%f", "07.07.2018 22:09:11.123456", 1_531_001_351),
        ("%a %b %d %H:%M:%S %z %Y", "Sat Jul 07 22:09:11 +0200 2018", 1_530_994_151),
        ("%Y", "2018", 1_514_764_800),
        ("%Y%m", "201807", 1_530_403_200),
        ("%Y%m%d%H%M", "201807072209", 1_531_001_340),
        ("%Y-%m-%d %H:%M:%S UTC", "2018-07-07 22:09:11 UTC", 1_531_001_351),
        ("%Y%m%d%H%M%S", "20180707220911", 1_531_001_351),
        ("seconds", "20180707", 20_180_707),
        ("milliseconds", "1531001351000", 1_531_001_351),
    ],
)
def test_a_form_of_times_can_be_named(read, pattern, date, expected):
    reading = read(table(("u", "i", "4", date, "t")), date_format=pattern)
    assert reading.reviews["timestamp"].to_list() == [expected]


def test_a_time_of_another_form_is_unusable_and_the_message_tells_of_the_option(read):
    content = table(("u", "i", "4", "07.08.2018", "t"))
    assert (
        "--date_format reads others, such as %d.%m.%Y" in read(content).report.skipped[0].expected
    )
    skipped = read(content, date_format="%m/%d/%Y").report.skipped[0]
    assert skipped.expected == "a time as --date_format=%m/%d/%Y says"


@pytest.mark.parametrize("pattern", ["%Q", "date", "%H:%M", "%d.%m.", "", "second"])
def test_a_form_that_reads_no_times_is_refused(read, pattern):
    with pytest.raises(InputError, match=r"--date_format: .* reads no times; expected a pattern"):
        read(table(ROW), date_format=pattern)


def test_dates_without_marks_are_not_taken_for_seconds_of_1970(read):
    days = ("20180707", "20180708", "20181301")
    reading = read(table(*(("u", f"i{d}", "4", d, "t") for d in days)))
    assert reading.reviews["timestamp"].to_list() == [1_530_921_600, 1_531_008_000]
    assert reading.report.notes == ("timestamp is in dates such as 20180707; converted to seconds",)
    assert reading.report.skipped[0].value == "20181301"


# --- encodings -----------------------------------------------------------------------------------

SAID = {
    "cp1252": ["Das Frühstück war schön, aber das Zimmer zu klein für uns drei.",
               "Très bon séjour, nous avons adoré la piscine et le petit-déjeuner."],
    "cp1250": ["Pokój był czysty, śniadanie pyszne, obsługa bardzo miła.",
               "Żałuję, że byliśmy tak krótko; na pewno wrócimy za rok."],
    "cp1251": ["Отличный отель, персонал очень вежливый.", "Завтрак вкусный, вернёмся ещё раз."],
    "gb18030": ["房间很干净。服务态度很好。", "早餐种类丰富。下次还会再来。"],
    "big5": ["房間很乾淨。服務態度很好。", "早餐種類豐富。下次還會再來。"],
    "cp932": ["部屋はとても綺麗でした。", "スタッフの対応も良かったです。"],
    "cp949": ["방이 매우 깨끗하고 직원들도 친절했습니다.", "다음에 또 오고 싶습니다."],
}  # fmt: skip


@pytest.mark.parametrize("encoding", SAID)
@pytest.mark.parametrize("name", ["r.csv", "r.jsonl"])
def test_an_encoding_is_guessed_where_bytes_are_not_utf8(read, encoding, name):
    """U+FFFD stood for 560 of 560 texts."""
    said = [f"{text} {n}" for n in range(280) for text in SAID[encoding]]
    if name == "r.csv":
        rows = (("u", f"i{n}", "4", "1500000000", f'"{text}"') for n, text in enumerate(said))
        content = table(*rows)
    else:
        row = '{{"user_id": "u", "item_id": "i{}", "rating": 4, "timestamp": {}, "text": "{}"}}\n'
        content = "".join(row.format(n, 1_500_000_000, text) for n, text in enumerate(said))
    for form in (name, f"{name}.gz"):
        data = content.encode(encoding)
        reading = read(gzip.compress(data) if form.endswith("gz") else data, form)
        assert texts(reading) == said
        assert reading.report.notes == (
            f"the file is not UTF-8; read as {encoding}, which its bytes look like; --encoding "
            "names another",
        )
        reading.report.check(0.0)


def test_a_named_encoding_holds_and_its_damage_is_counted(read):
    said = SAID["cp1252"]
    content = table(*(("u", f"i{n}", "4", "5", f'"{text}"') for n, text in enumerate(said)))
    assert texts(read(content.encode("cp1252"), encoding="windows-1252")) == said
    assert texts(read(content.encode("utf-16"), encoding="utf-16")) == said
    assert texts(read(content.encode("utf-8-sig"), encoding="utf-8-sig")) == said
    assert (
        texts(read(content.encode("cp500"), encoding="cp500")) == said
    )  # its line ends differ too
    assert texts(read(content.encode("utf-16-le"), encoding="utf-16-le")) == said
    reading = read(content.encode("cp1252").replace(b"uns", b"\x81"), encoding="cp1252")
    assert "1 lines held bytes that are not cp1252; replaced by U+FFFD" in reading.report.notes


@pytest.mark.parametrize("codec", ["utf-16", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("size", [7, 1 << 20])
def test_a_byte_order_mark_tells_the_encoding(read, monkeypatch, codec, size):
    defaults = (None, size, None)
    monkeypatch.setattr("recbole_symcere.convert.lines.LineBlocks.__init__.__defaults__", defaults)
    reading = read(table(("ü", *ROW[1:])).encode(codec))
    assert reading.reviews["user_id"].to_list() == ["ü"]
    said = () if codec == "utf-8-sig" else (f"the file is {codec.upper()}; read as such",)
    assert reading.report.notes == said


@pytest.mark.parametrize("given", ["latin-99", "rot13", "", "zip", "idna", "unicode_escape"])
def test_an_encoding_that_is_none_is_refused(read, given):
    with pytest.raises(InputError, match=r"--encoding: .* is no encoding that Python knows"):
        read(table(ROW), encoding=given)


@pytest.mark.parametrize("given", ["utf-16", "utf-32"])
def test_a_file_that_is_not_in_the_named_encoding_is_refused(read, given):
    with pytest.raises(
        InputError, match=r"r\.csv: the file is not in the encoding that --encoding"
    ):
        read(table(ROW), encoding=given)


def test_names_of_encodings():
    assert codec_of("Shift_JIS") == codec_of("ms932") == "cp932"
    assert codec_of("GBK") == "gb18030"
    assert codec_of("UTF8") == codec_of("utf-8") == "utf-8"
    assert codec_of("auto") == "auto"


def test_some_damage_in_utf8_is_no_other_encoding():
    line = "Très bon séjour, nous avons adoré la piscine.\n".encode()
    assert guessed(line * 50 + line[:3] + b"\xff\n") == "utf-8"


def test_damage_of_more_than_max_bad_is_an_error_whatever_it_comes_from(read, tmp_path):
    good = [("u", f"i{n}", "4", "5", "fine") for n in range(97)]
    lost = [("u", f"j{n}", "4", "5", "caf\ufffd") for n in range(3)]
    ways = {
        "r.csv": table(*good, *lost).encode(),  # lost before the file was written
        "s.csv": table(*good, *lost).replace("\ufffd", "ä").encode("latin-1"),
    }
    for name, content in ways.items():
        report = read(content, name, encoding="utf-8").report
        assert report.damaged == 3
        report.check(0.03)
        with pytest.raises(
            InputError,
            match=rf"{name}: 3 of 100 texts hold U\+FFFD in the place of characters that cannot be "
            r"read \(3\.0%, allowed 1\.0%\); name the file's encoding with --encoding .*"
            r"--max_bad=0\.031",
        ):
            report.check(0.01)
    (tmp_path / "r.csv").write_bytes(ways["s.csv"])
    words = ["generic", f"--input={tmp_path / 'r.csv'}", "--name=d", f"--output_dir={tmp_path}"]
    with pytest.raises(InputError, match="3 of 100 texts hold U"):
        main([*words, "--encoding=utf-8"])
    main([*words])  # guessed


# --- headers -------------------------------------------------------------------------------------


def test_a_file_without_a_header(read):
    rows = [("4", "u", "x", "i", "5", "t"), ("3", "v", "x", "j", "6", "s")]
    columns = "rating,user_id,-,item_id,timestamp,text"
    reading = read(table(*rows, delimiter=";", names=None), columns=columns)
    assert reading.reviews.rows() == [("u", "i", 4.0, 5, "t", 1), ("v", "j", 3.0, 6, "s", 2)]


def test_a_file_without_a_header_is_told_of_the_option(read):
    with pytest.raises(
        InputError,
        match=r"no column 'user_id'; found 'u', 'i', '4', '1500000000', 'fine'; name the column .* "
        r"where the file has no header line, all columns with --columns=user_id,item_id",
    ):
        read(table(ROW, names=None))


def test_what_a_spreadsheet_leaves_around_a_table(read):
    rows = table((*ROW, "", ""), names=(*NAMES, "", ""), delimiter=";")
    reading = read("\r\n\r\n" + rows)
    assert texts(reading) == ["fine"]
    assert reading.reviews["source_line"].to_list() == [4]


def test_a_header_is_no_review(read):
    with pytest.raises(InputError, match=r"the first line, 'user_id', 'item_id', .*, is a header"):
        read(table(ROW), columns=",".join(NAMES))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("user_id,item_id,stars,text", "'stars' is no name or stands there twice"),
        ("user_id,item_id,text,text", "'text' is no name or stands there twice"),
        ("user_id,rating,text", "no item_id; expected each of user_id, item_id, rating"),
    ],
)
def test_wrong_columns_are_refused(read, columns, message):
    with pytest.raises(InputError, match=f"--columns: {message}"):
        read(table(ROW, names=None), columns=columns)


def test_all_columns_of_other_names_are_told_at_once(read):
    content = table(["user", "product", "stars", "date", "review"], names=None)
    with pytest.raises(
        InputError,
        match=r"r\.csv: there is no column 'user_id'; found 'user', .*; name the column that holds "
        r"the user_id with --user_field=NAME, and the others with --item_field=NAME "
        r"--text_field=NAME --rating_field=stars --time_field=date, or, where the file has no head",
    ):
        read(content)


@pytest.mark.parametrize("n_columns", [5_000, 50_000])
def test_thousands_of_columns_are_refused_at_once(read, n_columns):
    content = table([f"c{n}" for n in range(n_columns)], names=None) * 30
    started = time.process_time()
    with pytest.raises(
        InputError,
        match=rf"header line names {n_columns:,} columns, which starts 'c0', .*'c19' and "
        rf"{n_columns - 20:,} more; expected at most 1,000; name the right --delimiter",
    ):
        read(content)
    assert time.process_time() - started < 3  # it took over a minute


def test_a_message_names_some_of_many_columns(read):
    with pytest.raises(InputError, match=r"found 'c0', .*'c19' and 880 more; name the column"):
        read(table([f"c{n}" for n in range(900)], names=None))


# --- archives ------------------------------------------------------------------------------------


def packed(members, lock=False):
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    data = sink.getvalue()
    return data.replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01") \
        if lock else data  # fmt: skip


@pytest.mark.parametrize("name", ["r.csv.zip", "archive.zip"])
def test_a_zip_file_of_one_file_is_read(read, name):
    member = table(ROW, delimiter=";").encode("utf-16")
    extra = {"__MACOSX/._reviews.csv": "x", ".DS_Store": "y", "folder/": ""}
    reading = read(packed({"folder/reviews.csv": member, **extra}), name)
    assert texts(reading) == ["fine"]
    assert texts(read(packed({"a.txt": "no", "r.csv": table(ROW)}), name)) == ["fine"]


def test_a_zip_file_that_leaves_a_choice_is_refused(read):
    with pytest.raises(
        InputError,
        match=r"r\.csv\.zip: the archive holds 2 files, such as a\.csv and b\.csv; expected one; "
        r"unpack it and name those to be read with --input=FILE,FILE",
    ):
        read(packed({"a.csv": table(ROW), "b.csv": table(ROW)}), "r.csv.zip")
    with pytest.raises(InputError, match=r"the archive holds 0 files; expected one"):
        read(packed({}), "r.csv.zip")
    with pytest.raises(InputError, match=r"a\.csv is locked by a password; unpack it"):
        read(packed({"a.csv": table(ROW)}, lock=True), "r.csv.zip")
    whole = packed({"a.csv": table(*[ROW] * 9000)})
    with pytest.raises(InputError, match="damaged or cut short after line"):
        read(whole[:200] + b"\0" * 40 + whole[240:], "r.csv.zip")


# --- options that contradict each other ----------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("r.jsonl", {"delimiter": ";"}, "--delimiter: has no effect on a file of this format"),
        ("r.jsonl", {"columns": "user_id"}, "--columns: has no effect on a file of this format"),
        ("r.parquet", {"no_quotes": True}, "--no_quotes: has no effect"),
        ("r.parquet", {"encoding": "utf-8"}, "--encoding: has no effect"),
        ("r.csv", {"columns": "a", "user_field": "b"}, "--columns: a file's columns are named"),
        ("r.csv", {"implicit": True, "rating_field": "a"}, "--implicit: no ratings are read"),
        ("r.csv", {"implicit": True, "decimal": ","}, "--implicit: no ratings are read"),
        ("r.csv", {"order": "unknown", "time_field": "a"}, "--order: no times are read"),
        (
            "r.csv",
            {"user_field": "item_id"},
            "--user_field, --item_field: the column 'item_id' would be both the user_id and the "
            "item_id; expected a column for each; name another with one of them$",
        ),
        (
            "r.jsonl",
            {"text_field": "rating"},
            "--rating_field, --text_field: the column 'rating' would be both the rating and the "
            "text; .* one of them, or say --implicit=True to do without ratings$",
        ),
        (
            "r.parquet",
            {"rating_field": "a", "time_field": "a"},
            "--rating_field, --time_field: the column 'a' .* name another with one of them$",
        ),
        ("r.csv", {"rating_range": "5,1"}, "--rating_range: '5,1' is no range; expected two numb"),
        ("r.csv", {"rating_range": "nan,5"}, "--rating_range: .*, the smaller one first, such as"),
        ("r.csv", {"rating_range": "1,nan"}, "--rating_range: '1,nan' is no range"),
        ("r.csv", {"rating_range": "5"}, "--rating_range: '5' is no range"),
        ("r.csv", {"date_format": "%Y-%m-%d %Z"}, "--date_format: .* the name of a zone, .* %z, "),
        ("r.csv", {"rating_map": "yes:1", "decimal": ","}, "--decimal: words have no decimal mark"),
        ("r.csv", {"decimal": "'"}, '--decimal: "\'" is no decimal mark; expected . or ,'),
    ],
)
def test_an_option_without_effect_is_refused(read, name, options, message):
    with pytest.raises(InputError, match=message):
        read(table(ROW), name, **options)
