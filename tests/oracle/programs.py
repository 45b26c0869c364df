"""Random programs: lines of Python that make one DataFrame out of another, drawn by hypothesis.

A line is drawn for the columns that are there, so nearly all of them are valid; one that Spark refuses is left out.
"""
from __future__ import annotations

from typing import Any, Callable, Dict, List, Sequence, Tuple

from hypothesis import strategies as st

from tests.oracle.data import TABLES

Columns = List[Tuple[str, str]]
Draw = Callable[[Any], Any]


class Program:
    """Lines of Python and what they give on a set of tables."""

    def __init__(self) -> None:
        self.lines: List[str] = []

    def run(self, spark: Any, tables: Dict[str, Any]) -> Any:
        """The DataFrame of the last line."""
        names = namespace(spark, tables)
        for line in self.lines:
            exec(line, names)  # the program is ours
        return names["f"]

    def __repr__(self) -> str:
        return "\n".join(self.lines)


def namespace(spark: Any, tables: Dict[str, Any]) -> Dict[str, Any]:
    """What the lines of a program see; `f` is the DataFrame that the lines change, `before` those it was."""
    from pyspark.sql import Window, functions

    def sql(text: str, **frames: Any) -> Any:
        for name, frame in frames.items():
            frame.createOrReplaceTempView(f"oracle_{name}")
            text = text.replace(f"{{{name}}}", f"oracle_{name}")
        return spark.sql(text)

    return {**tables, "F": functions, "E": functions.expr, "Window": Window, "sql": sql, "before": []}


def build(draw: Draw, spark: Any, tables: Dict[str, Any], length: int) -> Program:
    """A program of so many lines at most, tried on these tables as it grows (analysed, not run)."""
    from py4j.protocol import Py4JJavaError

    program = Program()
    names = namespace(spark, tables)
    start = draw(st.sampled_from(sorted(TABLES)))
    for line in [f"f = {start}.alias('{start}')"]:
        exec(line, names)
        program.lines.append(line)
    fresh = Fresh()
    for _ in range(length):
        frame = names["f"]
        step = draw(st.sampled_from(STEPS))
        line = step(draw, fresh, frame.dtypes)
        if not line:
            continue
        line = f"before.append(f); f = {line}"
        try:
            exec(line, names)
            if len(names["f"].columns) > 25:
                raise ValueError("too wide")
        except (Py4JJavaError, Exception):
            names["f"] = frame
            continue
        program.lines.append(line)
    return program


class Fresh:
    """Names that no column has yet."""

    def __init__(self) -> None:
        self._number = 0

    def __call__(self) -> str:
        self._number += 1
        return f"c{self._number}"


def _names(columns: Columns, kind: str) -> List[str]:
    unique = [name for name, _ in columns]
    return [name for name, found in columns if found == kind and unique.count(name) == 1]


def _distinct(columns: Columns) -> List[str]:
    names = [name for name, _ in columns]
    return [name for name in names if names.count(name) == 1]


