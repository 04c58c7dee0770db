"""The eighth kind of laboratory runs: an examiner's short runs, a fault by another way each, and honest work beside them. Labelled before any was run."""

from spark_copilot.workloads.laboratory import eighth_healthy as healthy
from spark_copilot.workloads.laboratory import eighth_jobs as jobs
from spark_copilot.workloads.laboratory.cluster_jobs import CLUSTER
from spark_copilot.workloads.laboratory.scenario import Scenario
from spark_copilot.workloads.laboratory.settings import NO_AQE, STREAM, TIGHT

EIGHTH = (
    Scenario("by-price-band", "fault", jobs.by_price_band, ("data-skew",)),
    Scenario(
        "regional-exports",
        "fault",
        jobs.regional_exports,
        ("unsplittable-input", "data-skew"),
        prepare=jobs.write_regional_exports,
    ),
    Scenario("serial-numbers", "fault", jobs.serial_numbers, ("straggler-tasks",), ("python-udf",)),
    Scenario("forecast-per-article", "fault", jobs.forecast_per_article, ("too-few-partitions",)),
    Scenario("lines-by-their-kind", "fault", jobs.lines_in_many_parts, ("too-many-small-tasks",), ("task-overhead", "python-udf")),
    Scenario(
        "sensor-sheets",
        "fault",
        jobs.sensor_sheets,
        ("small-files-read",),
        ("driver-bound", "recomputed-data"),
        prepare=jobs.write_sensor_sheets,
    ),
    Scenario("catalogue-table", "fault", jobs.catalogue_table, ("small-files-written",), ("driver-bound",)),
    Scenario("one-evening", "fault", jobs.one_evening, ("missing-partition-filter",), prepare=jobs.write_messages_by_day),
    Scenario("gaps-between-events", "fault", jobs.gaps_between_events, ("single-partition-window",), ("spill",)),
    Scenario("unique-digests", "fault", jobs.unique_digests, ("spill",), conf=TIGHT),
    Scenario(
        "tags-of-each-item",
        "fault",
        jobs.tags_of_each_item,
        ("gc-pressure",),
        conf={
            "spark.driver.extraJavaOptions": "-XX:+UseSerialGC -Xmn4m",
            "spark.sql.objectHashAggregate.sortBased.fallbackThreshold": "100000000",
        },
    ),
    Scenario(
        "everything-in-one-list",
        "fault",
        jobs.everything_in_one_list,
        ("out-of-memory",),
        ("job-failed", "executor-lost", "task-failures", "gc-pressure"),
        conf={**CLUSTER, "spark.executor.memory": "640m", "spark.task.maxFailures": "2"},
        fails=True,
    ),
    Scenario("tables-for-analysts", "fault", jobs.tables_for_analysts, ("cache-evicted-or-unused",)),
    Scenario("stamps-read", "fault", jobs.stamps_read, ("python-udf",)),
    Scenario("photos-on-a-track", "fault", jobs.photos_on_a_track, ("cartesian-or-nested-loop-join",)),
    Scenario(
        "articles-with-texts", "fault", jobs.articles_with_texts, ("broadcast-missed",), prepare=jobs.write_article_texts, conf=NO_AQE
    ),
    Scenario(
        "partners-everywhere",
        "fault",
        jobs.partners_everywhere,
        ("broadcast-too-large",),
        ("driver-bound",),
        conf={"spark.driver.memory": "3g"},
    ),
    Scenario("subscriptions-by-day", "fault", jobs.subscriptions_by_day, ("row-explosion",)),
    Scenario("quality-checks", "fault", jobs.quality_checks, ("recomputed-data",)),
    Scenario(
        "registry-in-a-dict",
        "fault",
        jobs.registry_in_a_dict,
        ("large-driver-result",),
        ("driver-bound", "python-udf"),
        conf={"spark.driver.memory": "2g"},
    ),
    Scenario("letters-rendered", "fault", jobs.letters_rendered, ("driver-bound",)),
    Scenario(
        "uploads-to-the-archive",
        "fault",
        jobs.uploads_to_the_archive,
        ("task-failures",),
        ("python-udf",),
        conf={"spark.master": "local[2,4]"},
    ),
    Scenario("settings-as-a-map", "fault", jobs.settings_as_a_map, ("job-failed",), ("task-failures",), fails=True),
    Scenario("prices-as-they-come", "fault", jobs.prices_as_they_come, ("batch-slower-than-trigger",), conf=STREAM),
    Scenario("questions-on-trips", "healthy", healthy.questions_on_trips, prepare=healthy.write_trips),
    Scenario("two-ledgers", "healthy", healthy.two_ledgers),
    Scenario("moving-means", "healthy", healthy.moving_means),
    Scenario("dearest-hundred", "lookalike", healthy.dearest_hundred),
    Scenario("prices-in-euros", "lookalike", healthy.prices_in_euros),
    Scenario("scores-kept", "healthy", healthy.scores_kept),
    Scenario("days-made-good", "lookalike", healthy.days_made_good, prepare=healthy.write_ten_days),
    Scenario("parcels-in-time", "healthy", healthy.parcels_in_time, conf=STREAM),
    Scenario("towns-and-villages", "lookalike", healthy.towns_and_villages),
    Scenario("tenth-of-all", "healthy", healthy.tenth_of_all),
    Scenario("old-and-new", "healthy", healthy.old_and_new, prepare=healthy.write_old_and_new),
    Scenario("baskets-opened", "lookalike", healthy.baskets_opened),
    Scenario("hundred-branches", "lookalike", healthy.hundred_branches),
    Scenario("regions-gathered", "healthy", healthy.regions_gathered),
    Scenario("pairs-and-months", "healthy", healthy.pairs_and_months),
    Scenario("routes-in-batches", "healthy", healthy.routes_in_batches, (), ("python-udf",)),
)
"""Labelled before the first of them was run."""
