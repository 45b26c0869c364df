"""Checks the edges that `adb-lineage demo --json` printed against those written down by hand."""
import json
import sys

LAKE = "https://contosolake.dfs.core.windows.net/lake"
RAW = "https://contosolake.dfs.core.windows.net/raw"
TABLE = f"{LAKE}/warehouse/shop.db"
REPORT = "https://contosoreports.blob.core.windows.net/reports/revenue_by_country"
CUSTOMERS = "derby:crm/CUSTOMERS"
EXPECTED = {
    CUSTOMERS: ({f"{RAW}/crm/customers"}, {("id", "CUSTOMER_ID"), ("name", "FULL_NAME"), ("country", "COUNTRY")}),
    f"{LAKE}/clean/orders": ({f"{RAW}/sales/orders"}, {
        ("order_id", "order_id"), ("customer", "customer_id"), ("ordered_at", "order_date"), ("price", "amount"),
        ("quantity", "amount")}),
    f"{TABLE}/web_sessions": ({f"{RAW}/web/clicks"}, {
        ("customer.id", "customer_id"), ("session", "sessions"), ("clicked_at", "last_seen")}),
    f"{TABLE}/order_history": ({f"{LAKE}/clean/orders"}, {
        ("order_id", "order_id"), ("customer_id", "customer_id"), ("amount", "amount"), ("order_date", "order_month")}),
    f"{TABLE}/customer_orders": ({f"{TABLE}/order_history", CUSTOMERS}, {
        ("order_id", "order_id"), ("customer_id", "customer_id"), ("amount", "amount"), ("order_month", "order_month"),
        ("FULL_NAME", "customer"), ("COUNTRY", "country")}),
    REPORT: ({f"{TABLE}/customer_orders", f"{TABLE}/web_sessions"}, {
        ("country", "country"), ("order_month", "order_month"), ("amount", "revenue"), ("customer_id", "customers"),
        ("sessions", "visits"), ("amount", "place"), ("order_month", "place")}),
}


def plain(name):
    """A name without what tells a folder from its resource set."""
    return name.rstrip("/")


with open(sys.argv[1], encoding="utf-8") as file:
    processes = json.load(file)["processes"]
found = {}
for process in processes:
    for output in process["outputs"]:
        inputs = {plain(one) for one in process["inputs"]}
        # A column that only decides about rows goes to `*`.
        columns = {(source.rpartition("#")[2], sink.rpartition("#")[2]) for source, sink in process["columns"]}
        found[plain(output)] = (inputs, {pair for pair in columns if pair[1] != "*"})
for output in sorted(EXPECTED.keys() | found.keys()):
    if found.get(output) != EXPECTED.get(output):
        sys.exit(f"{output}:\n  expected {EXPECTED.get(output)}\n  found    {found.get(output)}")
print(f"demo: {len(found)} processes with the edges and columns written down by hand")