def number(draw: Draw, columns: Columns, depth: int = 2, prefix: str = "") -> str:
    """An expression of type int."""
    plain = [prefix + name for name in _names(columns, "int")]
    arrays = [prefix + name for name in _names(columns, "array<int>")]
    structs = [prefix + name for name in _names(columns, "struct<x:int,y:string>")]
    items = [prefix + name for name in _names(columns, "array<struct<p:int,q:string>>")]
    maps = [prefix + name for name in _names(columns, "map<string,int>")]
    texts = [prefix + name for name in _names(columns, "string")]
    forms: List[Callable[[], str]] = [lambda: str(draw(st.integers(0, 4)))]
    if plain:
        forms += [lambda: draw(st.sampled_from(plain))] * 4
    if structs:
        forms += [lambda: draw(st.sampled_from(structs)) + ".x"] * 2
    if arrays:
        array = draw(st.sampled_from(arrays))
        forms += [lambda: f"size({array})", lambda: f"{array}[0]",
                  lambda: f"aggregate({array}, 0, (x, y) -> x + y)"]
    if items:
        forms += [lambda: f"{draw(st.sampled_from(items))}[0].p",
                  lambda: f"size(filter({draw(st.sampled_from(items))}, x -> x.p > 1))"]
    if maps:
        forms += [lambda: f"{draw(st.sampled_from(maps))}['a']", lambda: f"size({draw(st.sampled_from(maps))})"]
    if texts:
        forms += [lambda: f"length({draw(st.sampled_from(texts))})",
                  lambda: f"crc32({draw(st.sampled_from(texts))}) % 5"]
    if depth:
        def inner() -> str:
            return number(draw, columns, depth - 1, prefix)

        forms += [
            lambda: f"({inner()} + {inner()})", lambda: f"({inner()} * 2)", lambda: f"greatest({inner()}, {inner()})",
            lambda: f"coalesce({inner()}, {inner()})", lambda: f"nullif({inner()}, {inner()})",
            lambda: f"if({predicate(draw, columns, depth - 1, prefix)}, {inner()}, {inner()})",
            lambda: f"case when {predicate(draw, columns, depth - 1, prefix)} then {inner()} else {inner()} end",
            lambda: f"cast({text(draw, columns, depth - 1, prefix)} as int)",
            lambda: f"named_struct('x', {inner()}, 'y', {inner()}).y",
            lambda: f"map('a', {inner()}, 'b', {inner()})['b']",
            lambda: f"array({inner()}, {inner()})[1]",
            lambda: f"nvl2({inner()}, {inner()}, {inner()})",
        ]
    return f"cast({draw(st.sampled_from(forms))()} as int)" if depth == 2 else draw(st.sampled_from(forms))()


def text(draw: Draw, columns: Columns, depth: int = 1, prefix: str = "") -> str:
    """An expression of type string."""
    plain = [prefix + name for name in _names(columns, "string")]
    structs = [prefix + name for name in _names(columns, "struct<x:int,y:string>")]
    forms: List[Callable[[], str]] = [lambda: draw(st.sampled_from(["'a'", "'b'", "'zz'"]))]
    if plain:
        forms += [lambda: draw(st.sampled_from(plain))] * 4
    if structs:
        forms += [lambda: draw(st.sampled_from(structs)) + ".y"] * 2
    if depth:
        def inner() -> str:
            return text(draw, columns, depth - 1, prefix)

        forms += [
            lambda: f"upper({inner()})", lambda: f"concat({inner()}, {inner()})", lambda: f"md5({inner()})",
            lambda: f"substring({inner()}, 1, 1)", lambda: f"concat_ws('-', {inner()}, {inner()})",
            lambda: f"regexp_replace({inner()}, 'a', 'e')", lambda: f"ifnull({inner()}, {inner()})",
            lambda: f"cast({number(draw, columns, depth - 1, prefix)} as string)",
        ]
    return draw(st.sampled_from(forms))()


def predicate(draw: Draw, columns: Columns, depth: int = 1, prefix: str = "") -> str:
    """A condition."""
    flags = [prefix + name for name in _names(columns, "boolean")]
    one, other = (number(draw, columns, max(depth - 1, 0), prefix) for _ in range(2))
    forms: List[Callable[[], str]] = [
        lambda: f"{one} < {other}", lambda: f"{one} = {other}", lambda: f"{one} is not null",
        lambda: f"{one} in (1, 2, {other})", lambda: f"{one} between 1 and 3", lambda: f"not ({one} <=> {other})",
        lambda: f"{text(draw, columns, 0, prefix)} like '%a%'",
    ]
    if flags:
        forms += [lambda: draw(st.sampled_from(flags))]
    return draw(st.sampled_from(forms))()


