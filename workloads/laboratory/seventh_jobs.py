"""A seventh kind on `local[2]`: tables of a database, files cut too fine or not at all, hints and thresholds left over, cubes, sorts by costly keys."""

import gzip
from pathlib import Path
from typing import Any

from spark_copilot.workloads.laboratory.data_jobs import HEAVY, heavy
from spark_copilot.workloads.laboratory.plan_jobs import noop

TEXT = "sha2(cast(id as string), 256)"


def write_ledger(spark: Any, data: Path) -> None:
    """A ledger in a database."""
    rows = spark.range(0, 110_000, 1, 1).selectExpr("id", "id % 50 as account", "hash(id) as amount")
    rows.write.jdbc(f"jdbc:derby:{data / 'ledger'};create=true", "entries")


def ledger_at_once(spark: Any, data: Path) -> None:
    """The table of a database, read by one query, and each row worked on."""
    heavy(spark.read.jdbc(f"jdbc:derby:{data / 'ledger'}", "entries"), 450)


def write_access_log(spark: Any, data: Path) -> None:
    """Four files of 17 MB."""
    spark.range(0, 900_000, 1, 4).selectExpr("id", "id % 60 as site", f"{TEXT} as note").write.csv(str(data / "access"))


def access_by_site(spark: Any, data: Path) -> None:
    """Hits by site."""
    lines = spark.read.schema("id long, site int, note string").csv(str(data / "access"))
    lines.createOrReplaceTempView("access")
    spark.sql("select site, count(*) as hits, max(note) as last from access group by site order by hits desc").collect()


def orders_and_returns(spark: Any, _: Path) -> None:
    """Two wide tables of two million rows are joined."""
    orders = spark.range(0, 2_000_000, 1, 8).selectExpr("id", "sha2(cast(id as string), 512) as note")
    returns = spark.range(0, 2_000_000, 1, 8).selectExpr("id", "sha2(cast(id * 3 as string), 512) as reason")
    noop(orders.join(returns.hint("merge"), "id"))


def records_to_json(spark: Any, data: Path) -> None:
    """Records exported."""
    rows = spark.range(0, 400_000, 1, 4).selectExpr("id", "hash(id) as v", "concat('item ', id) as name")
    rows.write.json(str(data / "export"))


def write_visits(spark: Any, data: Path) -> None:
    """Forty days of visits, and a calendar that says which of them are holidays."""
    visits = spark.range(0, 4_200_000, 1, 4).selectExpr(
        "id", "cast(id % 40 as int) as day", "id % 300 as shop", f"{TEXT} as note", "md5(cast(id as string)) as tag"
    )
    visits.repartition(40, "day").write.partitionBy("day").parquet(str(data / "visits"))
    spark.range(0, 40, 1, 1).selectExpr("cast(id as int) as day", "if(id in (11, 32), 'holiday', 'plain') as kind").write.parquet(
        str(data / "calendar")
    )


def visits_on_holidays(spark: Any, data: Path) -> None:
    """Three questions about the visits of holidays."""
    for name in ("visits", "calendar"):
        spark.read.parquet(str(data / name)).createOrReplaceTempView(name)
    on_holidays = "from visits v join calendar c on v.day = c.day where c.kind = 'holiday'"
    spark.sql(f"select max(length(note)), max(tag), count(*) {on_holidays}").collect()
    spark.sql(f"select shop, min(note), max(tag) {on_holidays} group by shop order by shop limit 20").collect()
    spark.sql(f"select c.day, avg(hash(note, tag) % 100) {on_holidays} group by c.day").collect()


def twentieths(spark: Any, _: Path) -> None:
    """Which twentieth of all customers each customer belongs to, by what they spend."""
    spark.range(0, 1_500_000, 1, 8).selectExpr("id", "hash(id) % 100000 as spent").createOrReplaceTempView("customers")
    noop(spark.sql("select id, ntile(20) over (order by spent desc) as twentieth from customers"))


