"""The lakehouse of a small web shop, the way its data engineers would write it. It knows Spark and nothing else.

Raw files land in an ADLS container, customers live in a JDBC database, reports go to a blob container. Run it with
any Spark that can reach the four places below; `CRM_JDBC_URL` names the database (default: embedded Derby).
"""
import os

from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as F

RAW = "abfss://raw@contosolake.dfs.core.windows.net"
LAKE = "abfss://lake@contosolake.dfs.core.windows.net"
REPORTS = "wasbs://reports@contosoreports.blob.core.windows.net"
CRM = os.environ.get("CRM_JDBC_URL", "jdbc:derby:crm;create=true")
CRM_LOGIN = {"user": "crm"}


def load_customers(spark: SparkSession) -> None:
    """Load the customers' CSV into the CRM database."""
    customers = spark.read.option("header", True).csv(f"{RAW}/crm/customers")
    customers.select(
        F.col("id").cast("int").alias("CUSTOMER_ID"),
        F.initcap("name").alias("FULL_NAME"),
        F.upper("country").alias("COUNTRY"),
    ).write.jdbc(CRM, "CUSTOMERS", mode="overwrite", properties=CRM_LOGIN)


def clean_orders(spark: SparkSession) -> None:
    """Clean the raw orders: types, duplicates, cancelled ones; store them as Parquet."""
    raw = spark.read.option("header", True).csv(f"{RAW}/sales/orders")
    (raw.where(F.col("status") != "cancelled")
        .dropDuplicates(["order_id"])
        .select(
            F.col("order_id").cast("long").alias("order_id"),
            F.col("customer").cast("int").alias("customer_id"),
            F.to_date("ordered_at").alias("order_date"),
            (F.col("quantity").cast("int") * F.col("price").cast("double")).alias("amount"))
        .write.mode("overwrite").parquet(f"{LAKE}/clean/orders"))


def build_sessions(spark: SparkSession) -> None:
    """Count the web shop's clicks a customer, with CREATE TABLE AS SELECT."""
    spark.read.json(f"{RAW}/web/clicks").createOrReplaceTempView("clicks")
    spark.sql("""
        CREATE TABLE shop.web_sessions USING parquet AS
        SELECT customer.id AS customer_id,
               count(DISTINCT session) AS sessions,
               count(*) AS clicks,
               max(clicked_at) AS last_seen
        FROM clicks
        WHERE customer.id IS NOT NULL
        GROUP BY customer.id
    """)


def append_history(spark: SparkSession) -> None:
    """Append the cleaned orders to the partitioned history, with INSERT INTO."""
    spark.sql("""
        CREATE TABLE shop.order_history (order_id BIGINT, customer_id INT, amount DOUBLE, order_month STRING)
        USING parquet PARTITIONED BY (order_month)
    """)
    spark.read.parquet(f"{LAKE}/clean/orders").createOrReplaceTempView("clean_orders")
    spark.sql("""
        INSERT INTO shop.order_history
        SELECT order_id, customer_id, amount, date_format(order_date, 'yyyy-MM') FROM clean_orders
    """)


def join_customers(spark: SparkSession) -> None:
    """Join the history with the CRM's customers, with saveAsTable."""
    customers = spark.read.jdbc(CRM, "CUSTOMERS", properties=CRM_LOGIN)
    history = spark.table("shop.order_history")
    (history.join(customers, history.customer_id == customers.CUSTOMER_ID)
        .select("order_id", history.customer_id, "FULL_NAME", "COUNTRY", "amount", "order_month")
        .withColumnsRenamed({"FULL_NAME": "customer", "COUNTRY": "country"})
        .write.mode("overwrite").saveAsTable("shop.customer_orders"))


def report_revenue(spark: SparkSession) -> None:
    """Report revenue and visits by country and month to the blob container."""
    revenue = (
        spark.table("shop.customer_orders").alias("o")
        .join(spark.table("shop.web_sessions").alias("s"), "customer_id", "left")
        .groupBy("country", "order_month")
        .agg(F.round(F.sum("amount"), 2).alias("revenue"),
             F.countDistinct("customer_id").alias("customers"),
             F.sum("sessions").alias("visits")))
    best_first = Window.partitionBy("order_month").orderBy(F.desc("revenue"))
    (revenue.withColumn("place", F.rank().over(best_first))
        .coalesce(1).write.mode("overwrite").option("header", True).csv(f"{REPORTS}/revenue_by_country"))


STEPS = (load_customers, clean_orders, build_sessions, append_history, join_customers, report_revenue)


def main() -> None:
    """Run the whole lakehouse once."""
    spark = SparkSession.builder.appName("contoso-lakehouse").getOrCreate()
    spark.sql("CREATE DATABASE IF NOT EXISTS shop")
    for step in STEPS:
        print(step.__doc__, flush=True)
        step(spark)
    best = spark.read.option("header", True).csv(f"{REPORTS}/revenue_by_country").where("place = 1")
    for row in best.orderBy("order_month").collect():
        print(f"Best country of {row.order_month}: {row.country} with {row.revenue}", flush=True)
    spark.stop()


if __name__ == "__main__":
    main()