def value(draw: Draw, columns: Columns) -> str:
    """An expression of any type."""
    names = _distinct(columns)
    forms: List[Callable[[], str]] = [lambda: number(draw, columns)] * 4 + [lambda: text(draw, columns)] * 3
    if names:
        forms += [lambda: draw(st.sampled_from(names))] * 3
    forms += [
        lambda: f"named_struct('x', {number(draw, columns, 1)}, 'y', {text(draw, columns)})",
        lambda: f"array({number(draw, columns, 1)}, {number(draw, columns, 1)})",
        lambda: predicate(draw, columns),
    ]
    arrays = _names(columns, "array<int>")
    if arrays:
        forms += [lambda: f"transform({draw(st.sampled_from(arrays))}, x -> x + {number(draw, columns, 0)})",
                  lambda: f"array_sort(filter({draw(st.sampled_from(arrays))}, x -> x > {number(draw, columns, 0)}))"]
    items = _names(columns, "array<struct<p:int,q:string>>")
    if items:
        forms += [lambda: f"{draw(st.sampled_from(items))}.q", lambda: f"{draw(st.sampled_from(items))}.p"]
    return draw(st.sampled_from(forms))()


def _aliased(draw: Draw, fresh: Fresh, columns: Columns, count: int) -> List[str]:
    return [f'E("""{value(draw, columns)}""").alias("{fresh()}")' for _ in range(count)]


def _select(draw: Draw, fresh: Fresh, columns: Columns) -> str:
    return f"f.select({', '.join(_aliased(draw, fresh, columns, draw(st.integers(2, 4))))})"


def _with_column(draw: Draw, fresh: Fresh, columns: Columns) -> str:
    name = draw(st.sampled_from([fresh(), *_distinct(columns)[:3]]))
    return f'f.withColumn("{name}", E("""{value(draw, columns)}"""))'


def _drop(draw: Draw, fresh: Fresh, columns: Columns) -> str:
    names = _distinct(columns)
    return f'f.drop("{draw(st.sampled_from(names))}")' if len(names) > 2 else ""


def _filter(draw: Draw, fresh: Fresh, columns: Columns) -> str:
    return f'f.where(E("""{predicate(draw, columns)}"""))'


def _sort(draw: Draw, fresh: Fresh, columns: Columns) -> str:
    order = f'f.orderBy(E("""{number(draw, columns, 1)}""").desc())'
    return order + draw(st.sampled_from(["", ".limit(3)"]))


def _other(draw: Draw) -> Tuple[str, Columns]:
    name = draw(st.sampled_from(["u", "r"]))
    kinds = {"k": "int", "v": "int", "w": "string", "m": "map<string,int>", "e": "int", "f": "boolean"}
    return name, [(column, kinds[column]) for column in TABLES[name]]


def _join(draw: Draw, fresh: Fresh, columns: Columns) -> str:
    name, others = _other(draw)
    how = draw(st.sampled_from(["inner", "left", "full", "right", "left_semi", "left_anti", "cross"]))
    if draw(st.booleans()) and "k" in _names(columns, "int") and how != "cross":
        return f'f.join({name}, ["k"], "{how}")'
    left = number(draw, columns, 0, "x.") if _names(columns, "int") else "1"
    right = number(draw, others, 0, "y.")
    picked = [f"x.{one}" for one in _distinct(columns)[:4]]
    if how not in ("left_semi", "left_anti"):
        picked += [f"y.{one}" for one, _ in others[:3]]
    picks = [f'E("{one}")' + (f'.alias("{fresh()}")' if draw(st.integers(0, 5)) else "") for one in picked]
    condition = f'E("""{left} = {right}""")' if how != "cross" else 'E("true")'
    joined = f'f.alias("x").join({name}.alias("y"), {condition}, "{how if how != "cross" else "inner"}")'
    return f"{joined}.select({', '.join(picks)})"


def _self_join(draw: Draw, fresh: Fresh, columns: Columns) -> str:
    names = _names(columns, "int")
    if not names:
        return ""
    key, other = draw(st.sampled_from(names)), draw(st.sampled_from(names))
    picks = [f'E("{side}.{name}").alias("{fresh()}")' for side in "xy" for name in _distinct(columns)[:3]]
    return f'f.alias("x").join(f.alias("y"), E("x.{key} = y.{other}"), "left").select({", ".join(picks)})'