def laid_out_by_status(spark: Any, _: Path) -> None:
    """Rows are laid out by ranges of a status that four of five rows share, then worked on."""
    rows = spark.range(0, 260_000, 1, 8).selectExpr("id", "if(id % 5 > 0, 'done', concat('wait ', id % 90)) as status")
    heavy(rows.repartitionByRange(10, "status").sortWithinPartitions("status"), 150)


COSTS = "aggregate(sequence(1, if(id >= 20000 and id < 24000, 9000, 180)), cast(0 as double), (acc, x) -> acc + sqrt(x * id + 1)) as v"


def long_histories(spark: Any, _: Path) -> None:
    """Every part has as many customers, but those of one part have histories that take fifty times as long to value."""
    noop(spark.range(0, 64_000, 1, 16).selectExpr("id", COSTS))


def sorted_words(spark: Any, _: Path) -> None:
    """Lists of digests, sorted and joined: strings by the million that nobody keeps."""
    words = "array_join(array_sort(transform(sequence(1, 110), x -> sha2(cast(x * id as string), 256))), '')"
    for n in (1, 2):
        spark.range(0, 25_000, 1, 12).selectExpr(f"length({words}) + {n} as size", "id").selectExpr("max(size)", "max(id)").collect()


def staged_for_later(spark: Any, _: Path) -> None:
    """A staging table is cached; the reports go on reading the orders themselves."""
    spark.range(0, 1_700_000, 1, 8).selectExpr(
        "id", "id % 200 as shop", "hash(id) % 900 as amount", f"{TEXT} as note"
    ).createOrReplaceTempView("orders")
    spark.sql("cache table staged as select id, shop, upper(note) as note, reverse(note) as back from orders where amount <> 0")
    spark.sql("select shop, sum(amount) as total from orders group by shop order by total desc limit 10").collect()
    spark.sql("select amount, count(*) as n from orders where shop < 50 group by amount order by n limit 5").collect()


def neither_blocked(spark: Any, _: Path) -> None:
    """Visitors whose address and number are not among the blocked ones."""
    visitors = spark.range(0, 30_000, 1, 8).selectExpr("id", "nullif(id % 40000, 39999) as email", "nullif(id % 30011, 30010) as phone")
    blocked = spark.range(0, 12_000, 1, 2).selectExpr("nullif(id * 3, -1) as email", "nullif(id * 5, -1) as phone")
    visitors.createOrReplaceTempView("visitors")
    blocked.createOrReplaceTempView("blocked")
    spark.sql("select count(*) from visitors where (email, phone) not in (select email, phone from blocked)").collect()


def priced_sales(spark: Any, _: Path) -> None:
    """A price list of eight hundred rows, joined as a hint of long ago says."""
    spark.range(0, 3_000_000, 1, 8).selectExpr("id", "id % 800 as item", f"{TEXT} as note").createOrReplaceTempView("sales")
    spark.range(0, 800, 1, 1).selectExpr("id as item", "id * 1.5 as price").createOrReplaceTempView("prices")
    noop(spark.sql("select /*+ shuffle_merge(p) */ s.id, s.note, p.price from sales s join prices p on s.item = p.item"))


def write_profiles(spark: Any, data: Path) -> None:
    """Two and a half million profiles."""
    rows = spark.range(0, 2_500_000, 1, 4).selectExpr("id as person", f"{TEXT} as about", "md5(cast(id as string)) as tag")
    rows.write.parquet(str(data / "profiles"))


def profiles_of_buyers(spark: Any, data: Path) -> None:
    """A million purchases with the profiles of those who bought."""
    profiles = spark.read.parquet(str(data / "profiles"))
    bought = spark.range(0, 1_300_000, 1, 8).selectExpr("id * 7 % 2500000 as person", "hash(id) % 90 as amount")
    noop(bought.join(profiles, "person"))


