"""The user's own data: tables, pictures and text become data sets, and what is broken is named."""

from __future__ import annotations

import csv
import fcntl
import io
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from trainer import prepare
from trainer.config import ConfigError, load_config
from trainer.configs.data import (
    DataConfig,
    DocumentsConfig,
    PicturesConfig,
    TableConfig,
    TextConfig,
    TokensConfig,
    prepared_name,
)
from trainer.data import pictures_prepare, references, text_prepare
from trainer.data import prepare_data as preparing
from trainer.data import prepare_own as own
from trainer.data.cells import is_empty, is_missing, number_of, numbers_of
from trainer.data.dataset import Dataset, open_dataset
from trainer.data.decode import PictureError, decode_picture
from trainer.data.errors import DatasetError
from trainer.data.find import find_dataset
from trainer.data.prepare_data import Request
from trainer.data.split import is_held_out
from trainer.data.table_check import rare_classes
from trainer.data.table_encoder import CellError, TableEncoder
from trainer.data.token_writer import write_shards


@pytest.fixture(autouse=True)
def _no_references(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the measuring of other methods: it takes seconds a data set."""
    monkeypatch.setattr(own, "references", lambda *arguments: {})


def made(data: DataConfig, folder: Path) -> Dataset:
    return open_dataset(preparing.prepare_data(Request(data=data), folder))


def quarantined(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "quarantine.jsonl").read_text().splitlines()]


HEADER = ["id", "age", "city", "always", "answer", "income", "label"]


def people(path: Path, count: int = 500, extra: str = "") -> Path:
    """Write a table of made-up people, `answer` being the label by another name."""
    draw = random.Random(1)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for number in range(1, count + 1):
            label = draw.choice(["yes", "no"])
            age = draw.choice(["", "NA", str(draw.randint(18, 80))])
            city = draw.choice(["Paris", "Rome", "Oslo"])
            answer = "A" if label == "yes" else "B"
            writer.writerow([number, age, city, "x", answer, draw.gauss(0, 1), label])
        file.write(extra)
    return path


def test_a_table_s_columns_are_told_apart_and_its_traps_named(tmp_path: Path) -> None:
    data = made(TableConfig(path=str(people(tmp_path / "t.csv")), target="label"), tmp_path / "out")
    columns = {column["name"]: column for column in data.about["columns"]}
    assert {name: column["kind"] for name, column in columns.items()} == {
        "age": "number",
        "city": "category",
        "answer": "category",
        "income": "number",
    }
    assert columns["city"]["values"] == ["Oslo", "Paris", "Rome"]
    assert data.about["target"] == {"name": "label", "kind": "class", "classes": ["no", "yes"]}
    assert data.report["ignored_columns"] == {
        "id": "it counts the rows; data.numbers = [...] keeps it",
        "always": "it is always 'x'",
    }
    assert data.report["warnings"] == [
        "column 'answer' alone gives the target away: is it known before the target is?"
    ]
    train = data.arrays("train")
    age = train["numbers"][:, 0]
    assert np.isnan(age).sum() > 100
    assert abs(np.nanmean(age)) < 1e-5
    assert abs(np.nanstd(age) - 1) < 1e-5
    assert data.report["rows"]["train"] + data.report["rows"]["held_out"] == 500
    assert 60 < data.report["rows"]["held_out"] < 140


def test_the_predictor_s_encoder_gives_a_row_what_training_saw(tmp_path: Path) -> None:
    path = people(tmp_path / "t.csv")
    data = made(TableConfig(path=str(path), target="label", split="every_nth"), tmp_path / "out")
    with path.open() as file:
        rows: list[Any] = [row for number, row in enumerate(csv.DictReader(file)) if number % 5 != 4]
    numbers, codes = TableEncoder(data.about["columns"]).encode(rows)
    assert np.array_equal(numbers, data.arrays("train")["numbers"], equal_nan=True)
    assert np.array_equal(codes, data.arrays("train")["categories"])
    numbers, codes = TableEncoder(data.about["columns"]).encode([{"city": "Atlantis", "income": None}])
    assert np.isnan(numbers).all()
    assert codes.tolist() == [[0, 0]]
    with pytest.raises(CellError, match="column 'age': 'old' is no number"):
        TableEncoder(data.about["columns"]).encode([{"age": "old"}])


BROKEN = '501,33,Rome,x\n502,abc,Rome,x,A,1.0,yes\n503,3,Rome,x,A,1.0,\n504,"3"5,Rome,x,A,1.0,no\n'


def test_broken_rows_are_named_and_left_out(tmp_path: Path) -> None:
    path = people(tmp_path / "t.csv", extra=BROKEN)
    with path.open("ab") as file:
        file.write(b"505,3,M\xfcnchen,x,A,1.0,no\n")
    data = made(TableConfig(path=str(path), target="label"), tmp_path / "out")
    assert data.report["bad_rows"] == 5
    assert quarantined(tmp_path / "out") == [
        {"file": "t.csv", "row": 501, "what": "has 4 cells, the header has 7"},
        {"file": "t.csv", "row": 504, "what": "line 505: ',' expected after '\"'"},
        {"file": "t.csv", "row": 505, "what": "is not UTF-8"},
        {"file": "t.csv", "row": 502, "what": "column 'age': 'abc' is no number"},
        {"file": "t.csv", "row": 503, "what": "the target 'label' is missing"},
    ]


def test_a_quote_that_is_never_closed_counts_every_line_that_it_swallows(tmp_path: Path) -> None:
    path = people(tmp_path / "t.csv", extra='501,3,"Rome,x,A,1.0,no\n' + "502,3,Rome,x,A,1.0,no\n" * 30)
    with pytest.raises(DatasetError, match="31 of 531 rows are broken"):
        made(TableConfig(path=str(path), target="label"), tmp_path / "out")


def test_too_many_broken_rows_are_refused_with_the_first_ten(tmp_path: Path) -> None:
    path = people(tmp_path / "t.csv", extra="1,2\n" * 25)
    config = TableConfig(path=str(path), target="label")
    with pytest.raises(DatasetError) as caught:
        made(config, tmp_path / "out")
    first, *named, last = str(caught.value).splitlines()
    assert first.startswith("25 of 525 rows are broken (data.max_bad_share = 0.01 allows fewer")
    assert len(named) == 10
    assert named[0] == "  t.csv, row 501: has 2 cells, the header has 7"
    assert last == "  and 15 more"
    assert len(quarantined(tmp_path / "out")) == 25
    assert made(TableConfig(path=str(path), target="label", max_bad_share=0.1), tmp_path / "out").name


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"target": "labl"}, "data.target: the table has no column 'labl'; did you mean label?"),
        ({"target": "label", "ignore": ("agee",)}, "data.ignore: the table has no column 'agee'"),
        ({"target": "label", "predict": "number"}, "the target 'label' has values that are no number"),
        ({"target": "always"}, "'always' has the same value in every row"),
        ({"target": "label", "path": "nowhere.csv"}, "nowhere.csv does not exist on this machine"),
    ],
)
def test_a_mistake_about_a_table_is_one_line(settings: dict[str, Any], said: str, tmp_path: Path) -> None:
    config = TableConfig(**{"path": str(people(tmp_path / "t.csv", 50)), **settings})
    with pytest.raises(DatasetError) as caught:
        made(config, tmp_path / "out")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_same_table_as_parquet_jsonl_and_two_files_gives_the_same_arrays(tmp_path: Path) -> None:
    from pyarrow import csv as arrow_csv
    from pyarrow import parquet

    path = people(tmp_path / "t.csv", 300)
    with path.open() as file:
        rows = list(csv.DictReader(file))
    jsonl, folder = tmp_path / "t.jsonl", tmp_path / "two"
    jsonl.write_text("".join(json.dumps({k: v or None for k, v in row.items()}) + "\n" for row in rows))
    folder.mkdir()
    lines = path.read_text().splitlines(keepends=True)
    (folder / "1.csv").write_text("".join(lines[:100]))
    (folder / "2.csv").write_text("".join([lines[0], *lines[100:]]).replace(",", ";"))
    nulls = arrow_csv.ConvertOptions(null_values=["", "NA"], strings_can_be_null=True)
    parquet.write_table(arrow_csv.read_csv(path, convert_options=nulls), tmp_path / "t.parquet")
    wanted = made(TableConfig(path=str(path), target="label", split="every_nth"), tmp_path / "out")
    for number, other in enumerate((jsonl, folder, tmp_path / "t.parquet")):
        data = made(TableConfig(path=str(other), target="label", split="every_nth"), tmp_path / f"o{number}")
        for part in ("train", "held_out"):
            for name, array in wanted.arrays(part).items():
                assert np.array_equal(data.arrays(part)[name], array, equal_nan=name == "numbers"), other


def test_a_row_stays_in_its_part_as_a_table_grows_and_copies_are_never_split(tmp_path: Path) -> None:
    few = made(TableConfig(path=str(people(tmp_path / "t.csv", 200)), target="income"), tmp_path / "few")
    path = people(tmp_path / "t.csv", 400)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], *reversed(lines[1:]), *lines[1:50]]))
    more = made(TableConfig(path=str(path), target="income"), tmp_path / "more")
    assert set(few.arrays("held_out")["target"]) <= set(more.arrays("held_out")["target"])
    assert not set(more.arrays("held_out")["target"]) & set(more.arrays("train")["target"])
    assert more.about["target"]["kind"] == "number"


def test_a_group_is_never_split_and_a_column_can_say_what_is_held_out(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = [f"p{n % 40},{n * 0.5},{'test' if n % 3 == 0 else 'train'},{n % 2}\n" for n in range(400)]
    path.write_text("patient,value,part,label\n" + "".join(rows))
    grouped = made(
        TableConfig(path=str(path), target="label", group_column="patient", ignore=("part",)), tmp_path / "g"
    )
    value = grouped.about["columns"][0]
    patients = {
        part: {
            round((number * value["std"] + value["mean"]) / 0.5) % 40 for number in arrays["numbers"][:, 0]
        }
        for part, arrays in ((part, grouped.arrays(part)) for part in ("train", "held_out"))
    }
    assert len(patients["train"]) + len(patients["held_out"]) == 40
    said = made(
        TableConfig(path=str(path), target="label", held_out_column="part", ignore=("patient",)),
        tmp_path / "s",
    )
    assert said.report["rows"] == {"train": 266, "held_out": 134}


def test_held_out_rows_that_training_saw_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("value,label\n" + "".join(f"{n % 7},{n % 2}\n" for n in range(100)))
    data = made(TableConfig(path=str(path), target="label", split="every_nth"), tmp_path / "out")
    assert data.report["duplicates_over_split"] == 20
    assert any("20 held-out rows have the same columns" in warning for warning in data.report["warnings"])


def picture_bytes(
    number: int, size: tuple[int, int] = (40, 30), kind: str = "PNG", mode: str = "RGB"
) -> bytes:
    channels = {"RGB": 3, "RGBA": 4, "L": 1}[mode]
    pixels = np.random.default_rng(number).integers(0, 255, (*size[::-1], channels), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze(), mode).save(buffer, kind)
    return buffer.getvalue()


def album(folder: Path, count: int = 60) -> Path:
    for number in range(count):
        path = folder / ("cat" if number % 3 else "dog") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture_bytes(number, (20 + number, 40)))
    return folder


def test_a_folder_of_classes_becomes_arrays_and_broken_pictures_are_named(tmp_path: Path) -> None:
    folder = album(tmp_path / "album")
    (folder / "cat" / "text.jpg").write_bytes(b"nonsense")
    (folder / "cat" / "cut.png").write_bytes(picture_bytes(1)[:500])
    (folder / "cat" / ".hidden.png").write_bytes(b"not looked at")
    shutil.copy(folder / "cat" / "1.png", folder / "cat" / "copy.png")
    config = PicturesConfig(path=str(folder), height=16, width=24, max_bad_share=0.05)
    data = made(config, tmp_path / "out")
    assert data.about["classes"] == ["cat", "dog"]
    assert data.report["bad_files"] == 2
    assert data.report["copies"] == 1
    assert sum(data.report["pictures"].values()) == 61
    assert quarantined(tmp_path / "out") == [
        {"file": "cat/cut.png", "row": None, "what": "cannot be decoded: image file is truncated"},
        {"file": "cat/text.jpg", "row": None, "what": "is no picture of a kind that is known"},
    ]
    batch = data.train.batch(np.arange(data.train.num_items), np.empty((data.train.num_items, 0), np.float32))
    assert batch["pictures"].shape[1:] == (16, 24, 3)
    assert np.bincount(batch["labels"]).tolist() == [
        data.report["classes"][name]["train"] for name in ("cat", "dog")
    ]
    with pytest.raises(DatasetError, match="2 of 63 files are broken"):
        made(PicturesConfig(path=str(folder), height=16, width=24), tmp_path / "strict")


def test_a_table_of_files_and_labels_names_what_it_does_not_find(tmp_path: Path) -> None:
    folder = album(tmp_path / "album")
    labels = tmp_path / "labels.csv"
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    rows = [f"./{name},{len(name) % 2}\n" for name in names] + ["gone.png,1\n", f"{names[0]},other\n"]
    labels.write_text("file,label\n" + "".join(rows))
    config = PicturesConfig(
        path=str(folder), labels=str(labels), height=8, width=8, colour="grey", max_bad_share=0.1
    )
    data = made(config, tmp_path / "out")
    assert data.about["classes"] == ["0", "1"]
    assert data.arrays("train")["pictures"].shape[1:] == (8, 8, 1)
    assert [entry["row"] for entry in quarantined(tmp_path / "out")] == [61, 62]
    with pytest.raises(DatasetError, match="no column 'lable'; did you mean label"):
        made(PicturesConfig(path=str(folder), labels=str(labels), label_column="lable"), tmp_path / "o")


def test_a_preparation_that_is_killed_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = PicturesConfig(path=str(album(tmp_path / "album")), height=16, width=16)
    wanted = made(config, tmp_path / "whole").arrays("train")["pictures"]
    monkeypatch.setattr(pictures_prepare, "BYTES_PER_UNIT", 10 * 16 * 16 * 3)
    decoded: list[str] = []
    decode = pictures_prepare._decode

    def failing(picture: Any, config: PicturesConfig) -> Any:
        decoded.append(picture.place.name)
        if len(decoded) == 25:
            raise KeyboardInterrupt
        return decode(picture, config)

    monkeypatch.setattr(pictures_prepare, "_decode", failing)
    with pytest.raises(KeyboardInterrupt):
        made(config, tmp_path / "out")
    with pytest.raises(DatasetError, match="no prepared data set"):
        open_dataset(tmp_path / "out")
    monkeypatch.setattr(pictures_prepare, "_decode", decode)
    later: list[str] = []
    monkeypatch.setattr(
        pictures_prepare, "_decode", lambda picture, config: later.append("") or decode(picture, config)
    )
    data = made(config, tmp_path / "out")
    assert len(later) == 40, "the first two of six units were done"
    assert np.array_equal(data.arrays("train")["pictures"], wanted)


def test_pictures_of_every_mode_are_decoded_alike(tmp_path: Path) -> None:
    for mode, kind in (("RGB", "JPEG"), ("RGBA", "PNG"), ("L", "PNG")):
        data = picture_bytes(1, mode=mode, kind=kind)
        assert decode_picture(data, 10, 20).shape == (10, 20, 3)
        assert decode_picture(data, 10, 20, "grey", "squeeze").shape == (10, 20, 1)
    clear = io.BytesIO()
    Image.new("RGBA", (8, 8), (10, 20, 30, 0)).save(clear, "PNG")
    assert (decode_picture(clear.getvalue(), 8, 8) == 255).all(), "what is transparent is white"
    deep = io.BytesIO()
    Image.fromarray(np.full((8, 8), 32768, np.uint16)).save(deep, "PNG")
    assert set(decode_picture(deep.getvalue(), 8, 8, "grey").flatten().tolist()) <= {127, 128}
    turned = io.BytesIO()
    image = Image.new("RGB", (8, 4), "black")
    image.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees, clockwise
    image.save(turned, "PNG", exif=exif)
    assert decode_picture(turned.getvalue(), 8, 4)[0, 3].tolist() == [255, 255, 255]
    with pytest.raises(PictureError):
        decode_picture(b"", 8, 8)


def library(folder: Path, count: int = 30) -> Path:
    folder.mkdir()
    for number in range(count):
        words = random.Random(number).choices(["alpha", "beta", "gamma", "delta"], k=200)
        (folder / f"{number}.txt").write_text(" ".join(words))
    return folder


@pytest.mark.parametrize("tokenizer", ["bpe", "characters"])
def test_text_becomes_shards_of_tokens_that_spell_it(
    tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = library(tmp_path / "texts")
    (folder / "latin.txt").write_bytes(b"caf\xe9")
    config = TextConfig(path=str(folder), tokenizer=tokenizer, vocabulary=300, max_bad_share=0.1)
    data = made(config, tmp_path / "one")
    monkeypatch.setattr(text_prepare, "BYTES_PER_UNIT", 5000)
    many = made(config, tmp_path / "many")
    assert len(many.tokens("train")) > 3
    for part in ("train", "held_out"):
        assert np.array_equal(np.concatenate(many.tokens(part)), np.concatenate(data.tokens(part)))
    assert quarantined(tmp_path / "one") == [
        {"file": "latin.txt", "row": None, "what": "is not UTF-8: byte 4"}
    ]
    tokens = data.tokens("train")[0]
    if tokenizer == "characters":
        spelled = "".join(data.about["characters"][token] for token in tokens.tolist()).split("\x00")[0]
    else:
        from trainer.text.tokenizer import Tokenizer

        cutter = Tokenizer(data.about["tokenizer"])
        first = tokens.tolist()[: tokens.tolist().index(cutter.end_token)]
        spelled = cutter.decode(first)
    assert spelled in {path.read_text() for path in folder.glob("[0-9]*.txt")}
    assert data.about["vocabulary"] > int(max(tokens))
    assert sum(data.report["documents"].values()) == 30


PREPARE_SLOWLY = """
import sys, time
from pathlib import Path
from trainer.data import text_prepare, units
from trainer.data.prepare_data import Request, prepare_data
from trainer.configs.data import TextConfig

text_prepare.BYTES_PER_UNIT = 5000
encode = text_prepare._encode_unit
text_prepare._encode_unit = lambda *given, **named: time.sleep(0.05) or encode(*given, **named)
prepare_data(Request(data=TextConfig(path=sys.argv[1], vocabulary=300)), Path(sys.argv[2]))
"""


def test_a_preparation_that_dies_by_kill_9_gives_what_an_uninterrupted_one_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TextConfig(path=str(library(tmp_path / "texts", 60)), vocabulary=300)
    monkeypatch.setattr(text_prepare, "BYTES_PER_UNIT", 5000)
    wanted, folder = made(config, tmp_path / "whole"), tmp_path / "killed"
    command = [sys.executable, "-c", PREPARE_SLOWLY, config.path, str(folder)]
    with subprocess.Popen(command, cwd=Path(__file__).parent.parent) as process:
        deadline = time.monotonic() + 60
        while not (folder / ".unit-00003.json").is_file():
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.005)
        process.kill()
    before = (folder / "train-00000.bin").stat().st_mtime_ns
    data = made(config, folder)
    assert data.digest == wanted.digest
    assert (folder / "train-00000.bin").stat().st_mtime_ns == before, "what was done is not done again"
    assert not list(folder.glob(".unit-*")), "nothing is left lying"


def test_two_that_prepare_the_same_data_do_so_one_after_the_other(tmp_path: Path) -> None:
    config, folder = TableConfig(path=str(people(tmp_path / "t.csv")), target="label"), tmp_path / "out"
    folder.mkdir()
    held = os.open(folder, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(made, config, folder) for _ in range(2)]
        time.sleep(0.3)
        assert not any(future.done() for future in futures)
        assert list(folder.iterdir()) == []
        os.close(held)
        assert len({future.result(timeout=60).digest for future in futures}) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "there are no rows in the data"),
        (b"value,label\n", "there are no rows in the data"),
        ("value,label\n1,2\n".encode("utf-16"), "the header cannot be read|the header is not UTF-8"),
        (b"wert\xe9,label\n1,2\n", "the header is not UTF-8: save it as CSV in UTF-8"),
        (b"value,value,label\n1,2,3\n", "the header has 'value' more than once"),
        (b"value,,label\n1,2,3\n", "column 2 has no name in the header"),
    ],
)
def test_a_file_that_is_no_table_is_one_line(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=said) as caught:
        made(TableConfig(path=str(tmp_path / "t.csv"), target="label"), tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_numbers_are_read_as_people_write_them() -> None:
    cells: list[Any] = ["1", " 2.5 ", "-3e2", "1_000", "inf", "nan", "", None, True, 10**400, 7, 1.5, "x"]
    alone = [number_of(cell) for cell in cells]
    assert alone == [1.0, 2.5, -300.0, None, None, None, None, None, None, None, 7.0, 1.5, None]
    assert [cell for cell in cells if is_missing(cell)] == ["nan", "", None]
    for cell, number in zip(cells, alone, strict=True):
        assert numbers_of([cell, "4"]) == (None if number is None else [number, 4.0])


def test_labelled_text_keeps_each_text_s_tokens_and_label_together(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    rows = [{"text": f"number {n} is {'even' if n % 2 == 0 else 'odd'}", "kind": n % 2} for n in range(200)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"text": 3\n')
    data = made(TextConfig(path=str(path), label_column="kind", vocabulary=300), tmp_path / "out")
    assert (data.kind, data.about["classes"]) == ("labelled_text", ["0", "1"])
    from trainer.text.tokenizer import Tokenizer

    cutter, arrays = Tokenizer(data.about["tokenizer"]), data.arrays("train")
    for at, label in enumerate(arrays["labels"].tolist()):
        text = cutter.decode(arrays["tokens"][arrays["offsets"][at] : arrays["offsets"][at + 1]].tolist())
        assert text.endswith("odd" if label else "even")
    (broken,) = quarantined(tmp_path / "out")
    assert (broken["file"], broken["row"]) == ("t.jsonl", 201)


def test_documents_stay_text_with_their_prompts(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("question,text\n" + "".join(f"q{n},réponse {n}\n" for n in range(50)), encoding="utf-8")
    data = made(DocumentsConfig(path=str(path), prompt_column="question"), tmp_path / "out")
    seen = set()
    for part in ("train", "held_out"):
        arrays = data.arrays(part)
        text, offsets = bytes(arrays["text"]), arrays["offsets"].tolist()
        blocks = [text[a:b].decode() for a, b in itertools.pairwise(offsets)]
        seen |= set(zip(blocks[::2], blocks[1::2], strict=True))
    assert seen == {(f"q{n}", f"réponse {n}") for n in range(50)}
    assert data.about["prompted"] is True


def test_shards_of_our_own_of_nanogpt_and_of_llm_c_are_read_in_place(tmp_path: Path) -> None:
    drawn = np.random.default_rng(1).integers(0, 70_000, (50, 100))
    ours = write_shards(tmp_path / "ours", drawn, vocabulary=70_000, held_out=0.2)
    data = made(TokensConfig(path=str(ours)), tmp_path / "a")
    whole = np.sort(np.concatenate([*data.tokens("train"), *data.tokens("held_out")]))
    assert np.array_equal(whole, np.sort(drawn, axis=None))
    assert data.about["vocabulary"] == 70_000
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    np.arange(1000, dtype="<u2").tofile(theirs / "a.bin")
    header = np.zeros(256, "<i4")
    header[:3] = 20240520, 1, 500
    (theirs / "b.bin").write_bytes(header.tobytes() + np.arange(500, dtype="<u2").tobytes())
    data = made(TokensConfig(path=str(theirs)), tmp_path / "b")
    assert data.report["tokens"] == {"train": 1200, "held_out": 300}
    assert np.array_equal(data.tokens("held_out")[0], np.arange(200, 500))
    shutil.copy(theirs / "b.bin", theirs / "val.bin")
    data = made(TokensConfig(path=str(theirs)), tmp_path / "b")
    assert data.report["tokens"] == {"train": 1500, "held_out": 500}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"vocabulary": 100}, "a.bin has the token 999, the vocabulary ends at 99"),
        ({"dtype": "uint32"}, "b.bin says of itself that it is uint16, not uint32"),
        ({}, "c.bin: 7 bytes are no whole number of uint16 tokens"),
    ],
)
def test_shards_that_are_not_what_they_are_said_to_be_are_refused(
    settings: dict[str, Any], said: str, tmp_path: Path
) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    np.arange(1000, dtype="<u2").tofile(folder / "a.bin")
    header = np.zeros(256, "<i4")
    header[:3] = 20240520, 1, 500
    (folder / "b.bin").write_bytes(header.tobytes() + np.arange(500, dtype="<u2").tobytes())
    if not settings:
        (folder / "c.bin").write_bytes(b"1234567")
    with pytest.raises(DatasetError, match=said):
        made(TokensConfig(path=str(folder), **settings), tmp_path / "out")


def test_data_that_has_changed_is_prepared_again_and_the_rest_found_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    recipe = tmp_path / "mine.toml"
    path = people(tmp_path / "t.csv", 200)
    recipe.write_text(
        f'samples = 100\nglobal_batch = 10\n[model]\nkind = "mlp"\n[data]\nkind = "table"\npath = "{path}"\n'
        'target = "label"\nignore = ["answer"]\n'
    )
    config = load_config(recipe)
    assert find_dataset(config, may_prepare=False) is None
    folder = find_dataset(config, may_prepare=True)
    assert folder is not None
    first = open_dataset(folder)
    assert prepare.main([str(recipe)]) == 0
    assert open_dataset(folder).digest == first.digest
    people(path, 300)
    assert find_dataset(config, may_prepare=True) == folder
    assert sum(open_dataset(folder).report["rows"].values()) == 300
    path.unlink()
    monkeypatch.setenv("FLEETFORM_DATA_DIR", str(tmp_path / "given"))
    shutil.copytree(folder, tmp_path / "given" / config.data_name)
    assert find_dataset(config, may_prepare=True) == tmp_path / "given" / config.data_name


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ('kind = "tabel"', "data.kind: 'tabel' is not one of pictures, table, text, documents, tokens"),
        ('kind = "table"\npath = "x"', "data.target: is required and missing"),
        ('kind = "table"\npath = "x"\ntarget = "y"\nigonre = ["z"]', "did you mean data.ignore?"),
        ('kind = "table"\npath = "x"\ntarget = "y"\nignore = "z"', "expected a list of texts"),
        ('kind = "table"\npath = "x"\ntarget = "y"\nignore = ["y"]', "'y' is named in data.target as well"),
        ('kind = "pictures"\npath = "x"\nheld_out = 1.5', "data.held_out: 1.5 is not between 0 and 1"),
        ('kind = "pictures"\npath = "x"', "a mlp model takes rows of a table"),
    ],
)
def test_a_mistake_in_the_section_is_told_before_anything_is_read(
    section: str, said: str, tmp_path: Path
) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(f'samples = 100\nglobal_batch = 10\n[model]\nkind = "mlp"\n[data]\n{section}\n')
    with pytest.raises(ConfigError) as caught:
        load_config(recipe)
    assert said in str(caught.value)


def test_a_lost_parquet_file_weighs_as_much_as_its_rows(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    folder = tmp_path / "t"
    folder.mkdir()
    for number in range(4):
        drawn = np.random.default_rng(number).normal(size=(2, 1000))
        table = pyarrow.table({"x": drawn[0], "y": drawn[1]})
        parquet.write_table(table, folder / f"{number}.parquet", row_group_size=250)
    whole = (folder / "3.parquet").read_bytes()
    config = TableConfig(path=str(folder), target="y")
    (folder / "3.parquet").write_bytes(whole[: len(whole) * 9 // 10])
    with pytest.raises(DatasetError, match=r"9\d\d of 39\d\d rows are broken"):
        made(config, tmp_path / "out")
    # Its footer is whole and tells of 1000 rows, which do not follow.
    (folder / "3.parquet").write_bytes(whole[:4] + whole[4:8000] + b"x" * 4000 + whole[12000:])
    with pytest.raises(DatasetError, match=r"(750|1000) of 4000 rows are broken") as caught:
        made(config, tmp_path / "out")
    assert "rows from here on are lost" in str(caught.value)
    (folder / "3.parquet").write_bytes(b"")
    assert (
        made(TableConfig(path=str(folder), target="y", max_bad_share=0.3), tmp_path / "o").report["bad_rows"]
        == 1
    )


@pytest.mark.parametrize("split", ["every_nth", "random"])
def test_what_is_held_out_of_text_does_not_depend_on_the_units_it_is_encoded_in(
    split: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "text"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number:02}.txt").write_text(f"document {number} " * 5)
    config = TextConfig(path=str(folder), tokenizer="characters", split=split, held_out=0.25)
    whole = made(config, tmp_path / "whole")
    monkeypatch.setattr(text_prepare, "BYTES_PER_UNIT", 200)
    units = made(config, tmp_path / "units")
    assert len(units.tokens("held_out")) > 1
    for part in ("train", "held_out"):
        assert np.array_equal(np.concatenate(units.tokens(part)), np.concatenate(whole.tokens(part)))


def test_answers_to_one_prompt_are_in_one_part(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("question,text\n" + "".join(f"q{n % 40},answer {n}\n" for n in range(200)))
    data = made(DocumentsConfig(path=str(path), prompt_column="question"), tmp_path / "out")
    prompts = {}
    for part in ("train", "held_out"):
        text, offsets = bytes(data.arrays(part)["text"]), data.arrays(part)["offsets"].tolist()
        prompts[part] = {text[a:b] for a, b in list(itertools.pairwise(offsets))[::2]}
    assert len(prompts["train"]) + len(prompts["held_out"]) == 40


def test_lines_that_no_program_can_write_again_are_broken_rows_and_stop_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    rows = [json.dumps({"text": f"text {n} \U0001f600", "label": n % 2}) for n in range(40)]
    half, deep = r'{"text": "\ud83d", "label": 1}', '{"text": ' + "[" * 50_000 + "]" * 50_000 + "}"
    path.write_text("\n".join([*rows, half, deep]))
    made(TextConfig(path=str(path), label_column="label", vocabulary=300, max_bad_share=0.1), tmp_path / "o")
    assert [each["row"] for each in quarantined(tmp_path / "o")] == [41, 42]


def test_a_file_whose_header_cannot_be_read_stops_nothing_where_the_others_are_whole(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    folder.mkdir()
    for number in range(4):
        people(folder / f"{number}.csv", 300)
    (folder / "4.csv").write_bytes(b"\xff\xfe\xfa\n1,2\n")
    data = made(TableConfig(path=str(folder), target="label"), tmp_path / "out")
    assert data.report["bad_rows"] == 1
    assert quarantined(tmp_path / "out")[0]["what"] == "the header is not UTF-8: save it as CSV in UTF-8"
    with pytest.raises(DatasetError, match=r"^4.csv: the header is not UTF-8"):
        made(TableConfig(path=str(folder / "4.csv"), target="label"), tmp_path / "alone")


def test_a_number_to_predict_keeps_every_digit_and_one_that_is_too_large_is_a_broken_row(
    tmp_path: Path,
) -> None:
    path = tmp_path / "t.csv"
    rows = [f"{n % 17},{1_700_000_000 + n}\n" for n in range(500)] + ["1,1e39\n", "1e200,1700000000\n"]
    path.write_text("x,time\n" + "".join(rows) + '"1,5",1700000000\n')
    data = made(TableConfig(path=str(path), target="time"), tmp_path / "out")
    kept = np.concatenate([data.arrays(part)["target"] for part in ("train", "held_out")])
    assert sorted(kept.tolist()) == [1_700_000_000 + n for n in range(500)]
    assert [each["what"] for each in quarantined(tmp_path / "out")] == [
        "the target 'time': '1e39' is too large",
        "column 'x': '1e200' is too large",
        "column 'x': '1,5' is no number: write its decimal comma as a point",
    ]
    from trainer.configs.table_models import MLPConfig
    from trainer.tasks.table import TableTask, mean_of_members

    task = TableTask(MLPConfig(), data)
    mean, std = task.target["mean"], task.target["std"]
    batch = data.train.batch(np.arange(8), np.empty((8, 0), np.float32))
    exact = ((batch["target"] - mean) / std).float()
    loss, _ = task.loss(lambda *inputs: exact[:, None, None].expand(8, task.config.members, 1), batch)  # type: ignore[arg-type]
    assert loss.item() == 0
    assert (mean_of_members(exact[:, None, None], task.target) - batch["target"]).abs().max() < 1e-3


def test_folders_of_parts_say_what_is_held_out_and_are_no_classes(tmp_path: Path) -> None:
    album(tmp_path / "album" / "train", 30)
    album(tmp_path / "album" / "val", 9)
    data = made(PicturesConfig(path=str(tmp_path / "album"), height=8, width=8), tmp_path / "out")
    assert data.about["classes"] == ["cat", "dog"]
    assert data.report["pictures"] == {"train": 30, "held_out": 9}
    (tmp_path / "album" / "val" / "loose.png").write_bytes(picture_bytes(1))
    with pytest.raises(DatasetError, match=r"val/loose\.png is in the part val, but in no folder of a class"):
        made(PicturesConfig(path=str(tmp_path / "album"), height=8, width=8), tmp_path / "out")


def test_a_class_may_be_named_none_and_a_value_is_the_same_in_every_kind_of_file(tmp_path: Path) -> None:
    draw = random.Random(2)
    rows = [(draw.choice(["1.0", "2.0"]), draw.choice(["True", "False"]), n % 3) for n in range(300)]
    words, path = ("mild", "None", "NA"), tmp_path / "t.csv"
    path.write_text(
        "grade,smokes,kind\n" + "".join(f"{a},{b},{words[c]}\n" for a, b, c in rows) + "1,True,\n"
    )
    config = {"target": "kind", "categories": ("grade", "smokes")}
    data = made(TableConfig(path=str(path), **config), tmp_path / "out")  # type: ignore[arg-type]
    assert data.about["target"]["classes"] == ["NA", "None", "mild"]
    assert data.report["bad_rows"] == 1
    assert any("the target's 'NA' is a class like the others" in each for each in data.report["warnings"])
    jsonl = tmp_path / "t.jsonl"
    table = [{"grade": float(a), "smokes": b == "True", "kind": words[c]} for a, b, c in rows]
    jsonl.write_text("".join(json.dumps(row) + "\n" for row in [*table, {**table[0], "kind": None}]))
    other = made(TableConfig(path=str(jsonl), **config), tmp_path / "other")  # type: ignore[arg-type]
    assert other.about == {**data.about, "source": str(jsonl)}
    assert np.array_equal(other.arrays("train")["categories"], data.arrays("train")["categories"])
    assert [is_empty(cell) for cell in ("", " ", None, float("nan"), "NA", "none", 0, False)] == [
        *(True, True, True, True, False, False, False, False)
    ]


def test_a_row_whose_held_out_column_says_neither_part_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    words = {0: "test", 1: "train", 2: "1.0", 3: "False"}
    rows = [f"{n * 0.5},{words[n % 4]},{n % 3}\n" for n in range(400)] + ["1,dev-set,1\n", "2,,1\n"]
    path.write_text("value,part,label\n" + "".join(rows))
    data = made(TableConfig(path=str(path), target="label", held_out_column="part"), tmp_path / "out")
    assert data.report["rows"] == {"train": 200, "held_out": 200}
    assert [each["what"] for each in quarantined(tmp_path / "out")] == [
        "'part' says 'dev-set', which is neither train nor held_out",
        "'part' is empty, which is neither train nor held_out",
    ]


def test_how_much_may_be_broken_is_no_part_of_a_data_set_s_name_and_is_asked_again(tmp_path: Path) -> None:
    path = people(tmp_path / "t.csv", extra="1,2\n" * 25)
    lenient = TableConfig(path=str(path), target="label", max_bad_share=0.1)
    strict = replace(lenient, max_bad_share=0.01)
    assert prepared_name(lenient) == prepared_name(strict)
    made(lenient, tmp_path / "out")
    with pytest.raises(DatasetError, match=r"25 of 525 are broken.*max_bad_share = 0.01 allows fewer"):
        made(strict, tmp_path / "out")
    assert made(lenient, tmp_path / "out").report["bad_rows"] == 25


@pytest.mark.parametrize("share", [0.1, 0.2, 0.3, 0.5, 0.75, 0.9])
def test_every_nth_holds_out_the_share_that_was_asked_for(share: float) -> None:
    held = [is_held_out("every_nth", share, number, b"") for number in range(1000)]
    assert sum(held) == round(1000 * share)


def test_a_column_that_is_ignored_does_not_part_copies(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("key,x,y\n" + "".join(f"k{n},{n % 50},{n % 50}\n" for n in range(200)))
    data = made(TableConfig(path=str(path), target="y", ignore=("key",)), tmp_path / "out")
    assert data.report["duplicates_over_split"] == 0


def test_shards_keep_their_names_apart_and_their_words_whole(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    (folder / "a").mkdir(parents=True)
    for at, name in enumerate(("a/b.bin", "a-b.bin", "latest-values.bin", "val_000.BIN")):
        np.arange(at, 200 + at, dtype="<u2").tofile(folder / name)
    data = made(TokensConfig(path=str(folder)), tmp_path / "out")
    assert data.report["tokens"] == {"train": 600, "held_out": 200}
    assert sorted(int(each[0]) for each in data.tokens("train")) == [0, 1, 2]
    np.arange(500, dtype="<u4").tofile(folder / "wide.bin")
    with pytest.raises(DatasetError, match=r"wide\.bin: looks like uint32"):
        made(TokensConfig(path=str(folder)), tmp_path / "wide")


def test_of_one_text_alone_the_end_is_held_out(tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_text("".join(f"line {number:04}\n" for number in range(1000)))
    data = made(TextConfig(path=str(path), tokenizer="characters", held_out=0.1), tmp_path / "out")
    assert data.report["tokens"] == {"train": 9001, "held_out": 1001}


def test_the_check_names_orders_that_tell_the_target_and_pictures_that_no_table_lists(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    draw = random.Random(3)
    rows = [f"{n % 2 * 10 + draw.random()},{draw.random()},{n % 2}\n" for n in range(400)]
    path.write_text("after,before,label\n" + "".join(rows))
    warnings = made(TableConfig(path=str(path), target="label"), tmp_path / "out").report["warnings"]
    assert warnings == ["column 'after' alone gives the target away: is it known before the target is?"]
    assert rare_classes({"a": {"train": 0, "held_out": 3}, "b": {"train": 30, "held_out": 3}}) == [
        "classes without an item to train on, which are never right: a"
    ]
    names = sorted(each.relative_to(tmp_path).as_posix() for each in album(tmp_path / "album").rglob("*.png"))
    labels = tmp_path / "labels.csv"
    listed = "".join(f"{name.removeprefix('album/')},{at % 2}\n" for at, name in enumerate(names[:40]))
    labels.write_text("file,label\n" + listed)
    config = PicturesConfig(path=str(tmp_path / "album"), labels=str(labels), height=8, width=8)
    assert made(config, tmp_path / "p").report["warnings"] == [
        "20 pictures are not in data.labels, and not used"
    ]


def test_text_that_the_characters_do_not_cover_is_warned_of(tmp_path: Path) -> None:
    folder = library(tmp_path / "texts", 20)
    config = TextConfig(path=str(folder), tokenizer="characters")
    assert made(config, tmp_path / "ascii").report["warnings"] == []
    (folder / "more.txt").write_text("\u043f\u0440\u0438\u0432\u0435\u0442 " * 500, encoding="utf-8")
    (warning,) = made(config, tmp_path / "out").report["warnings"]
    assert "of the characters are not ASCII" in warning


def test_other_methods_are_not_measured_where_many_classes_would_take_them_hours() -> None:
    parts = {part: {"target": np.zeros(5000, np.int64)} for part in ("train", "held_out")}
    about = {"target": {"kind": "class", "classes": [str(n) for n in range(1000)]}}
    assert references.references("table", about, parts) == {}