def _set(draw: Draw, fresh: Fresh, columns: Columns) -> str:
    names, texts = _names(columns, "int"), _names(columns, "string")
    if len(names) < 1:
        return ""
    left = f'f.select(E("{draw(st.sampled_from(names))}").alias("{fresh()}"), E("{draw(st.sampled_from(names))}").alias("{fresh()}"))'  # noqa: E501
    right = draw(st.sampled_from(['u.select("k", "v")', 'r.select("e", "k")', 't.select("b", "a")']))
    if texts and draw(st.booleans()):
        left = f'f.select(E("{names[0]}").alias("{fresh()}"), E("{texts[0]}").alias("{fresh()}"))'
        right = draw(st.sampled_from(['u.select("v", "w")', 't.select("a", "n")']))
    method = draw(st.sampled_from(["union", "union", "intersect", "subtract", "exceptAll", "intersectAll"]))
    return f"{left}.{method}({right})"


def _union_itself(draw: Draw, fresh: Fresh, columns: Columns) -> str:
    return f'f.union(f.where(E("""{predicate(draw, columns)}""")))'


def _distinct_rows(draw: Draw, fresh: Fresh, columns: Columns) -> str:
    names = [name for name in _distinct(columns) if not dict(columns)[name].startswith("map")]
    if any(kind.startswith("map") for _, kind in columns):
        return f'f.select({", ".join(repr(name) for name in names[:4])}).distinct()' if names else ""
    key = draw(st.sampled_from(names)) if names else ""
    return draw(st.sampled_from(["f.distinct()", f'f.dropDuplicates(["{key}"])' if key else "f.distinct()"]))


def _aggregates(draw: Draw, fresh: Fresh, columns: Columns) -> List[str]:
    forms = [
        lambda: f"sum({number(draw, columns, 1)})", lambda: f"max({number(draw, columns, 1)})",
        lambda: f"min({text(draw, columns, 1)})", lambda: f"count({number(draw, columns, 0)})",
        lambda: f"count(distinct {number(draw, columns, 0)})",
        lambda: f"sort_array(collect_set({number(draw, columns, 0)}))", lambda: "count(*)",
        lambda: f"{draw(st.sampled_from(['max', 'min']))}(struct({number(draw, columns, 0)}, {text(draw, columns, 0)}))"
                f".{draw(st.sampled_from(['col1', 'col2']))}",
        lambda: f"sort_array(collect_set(struct({number(draw, columns, 0)} as g, {text(draw, columns, 0)} as h)).g)",
        lambda: f"max_by({number(draw, columns, 0)}, {number(draw, columns, 0)})",
        lambda: f"sum({number(draw, columns, 0)}) filter (where {predicate(draw, columns, 0)})",
        lambda: f"first({number(draw, columns, 0)})", lambda: f"max({number(draw, columns, 0)}) + 1",
    ]
    kinds = [draw(st.sampled_from(forms))() for _ in range(draw(st.integers(1, 3)))]
    return [f'E("""{one}""").alias("{fresh()}")' for one in kinds]


def _group(draw: Draw, fresh: Fresh, columns: Columns) -> str:
    keys = [f'E("""{draw(st.sampled_from([number, text]))(draw, columns, 1)}""").alias("{fresh()}")'
            for _ in range(draw(st.integers(0, 2)))]
    method = draw(st.sampled_from(["groupBy", "groupBy", "rollup", "cube"])) if keys else "groupBy"
    return f"f.{method}({', '.join(keys)}).agg({', '.join(_aggregates(draw, fresh, columns))})"


def _having(draw: Draw, fresh: Fresh, columns: Columns) -> str:
    key = number(draw, columns, 1)
    return (f'sql("""select {key} as {fresh()}, sum({number(draw, columns, 0)}) as {fresh()} from {{f}} group by {key}'
            f' having max({number(draw, columns, 0)}) > {draw(st.integers(0, 2))}""", f=f)')