def every_combination(spark: Any, _: Path) -> None:
    """Totals for every combination of seven columns of few values."""
    columns = {"a": 2, "b": 3, "c": 2, "d": 3, "e": 2, "f": 3, "g": 2}
    spark.range(0, 400_000, 1, 8).selectExpr(
        *(f"pmod(hash(id, {n}), {values}) as {name}" for n, (name, values) in enumerate(columns.items())), "id % 50 as sold"
    ).createOrReplaceTempView("sales")
    names = ", ".join(columns)
    spark.sql(f"select {names}, sum(sold) as total from sales group by cube({names})").selectExpr("count(*)", "max(total)").collect()


def ranked_by_score(spark: Any, data: Path) -> None:
    """Rows are sorted by a score that takes long to compute, and written."""
    scored = spark.range(0, 90_000, 1, 8).selectExpr("id", HEAVY.format(n=250) + " as score")
    scored.orderBy("score").write.parquet(str(data / "ranked"))


def chosen_customers(spark: Any, _: Path) -> None:
    """The fifty thousand customers of a campaign are written into the query."""
    heavy(spark.range(0, 20_000, 1, 4), 200)
    chosen = ", ".join(str(n * 37 % 4_000_000) for n in range(50_000))
    orders = spark.range(0, 4_000_000, 1, 250).selectExpr("id", "hash(id) % 100 as amount")
    orders.where(f"id in ({chosen})").selectExpr("sum(amount)").collect()


def rows_of_a_script(spark: Any, _: Path) -> None:
    """Rows are made by a loop in the driver's Python and handed to Spark, four times."""
    heavy(spark.range(0, 40_000, 1, 8), 100)
    for turn in range(4):
        rows = [(n, f"name {n % 977}", float(n % 31), turn) for n in range(400_000)]
        spark.createDataFrame(rows, "id long, name string, amount double, turn int").groupBy("name").agg({"amount": "sum"}).collect()


def write_torn_files(_: Any, data: Path) -> None:
    """Six compressed files; the copy of the last one was cut off."""
    (data / "intake").mkdir()
    for part in range(6):
        packed = gzip.compress("".join(f"{n},{n % 17},{n * 7919 % 104729}\n" for n in range(60_000)).encode())
        (data / "intake" / f"part-{part}.csv.gz").write_bytes(packed if part < 5 else packed[: len(packed) // 2])


def intake(spark: Any, data: Path) -> None:
    """A costly step, then the day's files are counted."""
    heavy(spark.range(0, 70_000, 1, 8), 150)
    spark.read.schema("id long, kind int, v long").csv(str(data / "intake")).groupBy("kind").agg({"v": "sum"}).collect()


def write_delta_stock(spark: Any, data: Path) -> None:
    """Twenty-four tasks each write a file of every shop."""
    rows = spark.range(0, 120_000, 1, 24).selectExpr("id", "id % 40 as shop", f"{TEXT} as note")
    rows.write.format("delta").partitionBy("shop").save(str(data / "table"))


def stock_report(spark: Any, data: Path) -> None:
    """Two reports over all shops."""
    table = spark.read.format("delta").load(str(data / "table"))
    table.groupBy("shop").agg({"note": "max"}).collect()
    table.selectExpr("count(distinct substr(note, 1, 4))", "max(length(note))").collect()


def write_delta_year(spark: Any, data: Path) -> None:
    """A year of events, by month."""
    rows = spark.range(0, 3_200_000, 1, 4).selectExpr("id", "date_add('2024-01-01', cast(id % 366 as int)) as day", f"{TEXT} as note")
    rows.selectExpr("*", "month(day) as month").repartition(12, "month").write.format("delta").partitionBy("month").save(
        str(data / "table")
    )


def months_as_text(spark: Any, data: Path) -> None:
    """A month is asked for by the text of its date."""
    table = spark.read.format("delta").load(str(data / "table"))
    for month in ("2024-03", "2024-08", "2024-11"):
        table.where(f"date_format(day, 'yyyy-MM') = '{month}'").selectExpr("count(*)", "max(note)").collect()


def forget_some(spark: Any, data: Path) -> None:
    """Six hundred rows, here and there, are deleted."""
    spark.sql(f"DELETE FROM delta.`{data / 'table'}` WHERE id % 5000 = 17")