def _grouping_sets(draw: Draw, fresh: Fresh, columns: Columns) -> str:
    names = _names(columns, "int") + _names(columns, "string")
    if len(names) < 2:
        return ""
    one, other = names[0], names[-1]
    return (f'sql("""select {one} as {fresh()}, {other} as {fresh()}, max({number(draw, columns, 0)}) as {fresh()},'
            f' grouping_id({one}, {other}) as {fresh()} from {{f}} group by {one}, {other}'
            f' grouping sets (({one}, {other}), ({one}), ())""", f=f)')


def _window(draw: Draw, fresh: Fresh, columns: Columns) -> str:
    over = (f"over (partition by {number(draw, columns, 0)} order by {number(draw, columns, 1)}"
            f"{draw(st.sampled_from(['', ' desc', ' rows between 1 preceding and current row']))})")
    ranking = over.replace(" rows between 1 preceding and current row", "")
    form = draw(st.sampled_from([
        f"row_number() {ranking}", f"rank() {ranking}", f"dense_rank() {ranking}", f"percent_rank() {ranking}",
        f"sum({number(draw, columns, 0)}) {over}", f"max({text(draw, columns, 0)}) {over}",
        f"lag({number(draw, columns, 0)}, 1, {number(draw, columns, 0)}) {ranking}",
        f"lead({text(draw, columns, 0)}) {ranking}", f"first_value({number(draw, columns, 0)}) {over}",
        f"ntile(2) {ranking}", f"count(*) {over}",
    ]))
    return f'f.withColumn("{fresh()}", E("""{form}"""))'


def _explode(draw: Draw, fresh: Fresh, columns: Columns) -> str:
    arrays = _names(columns, "array<int>")
    items = _names(columns, "array<struct<p:int,q:string>>")
    maps = _names(columns, "map<string,int>")
    keep = ", ".join(repr(name) for name in _distinct(columns)[:3])
    forms: List[str] = [f'f.select({keep}, E("""explode(array({number(draw, columns, 1)}, 7))""").alias("{fresh()}"))',
                        f'f.select({keep}, E("""stack(2, {number(draw, columns, 1)}, {text(draw, columns, 0)},'
                        f' {number(draw, columns, 1)}, {text(draw, columns, 0)})""").alias("{fresh()}", "{fresh()}"))']
    for name in arrays[:1]:
        forms += [f'f.select({keep}, E("explode({name})").alias("{fresh()}"))',
                  f'f.select({keep}, E("posexplode_outer({name})").alias("{fresh()}", "{fresh()}"))',
                  f'sql("select {_distinct(columns)[0]} as {fresh()}, z.o as {fresh()} from {{f}}'
                  f' lateral view outer explode({name}) z as o", f=f)']
    for name in items[:1]:
        one = fresh()
        if arrays:
            forms += [f'f.select({keep}, E("arrays_zip({arrays[0]}, {name})").alias("{fresh()}"))',
                      f'f.select(E("arrays_zip({arrays[0]}, {name}).{name}.p").alias("{fresh()}"))']
        forms += [f'f.select({keep}, E("inline({name})").alias("{fresh()}", "{fresh()}"))',
                  f'f.withColumn("{one}", E("explode({name})")).withColumn("{fresh()}", E("{one}.p")).drop("{one}")']
    for name in maps[:1]:
        forms += [f'f.select({keep}, E("explode({name})").alias("{fresh()}", "{fresh()}"))',
                  f'f.select({keep}, E("map_values({name})").alias("{fresh()}"))']
    return draw(st.sampled_from(forms)) if keep else ""


def _subquery(draw: Draw, fresh: Fresh, columns: Columns) -> str:
    names = _names(columns, "int")
    if not names:
        return ""
    key = draw(st.sampled_from(names))
    name, others = _other(draw)
    item = number(draw, others, 1, "y.")
    keep = ", ".join(f"x.{one} as {fresh()}" for one in _distinct(columns)[:3])
    form = draw(st.sampled_from([
        f"select {keep}, (select max({item}) from {{o}} y) as {fresh()} from {{f}} x",
        f"select {keep}, (select max({item}) from {{o}} y where y.k = x.{key}) as {fresh()} from {{f}} x",
        f"select {keep} from {{f}} x where x.{key} in (select {item} from {{o}} y)",
        f"select {keep} from {{f}} x where x.{key} not in (select y.k from {{o}} y where y.k is not null)",
        f"select {keep} from {{f}} x where exists (select 1 from {{o}} y where y.k = x.{key})",
        f"select {keep} from {{f}} x where not exists (select 1 from {{o}} y where y.k = x.{key} and {item} > 1)",
        f"select {keep} from {{f}} x where x.{key} > (select min({item}) from {{o}} y)",
        f"select {keep}, z.g as {fresh()} from {{f}} x, lateral (select max({item}) g from {{o}} y where y.k = x.{key}) z",  # noqa: E501
    ]))
    return f'sql("""{form}""", f=f, o={name})'


def _cte(draw: Draw, fresh: Fresh, columns: Columns) -> str:
    names = _names(columns, "int")
    if not names:
        return ""
    key = draw(st.sampled_from(names))
    made, kept = fresh(), _distinct(columns)[0]
    return (f'sql("""with g as (select {key} as h, {number(draw, columns, 1)} as j from {{f}}),'
            f' q as (select h, max(j) as j from g group by h)'
            f' select x.{kept} as {fresh()}, q.j as {made}, g.j as {fresh()} from {{f}} x join q on x.{key} = q.h'
            f' left join g on g.h = q.j""", f=f)')


def _pivot(draw: Draw, fresh: Fresh, columns: Columns) -> str:
    names = _names(columns, "int")
    if len(names) < 2:
        return ""
    one, other = names[0], names[-1]
    return (f'f.groupBy(E("{one}").alias("{fresh()}")).pivot("{other}", [1, 2])'
            f'.agg(E("""max({number(draw, columns, 0)})""")).toDF("{fresh()}", "{fresh()}", "{fresh()}")')


def _unpivot(draw: Draw, fresh: Fresh, columns: Columns) -> str:
    names = _names(columns, "int")
    if len(names) < 2:
        return ""
    kept = _distinct(columns)[0]
    return f'f.unpivot(["{kept}"], ["{names[0]}", "{names[-1]}"], "{fresh()}", "{fresh()}")'


def _struct(draw: Draw, fresh: Fresh, columns: Columns) -> str:
    structs = _names(columns, "struct<x:int,y:string>")
    if not structs:
        return ""
    name = draw(st.sampled_from(structs))
    return draw(st.sampled_from([
        f'f.select("{name}.*", E("{name}.x").alias("{fresh()}"))',
        f'f.withColumn("{name}", F.col("{name}").withField("x", E("""{number(draw, columns, 1)}""")))',
        f'f.select(E("""if({predicate(draw, columns, 0)}, {name}, named_struct(\'x\', 1, \'y\', \'a\'))""")'
        f'.alias("{fresh()}"), E("{name}.y").alias("{fresh()}"))',
        f'f.select(E("struct({name}, {name}.x as z)").alias("{fresh()}")).select(E("*"))',
    ]))


def _recursive(draw: Draw, fresh: Fresh, columns: Columns) -> str:
    names = _names(columns, "int")
    if len(names) < 2:
        return ""
    return (f'sql("""with recursive g(h, j) as (select {names[0]}, {names[-1]} from {{f}} where {names[0]} < 3'
            f' union all select g.h + 1, u.v from g join {{o}} u on u.k = g.h where g.h < 3)'
            f' select h as {fresh()}, j as {fresh()} from g""", f=f, o=u)')


Step = Callable[[Draw, Fresh, Columns], str]
STEPS: Sequence[Step] = (
    _select, _select, _select, _with_column, _with_column, _with_column, _drop, _filter, _filter, _sort, _join, _join,
    _join, _self_join, _set, _union_itself, _distinct_rows, _group, _group, _having, _grouping_sets, _window, _window,
    _explode, _explode, _subquery, _subquery, _cte, _pivot, _unpivot, _struct, _struct, _recursive,
)
